import { describe, expect, test } from "vitest";
import {
  compile,
  f16,
  f32,
  i32,
  type Reduction,
  type Tensor,
  type TensorTree,
  valueAndGrad,
} from "../../../src/index.ts";
import { interpret } from "../../../src/ir/interpret.ts";
import { type NDArray, ndarray } from "../../../src/ir/ndarray.ts";
import { error } from "../../frontend/grad-support.ts";
import { randomOf } from "../../support/values.ts";
import { flatNumbers } from "./cases.ts";
import { load } from "./load.ts";

/** The example of the issue, as it stands there. */
const welford = `reduction({
  init: () => ({ n: 0, mean: 0, m2: 0 }),
  map: (x: number) => ({ n: 1, mean: x, m2: 0 }),
  combine: (a, b) => { const n = a.n + b.n, d = b.mean - a.mean; return { n, mean: a.mean + d * b.n / Math.max(n, 1), m2: a.m2 + b.m2 + d * d * a.n * b.n / Math.max(n, 1) }; },
  result: (s) => [s.mean, s.m2 / s.n],
})`;

const reductions: Readonly<Record<string, string>> = {
  welford,
  "a number as state, no result": "reduction({ init: () => 0, map: (x: number) => x * x, combine: (a, b) => a + b })",
  "tuples, log-sum-exp": `reduction({
    init: () => [-1e30, 0] as [number, number],
    map: (x: number) => [x, 1] as [number, number],
    combine([m, s], [n, t]) {
      const most = Math.max(m, n);
      return [most, s * Math.exp(m - most) + t * Math.exp(n - most)];
    },
    result: ([m, s]) => m + Math.log(s),
  })`,
  "nested states in any order": `reduction({
    init: () => ({ sum: 0, ends: [Infinity, -Infinity] as [number, number] }),
    map: (x: number) => ({ ends: [x, x] as [number, number], sum: x }),
    combine: (a, b) => ({ ends: [Math.min(a.ends[0], b.ends[0]), Math.max(a.ends[1], b.ends[1])] as [number, number], sum: a.sum + b.sum }),
    result: ({ sum, ends: [low, high] }) => ({ sum, span: high - low, both: [low, high] }),
  })`,
  "parts that have names": "reduction(spec)",
  "states of several dtypes": `reduction({
    init: () => ({ any: false, count: 0 | 0, bits: 0 >>> 0, sum: 0 }),
    map: (x: number) => ({ any: x > 2, count: 1 | 0, bits: (x | 0) >>> 0, sum: x }),
    combine: (a, b) => ({ any: a.any || b.any, count: a.count + b.count, bits: (a.bits ^ b.bits) >>> 0, sum: a.sum + b.sum }),
    result: (s) => [s.any ? 1 : 0, s.count, s.bits, s.sum / s.count],
  })`,
};

const source = (text: string): string => `import { elementwise, reduction } from "sinter";
const square = elementwise((x: number) => x * x);
function combine(a: number, b: number): number { return Math.max(a, b); }
const spec = { init: () => -Infinity, map: square, combine, result(s: number) { return Math.sqrt(s); } };
export const fn = ${text};`;
const of = async (text: string): Promise<Reduction<[number], unknown>> =>
  (await load(source(text))).fn as Reduction<[number], unknown>;

const random = randomOf(5);
const values = ndarray(
  "f32",
  [3, 7],
  Array.from({ length: 21 }, () => Math.round(random() * 64 - 32) / 8),
);
const rowsOf = ({ shape: [rows = 0, cols = 0], data }: NDArray): number[][] =>
  Array.from({ length: rows }, (_, i) => [...data.slice(i * cols, (i + 1) * cols)]);
const named = (y: unknown): TensorTree => ({ y }) as TensorTree;

