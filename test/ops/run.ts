import { expect } from "vitest";
import { SinterError } from "../../src/base/diagnostic.ts";
import type { DType } from "../../src/base/dtype.ts";
import type { Dim, Shape } from "../../src/ir/dim.ts";
import { type Attrs, type Graph, GraphBuilder, makeGraph, type Node } from "../../src/ir/graph.ts";
import { decomposed, interpret } from "../../src/ir/interpret.ts";
import { type NDArray, ndarray } from "../../src/ir/ndarray.ts";
import { rowOf } from "../../src/ir/ops.ts";
import { parse } from "../../src/ir/parse.ts";
import { print } from "../../src/ir/print.ts";
import { verify } from "../../src/ir/verify.ts";

type Nested = number | readonly Nested[];

/** A tensor from nested lists. */
export function t(values: Nested, dtype: DType = "f32"): NDArray {
  const shape: number[] = [];
  for (let v: Nested | undefined = values; typeof v === "object"; v = v[0]) shape.push(v.length);
  return ndarray(dtype, shape, typeof values === "number" ? [values] : (values.flat(8) as number[]));
}
export const i32 = (values: Nested): NDArray => t(values, "i32");

/** The elements of a tensor as nested lists. */
export function nested(x: NDArray): unknown {
  let list: unknown[] = [...x.data];
  for (const n of x.shape.slice(1).reverse()) {
    list = Array.from({ length: n === 0 ? 0 : list.length / n }, (_, i) => list.slice(i * n, (i + 1) * n));
  }
  return x.shape.length === 0 ? list[0] : list;
}

/** What holds of every graph: it is valid, and its text reads back to it. */
function checkForm(graph: Graph): void {
  verify(graph);
  const text = print(graph);
  expect(print(parse(text))).toBe(text);
}

/** The results of one op through the interpreter. */
export function runAll(op: string, args: readonly NDArray[], attrs: Attrs = {}): NDArray[] {
  const b = new GraphBuilder();
  const inputs = args.map((a, i) => b.input(`x${i}`, a));
  const results = b.results(b.add(op, inputs, attrs));
  const graph = makeGraph(
    inputs,
    results.map((node, i) => ({ name: `y${i}`, node })),
  );
  checkForm(graph);
  const node = results[0]?.op === "result" ? (results[0].args[0] as Node) : (results[0] as Node);
  if (rowOf(op).decompose) checkForm(decomposed(node));
  const out = interpret(graph, Object.fromEntries(args.map((a, i) => [`x${i}`, a])));
  results.forEach((node, i) => {
    expect({ dtype: out[`y${i}`]?.dtype, shape: out[`y${i}`]?.shape }).toEqual({
      dtype: node.type.dtype,
      shape: node.type.shape,
    });
  });
  return results.map((_, i) => out[`y${i}`] as NDArray);
}

export const run = (op: string, args: readonly NDArray[], attrs: Attrs = {}): NDArray =>
  runAll(op, args, attrs)[0] as NDArray;

/** The result of one op as nested lists. */
export const values = (op: string, args: readonly NDArray[], attrs: Attrs = {}): unknown =>
  nested(run(op, args, attrs));

/** A node of the op on inputs of these shapes. */
export function typed(op: string, shapes: readonly (Shape | readonly [DType, ...Dim[]])[], attrs: Attrs = {}): Node {
  const b = new GraphBuilder();
  const inputs = shapes.map((s, i) => {
    const [head, ...rest] = s;
    const named = typeof head === "string";
    return b.input(`x${i}`, { dtype: named ? (head as DType) : "f32", shape: (named ? rest : s) as Shape });
  });
  return b.add(op, inputs, attrs);
}

/** Asserts that the op is refused with this code, and that message, cause and hint say something. */
export function refused(code: string, op: string, shapes: Parameters<typeof typed>[1], attrs: Attrs = {}): SinterError {
  try {
    typed(op, shapes, attrs);
  } catch (e) {
    expect(e).toBeInstanceOf(SinterError);
    const error = e as SinterError;
    expect(error.code).toBe(code);
    expect(error.diagnostic.hint).toBeTruthy();
    return error;
  }
  throw new Error(`${op} was not refused`);
}

/** Asserts equality of all elements within `atol + rtol * |want|`; NaN equals NaN. */
export function expectClose(got: NDArray, want: ArrayLike<number>, rtol = 1e-12, atol = 1e-12): void {
  expect(got.data.length).toBe(want.length);
  for (let i = 0; i < want.length; i++) {
    const [x, y] = [got.data[i] as number, want[i] as number];
    if (Object.is(x, y) || x === y) continue;
    if (!(Math.abs(x - y) <= atol + rtol * Math.abs(y))) expect(`element ${i}: ${x}`).toBe(`element ${i}: ${y}`);
  }
}
