import { describe, expect, test } from "vitest";
import type { DType } from "../../../src/base/dtype.ts";
import { bool, compile, f32, type Tensor, type TensorSpec } from "../../../src/index.ts";
import { interpret } from "../../../src/ir/interpret.ts";
import { ndarray } from "../../../src/ir/ndarray.ts";
import { type BodyCase, bodies, math } from "./bodies.ts";
import { arrange, flatNumbers, specsFor } from "./cases.ts";
import { load } from "./load.ts";

type AnyFunction = (...args: unknown[]) => unknown;

/** Calls a function on numbers, and on tensors of the same numbers by the interpreter; both as lists by result. */
async function both({ before = "", fn, at }: BodyCase) {
  const source = `import { elementwise } from "sinter";\n${before}\nexport const fn = elementwise(${fn});`;
  const call = (await load(source)).fn as AnyFunction;
  const n = (at[0] as readonly number[]).length;
  const specs = specsFor(fn, at, (b) => (b ? bool(n) : f32(n))) as Record<string, TensorSpec>;
  const { graph } = compile(specs, (x) => ({ y: call(...arrange(fn, Object.values(x) as Tensor[])) as Tensor }));
  const given = Object.fromEntries(
    Object.entries(specs).map(([k, s], i) => [k, ndarray(s.dtype as DType, [n], [...(at[i] as number[])])]),
  );
  const out = Object.values(interpret(graph, given));
  const plain = Array.from({ length: n }, (_, i) => {
    const numbers = at.map((list, k) => (Object.values(specs)[k]?.dtype === "bool" ? list[i] === 1 : list[i]));
    return flatNumbers(call(...arrange(fn, numbers)));
  });
  return { graph: out.map((o) => [...o.data]), plain: out.map((_, k) => plain.map((p) => p[k] as number)), out };
}

const far = (a: number, b: number, within: number): boolean =>
  !(Object.is(a, b) || a === b || Math.abs(a - b) <= within * Math.max(1, Math.abs(b)));

async function check(c: BodyCase): Promise<void> {
  const { graph, plain } = await both(c);
  expect(graph.length).toBe(plain.length);
  const wrong = graph.flatMap((list, k) =>
    list.flatMap((a, i) => {
      const b = plain[k]?.[i] as number;
      return far(a, b, c.within ?? 1e-6) ? [`result ${k} at ${c.at.map((l) => l[i])}: ${a}, not ${b}`] : [];
    }),
  );
  expect(wrong).toEqual([]);
}

describe("a function means on tensors what it means on numbers", () => {
  test.each(math.map((c) => [c.fn, c] as const))("%s", (_, c) => check(c));
  test.each(Object.entries(bodies))("%s", (_, c) => check(c));
});

test("dtypes: | 0 makes i32, >>> 0 u32, comparisons bool, all else f32", async () => {
  const { out } = await both({
    fn: "(x: number) => [x | 0, x >>> 0, x > 0, x, (x | 0) + 1, (x | 0) / 2, (x | 0) * 0.5, (x >>> 0) + (x | 0), x & 1, x >>> 1, Math.imul(x, 3), 1, 2 | 0]",
    at: [[1, 2, 3]],
  });
  const names = ["i32", "u32", "bool", "f32", "i32", "f32", "f32", "f32", "i32", "u32", "i32", "f32", "i32"];
  expect(out.map((o) => o.dtype)).toEqual(names);
});
