import * as k from "../../../kernels/activation.kernel.ts";
import * as s from "../../../kernels/swiglu.kernel.ts";
import { at, filled, flatSizes, type KernelCase, manyElements, of, sizesOf } from "./case.ts";
import { erf } from "./erf.ts";

interface Activation {
  readonly f: (x: number) => number;
  readonly derivative: (x: number) => number;
}

const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));
const c = Math.sqrt(2 / Math.PI);
const inner = (x: number): number => c * (x + 0.044715 * x ** 3);

export const reluOf: Activation = { f: (x) => Math.max(x, 0), derivative: (x) => (x > 0 ? 1 : 0) };
export const siluOf: Activation = {
  f: (x) => x * sigmoid(x),
  derivative: (x) => sigmoid(x) * (1 + x * (1 - sigmoid(x))),
};
export const geluOf: Activation = {
  f: (x) => (x * (1 + erf(x / Math.SQRT2))) / 2,
  derivative: (x) => (1 + erf(x / Math.SQRT2)) / 2 + (x * Math.exp((-x * x) / 2)) / Math.sqrt(2 * Math.PI),
};
export const geluTanhOf: Activation = {
  f: (x) => (x * (1 + Math.tanh(inner(x)))) / 2,
  derivative: (x) =>
    (1 + Math.tanh(inner(x))) / 2 + (x / 2) * (1 - Math.tanh(inner(x)) ** 2) * c * (1 + 3 * 0.044715 * x * x),
};

const sizes = flatSizes;
const large = manyElements;
const draw = { x: [-6, 6], gate: [-6, 6] } as const;

const forward = (kernel: KernelCase["kernel"], { f }: Activation): KernelCase => ({
  kernel,
  sizes,
  large,
  draw,
  reference: ({ x }, d) => ({ y: filled(of(d, "n"), (i) => f(at(x, i))) }),
});

const backward = (kernel: KernelCase["kernel"], { derivative }: Activation): KernelCase => ({
  kernel,
  sizes,
  draw,
  reference: ({ x, dy }, d) => ({ dx: filled(of(d, "n"), (i) => derivative(at(x, i)) * at(dy, i)) }),
});

const packedSizes = sizesOf("rows cols", [1, 1], [2, 3], [5, 4], [3, 17], [2, 64], [7, 129]);

export const activationCases: readonly KernelCase[] = [
  forward(k.relu, reluOf),
  forward(k.gelu, geluOf),
  forward(k.geluTanh, geluTanhOf),
  forward(k.silu, siluOf),
  backward(k.reluBackward, reluOf),
  backward(k.geluBackward, geluOf),
  backward(k.geluTanhBackward, geluTanhOf),
  backward(k.siluBackward, siluOf),
  {
    kernel: s.swiglu,
    sizes,
    large,
    draw,
    reference: ({ gate, up }, d) => ({ y: filled(of(d, "n"), (i) => siluOf.f(at(gate, i)) * at(up, i)) }),
  },
  {
    kernel: s.swigluBackward,
    sizes,
    draw,
    reference: ({ gate, up, dy }, d) => ({
      dgate: filled(of(d, "n"), (i) => siluOf.derivative(at(gate, i)) * at(up, i) * at(dy, i)),
      dup: filled(of(d, "n"), (i) => siluOf.f(at(gate, i)) * at(dy, i)),
    }),
  },
  {
    kernel: s.swigluPacked,
    sizes: packedSizes,
    large: sizesOf("rows cols", [33, 1024]),
    draw,
    reference({ x }, d) {
      const [rows, cols] = [of(d, "rows"), of(d, "cols")];
      const start = (i: number): number => Math.floor(i / cols) * 2 * cols + (i % cols);
      return { y: filled(rows * cols, (i) => siluOf.f(at(x, start(i))) * at(x, start(i) + cols)) };
    },
  },
  {
    kernel: s.swigluPackedBackward,
    sizes: packedSizes,
    draw,
    reference({ x, dy }, d) {
      const [rows, cols] = [of(d, "rows"), of(d, "cols")];
      const dx = filled(rows * 2 * cols, (i) => {
        const row = Math.floor(i / (2 * cols));
        const col = i % cols;
        const [gate, up] = [at(x, row * 2 * cols + col), at(x, row * 2 * cols + cols + col)];
        const ct = at(dy, row * cols + col);
        return i % (2 * cols) < cols ? siluOf.derivative(gate) * up * ct : siluOf.f(gate) * ct;
      });
      return { dx };
    },
  },
];
