import { describe, expect, expectTypeOf, test } from "vitest";
import { kernelOf } from "../../../src/frontend/body-kernel.ts";
import { trace } from "../../../src/frontend/trace.ts";
import {
  type Elementwise,
  elementwise,
  f16,
  f32,
  type KernelDefinition,
  reduction,
  type Tensor,
} from "../../../src/index.ts";
import { typeText } from "../../../src/ir/graph.ts";
import { load } from "./load.ts";

/** Inputs and outputs of a kernel for a dtype, as text. */
function signature(k: KernelDefinition, dtype: "f32" | "f16" = "f32"): string {
  const { graph } = trace(k.inputs(dtype), k.body as never);
  const inputs = graph.inputs.map((n) => `${n.attrs.name}: ${typeText(n.type)}`);
  const outputs = graph.outputs.map((o) => `${o.name}: ${typeText(o.node.type)}`);
  return `${inputs.join(", ")} -> ${outputs.join(", ")}`;
}

describe("a function of plain arithmetic as a kernel", () => {
  const cases: readonly (readonly [source: string, f32: string, f16?: string])[] = [
    ["elementwise((x: number) => x * 2)", "x: f32[n] -> y: f32[n]", "x: f16[n] -> y: f16[n]"],
    ["elementwise((a: number, y: number) => a + y)", "a: f32[n], y: f32[n] -> yOut: f32[n]"],
    [
      "elementwise((x: number, on: boolean) => ({ x: on ? x : 0, more: [x > 0, x | 0] }))",
      "x: f32[n], on: bool[n] -> xOut: f32[n], more_0: bool[n], more_1: i32[n]",
      "x: f16[n], on: bool[n] -> xOut: f16[n], more_0: bool[n], more_1: i32[n]",
    ],
    [
      "elementwise(({ p, q }: { p: number; q: number }, s: [number]) => [p * q, s[0]])",
      "p: f32[n], q: f32[n], s_0: f32[n] -> out0: f32[n], out1: f32[n]",
    ],
    [
      "reduction({ init: () => 0, map: (x: number, w: number) => x * w, combine: (a, b) => a + b })",
      "x: f32[rows, cols], w: f32[rows, cols] -> y: f32[rows]",
      "x: f16[rows, cols], w: f16[rows, cols] -> y: f16[rows]",
    ],
    [
      "reduction({ init: () => [0, -Infinity], map: (x: number) => [x, x], combine: (a, b) => [a[0]! + b[0]!, Math.max(a[1]!, b[1]!)], result: ([sum, most]) => ({ sum, most }) })",
      "x: f32[rows, cols] -> sum: f32[rows], most: f32[rows]",
    ],
  ];
  test.each(cases)("%s", async (source, wide, half) => {
    const { fn } = await load(`import { elementwise, reduction } from "sinter";\nexport const fn = ${source};`);
    const kernel = kernelOf("some", fn as never);
    expect(kernel.name).toBe("some");
    expect(kernel.dtypes).toEqual(["f32", "f16"]);
    expect(signature(kernel)).toBe(wide);
    if (half) expect(signature(kernel, "f16")).toBe(half);
  });

  test("needs its source read", () => {
    expect(() =>
      kernelOf(
        "double",
        elementwise((x: number) => x * 2),
      ),
    ).toThrow(/not-built/);
  });
});

describe("what is given wrongly on tensors is refused", () => {
  const call = async (source: string, fn: (f: (...x: unknown[]) => unknown, x: Tensor) => unknown) => {
    const f = (await load(`import { elementwise, reduction } from "sinter";\nexport const fn = ${source};`))
      .fn as never;
    return () => trace({ x: f32(2, 3), h: f16(3) }, ({ x }) => ({ y: fn(f, x) }) as never);
  };
  const add = "elementwise((x: number, y: number) => x + y)";
  const sum = "reduction({ init: () => 0, map: (x: number) => x, combine: (a, b) => a + b })";
  test.each([
    ["too few arguments", add, (f, x) => f(x), "bad-arguments"],
    ["text", add, (f, x) => f(x, "1"), "not-a-tensor"],
    ["no object of tensors", "elementwise((p: { a: number; b: number }) => p.a * p.b)", (f, x) => f(x), "not-a-tensor"],
    ["shapes that do not broadcast", add, (f, x) => f(x, x.transpose()), "shape-mismatch"],
    ["an unknown option", sum, (f, x) => f(x, { axis: 1 }), "unknown-option"],
    ["an axis that is not there", sum, (f, x) => f(x, { axes: 2 }), "bad-axis"],
    ["arguments after the options", sum, (f, x) => f(x, {}, 1), "bad-arguments"],
  ] as readonly (readonly [string, string, (f: (...x: unknown[]) => unknown, x: Tensor) => unknown, string])[])(
    "%s",
    async (_, source, fn, code) => {
      expect(await call(source, fn)).toThrow(`[${code}]`);
    },
  );

  test("and on arrays and as functions", () => {
    const f = reduction({ init: () => 0, map: (x: number, y: number) => x * y, combine: (a, b) => a + b });
    expect(() => f([1, 2], [1])).toThrow("[bad-arguments]");
    expect(() => elementwise(2 as never)).toThrow("[bad-option]");
    expect(() => reduction({ init: () => 0 } as never)).toThrow("[bad-option]");
  });
});

test("types", () => {
  const t = null as unknown as Tensor;
  const checked = () => {
    const gelu = elementwise((x: number) => x * 2);
    expectTypeOf(gelu(1)).toEqualTypeOf<number>();
    expectTypeOf(gelu(t)).toEqualTypeOf<Tensor>();
    expectTypeOf(gelu).toEqualTypeOf<Elementwise<[x: number], number>>();
    const pair = elementwise((p: { x: number; on: boolean }, k: number) => [p.x * k, p.on]);
    expectTypeOf(pair({ x: 1, on: true }, 2)).toEqualTypeOf<[number, boolean]>();
    expectTypeOf(pair({ x: t, on: true }, 2)).toEqualTypeOf<[Tensor, Tensor]>();
    const named = elementwise((x: number) => ({ zero: 0, more: [x > 0, x] }));
    expectTypeOf(named(1).zero).toEqualTypeOf<number>();
    expectTypeOf(named(t).more[0]).toEqualTypeOf<Tensor>();
    const welford = reduction({
      init: () => ({ n: 0, mean: 0 }),
      map: (x: number) => ({ n: 1, mean: x }),
      combine: (a, b) => ({ n: a.n + b.n, mean: (a.mean * a.n + b.mean * b.n) / (a.n + b.n) }),
      result: (s) => [s.mean, s.n],
    });
    expectTypeOf(welford([1, 2])).toEqualTypeOf<[number, number]>();
    expectTypeOf(welford(t, { axes: -1, keepDims: true })).toEqualTypeOf<[Tensor, Tensor]>();
    const sum = reduction({ init: () => 0, map: (x: number, y: number) => x * y, combine: (a, b) => a + b });
    expectTypeOf(sum([1], [2])).toEqualTypeOf<number>();
    expectTypeOf(sum(t, 2, { axes: 0 })).toEqualTypeOf<Tensor>();
    const ends = reduction({ init: () => [0, false], map: (x: number) => [x, x > 1], combine: (a) => a });
    expectTypeOf(ends(t)).toEqualTypeOf<[Tensor, Tensor]>();
    // @ts-expect-error a number is given where text is
    gelu("1");
    // @ts-expect-error two arguments
    sum(t);
  };
  expectTypeOf(checked).toBeFunction();
});