describe("a reduction means on tensors what it means on arrays", () => {
  test.each(Object.entries(reductions))("%s", async (_, text) => {
    const fn = await of(text);
    const { graph } = compile({ x: f32(3, 7) }, ({ x }) => named(fn(x, { axes: -1 })));
    const out = Object.values(interpret(graph, { x: values }));
    rowsOf(values).forEach((row, i) => {
      const found = out.map((o) => o.data[i] as number);
      flatNumbers(fn(row)).forEach((want, k) => {
        expect(found[k]).toBeCloseTo(want, 5);
      });
    });
  });

  test("over any axes, keeping them, and over all by default", async () => {
    const fn = (await of(reductions["a number as state, no result"] as string)) as Reduction<[number], number>;
    const { graph } = compile({ x: f32(3, 7) }, ({ x }) => ({
      columns: fn(x, { axes: 0, keepDims: true }),
      all: fn(x),
    }));
    const out = interpret(graph, { x: values });
    expect(out.columns?.shape).toEqual([1, 7]);
    expect(out.all?.shape).toEqual([]);
    expect(out.all?.data[0]).toBeCloseTo(fn([...values.data]), 5);
  });

  test("of several tensors, which broadcast, and of numbers beside them", async () => {
    const fn = (await of(
      "reduction({ init: () => 0, map: (x: number, y: number, k: number) => x * y * k, combine: (a, b) => a + b })",
    )) as unknown as Reduction<[number, number, number], number>;
    const { graph } = compile({ x: f32(3, 7), y: f32(7) }, ({ x, y }) => fn(x, y, 2, { axes: 1 }));
    const y = ndarray("f32", [7], [1, 2, 3, 4, 5, 6, 7]);
    const rows = rowsOf(values).map((row) => fn(row, [...y.data], new Array(7).fill(2)));
    expect([...(interpret(graph, { x: values, y }).out?.data ?? [])]).toEqual(rows);
  });

  test("of no elements it is the result of init", async () => {
    const fn = await of(reductions["nested states in any order"] as string);
    expect(fn([])).toEqual({
      sum: 0,
      span: Number.NEGATIVE_INFINITY,
      both: [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY],
    });
  });
});

test("f16 is reduced in f32, and its results rounded once; integers stay integers", async () => {
  const fn = (await of(welford)) as Reduction<[number], [number, number]>;
  const sum = (await of("reduction({ init: () => 0, map: (x: number) => x, combine: (a, b) => a + b })")) as Reduction<
    [number],
    number
  >;
  const { graph } = compile({ x: f16(2, 3), i: i32(2, 3) }, ({ x, i }) => ({ w: fn(x), sum: sum(i), mean: fn(i)[0] }));
  expect(graph.nodes.find((n) => n.op === "reduce")?.results?.map((t) => t.dtype)).toEqual(["f32", "f32", "f32"]);
  expect(graph.outputs.map((o) => o.node.type.dtype)).toEqual(["f16", "f16", "i32", "f32"]);
});

describe("derivatives", () => {
  const total = (x: Tensor): Tensor => x.mul(x).sum();
  test("of Welford's mean and variance", async () => {
    const fn = (await of(welford)) as Reduction<[number], [number, number]>;
    const loss = ({ x }: { x: Tensor }): Tensor => {
      const [mean, variance] = fn(x, { axes: -1 });
      return total(mean).add(variance.mul(mean.sin()).sum());
    };
    expect(error({ x: f32(3, 5) }, loss)).toBeLessThan(1e-7);
  });

  test("of tuples and nested states", async () => {
    for (const key of ["tuples, log-sum-exp", "a number as state, no result"]) {
      const fn = (await of(reductions[key] as string)) as Reduction<[number], number>;
      expect(error({ x: f32(3, 5) }, ({ x }: { x: Tensor }) => total(fn(x, { axes: 0 })))).toBeLessThan(1e-6);
    }
  });

  test("of GELU, through a program's valueAndGrad", async () => {
    const text = `import { elementwise } from "sinter";
export const geluTanh = elementwise((x: number) => 0.5 * x * (1 + Math.tanh(0.7978845608 * (x + 0.044715 * x ** 3))));`;
    const gelu = (await load(text)).geluTanh as (x: Tensor) => Tensor;
    expect(error({ x: f32(3, 5) }, ({ x }: { x: Tensor }) => total(gelu(x)))).toBeLessThan(1e-7);
    const { graph } = compile({ x: f32(4) }, ({ x }) => valueAndGrad((p: Tensor) => gelu(p).sum())(x));
    const slope = interpret(graph, { x: ndarray("f32", [4], [-1, 0, 1, 3]) }).grad as NDArray;
    expect(slope.data[1]).toBeCloseTo(0.5, 7);
    expect(slope.data[2]).toBeCloseTo(1.082964, 5);
  });

  test.each([
    "(x: number) => Math.asinh(x) + Math.cbrt(x) + Math.hypot(x, 2) + Math.log10(x * x + 1)",
    "(x: number) => Math.acosh(x * x + 1.5) + Math.atanh(x / 4) + (x % 0.7)",
    "(x: number) => { let s = 0; for (let i = 1; i < 4; i++) s += x > 0 ? Math.sin(i * x) : Math.exp(x) / i; return s; }",
    "(x: number) => { if (x < -0.5) return x * x; const [a, b] = [x + 1, x - 1]; return a > 0.9 && b < 0 ? a * b : a / (b * b + 1); }",
  ])("of %s", async (fn) => {
    const f = (await load(`import { elementwise } from "sinter";\nexport const fn = elementwise(${fn});`)).fn as (
      x: Tensor,
    ) => Tensor;
    expect(error({ x: f32(3, 5) }, ({ x }: { x: Tensor }) => f(x).sum())).toBeLessThan(1e-5);
  });
});
