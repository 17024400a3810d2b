import * as k from "../../../kernels/linear.kernel.ts";
import * as q from "../../../kernels/quantised.kernel.ts";
import { geluOf, geluTanhOf, reluOf, siluOf } from "./activations.ts";
import { at, type Draw, filled, type KernelCase, of, type Sizes, sizesOf, total, type Values } from "./case.ts";

const sizes = sizesOf(
  "rows inner cols",
  [1, 1, 1],
  [2, 3, 5],
  [5, 2, 3],
  [3, 4, 4],
  [1, 5, 64],
  [1, 64, 64],
  [4, 68, 8],
  [7, 16, 31],
  [17, 33, 65],
  [20, 24, 28],
);
const large = sizesOf("rows inner cols", [64, 64, 64], [65, 128, 68], [130, 36, 132], [1, 768, 260], [127, 129, 131]);

const identity = (x: number): number => x;

/** x [rows, inner] times w, plus bias where there is one. */
function affine({ x, w, bias }: Values, d: Sizes, transposed: boolean): Float64Array {
  const [rows, inner, cols] = [of(d, "rows"), of(d, "inner"), of(d, "cols")];
  return filled(rows * cols, (i) => {
    const [r, c] = [Math.floor(i / cols), i % cols];
    const product = total(inner, (j) => at(x, r * inner + j) * at(w, transposed ? c * inner + j : j * cols + c));
    return product + (bias ? at(bias, c) : 0);
  });
}

const base = { sizes, large, tolerance: (d: Sizes) => 2e-6 + of(d, "inner") * 5e-7 } as const;

const linearCase = (kernel: KernelCase["kernel"], f: (x: number) => number, transposed = false): KernelCase => ({
  ...base,
  kernel,
  reference: (x, d) => ({ y: affine(x, d, transposed).map((v, i) => f(v) + (x.residual ? at(x.residual, i) : 0)) }),
});

const matmulCase = (kernel: KernelCase["kernel"], transposed: boolean): KernelCase => ({
  ...base,
  kernel,
  reference: ({ a, b }, d) => ({ y: affine({ x: a as Float64Array, w: b as Float64Array }, d, transposed) }),
});

const backward = (kernel: KernelCase["kernel"], transposed: boolean): KernelCase => ({
  ...base,
  kernel,
  steps: 2,
  tolerance: (d) => 2e-6 + (of(d, "rows") + of(d, "cols")) * 5e-7,
  reference({ x, w, dy }, d) {
    const [rows, inner, cols] = [of(d, "rows"), of(d, "inner"), of(d, "cols")];
    const place = (j: number, c: number): number => (transposed ? c * inner + j : j * cols + c);
    const dw = new Float64Array(inner * cols);
    for (let j = 0; j < inner; j++) {
      for (let c = 0; c < cols; c++) {
        dw[place(j, c)] = total(rows, (r) => at(x, r * inner + j) * at(dy, r * cols + c));
      }
    }
    return {
      dx: filled(rows * inner, (i) => {
        const [r, j] = [Math.floor(i / inner), i % inner];
        return total(cols, (c) => at(dy, r * cols + c) * at(w, place(j, c)));
      }),
      dw,
      dbias: filled(cols, (c) => total(rows, (r) => at(dy, r * cols + c))),
    };
  },
});

const words: Draw = (_, random) => Math.floor(random() * 2 ** 32);

const quantised = (kernel: KernelCase["kernel"], bits: 4 | 8, size: number): KernelCase => ({
  kernel,
  sizes: sizesOf("rows cols groups", [1, 1, 1], [2, 3, 1], [3, 4, 2], [5, 17, 3], [1, 64, 4]),
  large: sizesOf("rows cols groups", [66, 68, 4], [1, 260, 8], [33, 131, 5]),
  draw: { w: words, scales: [-0.05, 0.05] },
  tolerance: (d) => 2e-6 + of(d, "groups") * size * 5e-7,
  reference({ x, w, scales }, d) {
    const [rows, cols, groups] = [of(d, "rows"), of(d, "cols"), of(d, "groups")];
    const inner = groups * size;
    const perWord = 32 / bits;
    const value = (c: number, j: number): number => {
      const word = at(w, c * (inner / perWord) + Math.floor(j / perWord));
      const code = Math.floor(word / 2 ** (bits * (j % perWord))) % 2 ** bits;
      const signed = bits === 4 ? code - 8 : code < 128 ? code : code - 256;
      return signed * at(scales, c * groups + Math.floor(j / size));
    };
    const weight = filled(cols * inner, (i) => value(Math.floor(i / inner), i % inner));
    return { y: affine({ x: x as Float64Array, w: weight }, { rows, cols, inner }, true) };
  },
});

export const linearCases: readonly KernelCase[] = [
  matmulCase(k.matmul, false),
  matmulCase(k.matmulT, true),
  linearCase(k.linear, identity),
  linearCase(k.linearRelu, reluOf.f),
  linearCase(k.linearGelu, geluOf.f),
  linearCase(k.linearGeluTanh, geluTanhOf.f),
  linearCase(k.linearSilu, siluOf.f),
  linearCase(k.linearResidual, identity),
  linearCase(k.linearReluResidual, reluOf.f),
  linearCase(k.linearGeluResidual, geluOf.f),
  linearCase(k.linearSiluResidual, siluOf.f),
  linearCase(k.linearT, identity, true),
  linearCase(k.linearReluT, reluOf.f, true),
  linearCase(k.linearGeluT, geluOf.f, true),
  linearCase(k.linearSiluT, siluOf.f, true),
  linearCase(k.linearResidualT, identity, true),
  backward(k.linearBackward, false),
  backward(k.linearBackwardT, true),
  quantised(q.matmulInt4, 4, 32),
  quantised(q.matmulInt4Group128, 4, 128),
  quantised(q.matmulInt8, 8, 32),
  quantised(q.matmulInt8Group128, 8, 128),
];
