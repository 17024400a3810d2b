import { concat, defineKernel, dim, f32, layerNorm, type Tensor } from "sinter";
import { describe, expect, test } from "vitest";
import { compileUniform } from "../../../codegen/uniform/compile.ts";
import { evaluate } from "../../../codegen/uniform/fit.ts";
import type { KernelDefinition } from "../../../src/frontend/define-kernel.ts";
import type { UniformVariant } from "../../../src/manifest/uniform.ts";

const n = dim("n", { hint: 20 });
const m = dim("m", { hint: 8 });

const variantsOf = (inputs: object, fn: (inputs: { x: Tensor }) => Tensor): readonly UniformVariant[] =>
  compileUniform(defineKernel({ name: "k", inputs: inputs as never }, fn as never) as unknown as KernelDefinition)
    .codes[0]?.variants as readonly UniformVariant[];
const last = (inputs: object, fn: (inputs: { x: Tensor }) => Tensor): UniformVariant =>
  variantsOf(inputs, fn).at(-1) as UniformVariant;

describe("sizes beside those of the inputs", () => {
  test.each([
    ["padded at its end", 3, (x: Tensor) => x.pad({ low: [0], high: [3] })],
    ["padded at both ends", 5, (x: Tensor) => x.pad({ low: [2], high: [3] })],
    ["padded by one", 1, (x: Tensor) => x.pad({ low: [1], high: [0] })],
    ["without its first", -1, (x: Tensor) => x.slice([[1, null]])],
    ["without its ends", -3, (x: Tensor) => x.slice([[1, -2]])],
  ])("every element of a tensor %s has a workgroup", (_, more, fn) => {
    for (const v of variantsOf({ x: f32(n) }, ({ x }) => fn(x))) {
      const [step] = v.steps;
      const unit = v.multiples.n ?? 1;
      // Where a workgroup more begins, seen at sizes without anything added.
      const each = Math.min(...[64, 128, 256].filter((w) => evaluate(step?.groups as never, { n: 8192 }) >= 8192 / w));
      for (let size = 0; size < 3000; size += unit) {
        const elements = Math.max(0, size + more);
        expect(evaluate(step?.groups as never, { n: size }) * each, `n = ${size}`).toBeGreaterThanOrEqual(elements);
      }
    }
  });

  test("where the last row begins, of any number of axes", () => {
    const flipped = [
      () => last({ x: f32(n, m) }, ({ x }) => x.flip({ axes: 0 })),
      () => last({ x: f32(n, n) }, ({ x }) => x.flip({ axes: 0 })),
      () => last({ x: f32(n, 32, n) }, ({ x }) => x.slice([[null, null, -1]])),
      () => last({ x: f32(n, m) }, ({ x }) => x.cumSum({ axis: 0, reverse: true })),
      () => last({ x: f32(n, n, n) }, ({ x }) => x.cumSum({ axis: 0, reverse: true })),
      () => last({ x: f32(m, n, n) }, ({ x }) => x.slice([[-2, null]])),
      () => last({ x: f32(m, m, 3) }, ({ x }) => x.cumSum({ axis: 1 })),
      () =>
        last({ x: f32(n, m) }, ({ x }) =>
          concat(
            [x, x, x].map((t) => t.pad({ low: [2, 0], high: [3, 0] })),
            { axis: 0 },
          ),
        ),
    ];
    for (const make of flipped) expect(make).not.toThrow();
  });

  test("every third element, of a number that is sometimes divisible by three", () => {
    const x = f32(dim("n", { hint: 100 }), dim("n", { hint: 100 }));
    expect(() => last({ x }, (i) => i.x.slice([null, [null, null, 3]]).mul(2))).not.toThrow();
  });

  test("a size less one that divides at some sizes only", () => {
    const column = ({ x }: { x: Tensor }): Tensor => x.slice([[1, null]]).matmul(x.transpose([1, 0]));
    expect(() => last({ x: f32(dim("n", { hint: 64 }), 1) }, column)).not.toThrow();
  });

  test("a mean of more elements than a float counts", () => {
    const [a, b, c] = ["a", "b", "c"].map((d) => dim(d, { hint: 8 })) as [typeof n, typeof n, typeof n];
    const { steps } = last({ x: f32(a, b, c) }, ({ x }) => layerNorm(x, { axes: [0, 1, 2] }));
    const [mean] = steps[0]?.args.filter((w) => w.kind === "float") ?? [];
    expect(evaluate(mean?.value as never, { a: 3, b: 5, c: 7 })).toBe(105);
  });
});

describe("sizes that a kernel cannot be called with", () => {
  test.each([
    ["the first three elements", { n: 3 }, { x: f32(n) }, ({ x }: { x: Tensor }) => x.slice([[0, 3]])],
    ["the last two", { n: 2 }, { x: f32(m, n) }, ({ x }: { x: Tensor }) => x.slice([null, [-2, null]])],
    ["all but one", {}, { x: f32(n) }, ({ x }: { x: Tensor }) => x.slice([[1, null]])],
    [
      "the first rows of two tensors",
      { n: 3 },
      { x: f32(n, 4) },
      ({ x }: { x: Tensor }) => concat([x, x], { axis: 0 }).slice([[0, 3]]),
    ],
    [
      "the first elements of merged rows",
      { m: 2, n: 2 },
      { x: f32(m, n) },
      ({ x }: { x: Tensor }) => x.reshape([-1]).slice([[0, 2]]),
    ],
    [
      "the last of what was padded",
      { n: 3 },
      { x: f32(n) },
      ({ x }: { x: Tensor }) => x.pad({ low: [1], high: [0] }).slice([[-2, null]]),
    ],
  ])("%s", (_, least, inputs, fn) => {
    expect(last(inputs, fn).min).toEqual(least);
  });
});
