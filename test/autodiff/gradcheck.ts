import { isFloat } from "../../src/base/dtype.ts";
import { pullback } from "../../src/ir/autodiff.ts";
import { type Graph, GraphBuilder, makeGraph, type Node } from "../../src/ir/graph.ts";
import { interpret } from "../../src/ir/interpret.ts";
import { count, type NDArray, ndarray } from "../../src/ir/ndarray.ts";
import { randomOf } from "../support/values.ts";

/** Where the elements of a float input are drawn from. */
export type Range = readonly [low: number, high: number];

const usual: Range = [-2, 2];

/**
 * Values for a graph's inputs. Floats lie on a grid that has no whole number, no half and no value twice among the inputs:
 * kinks and ties are further away than a step of the difference quotient. Integers are 0, 1, 2 or -1.
 */
export function points(
  graph: Graph,
  ranges: Readonly<Record<number, Range>> & { readonly all?: Range } = {},
  seed = 1,
): Record<string, NDArray> {
  const random = randomOf(seed);
  const draw = (n: Node, i: number): number => {
    const r = random();
    if (n.type.dtype === "bool") return r < 0.5 ? 0 : 1;
    if (n.type.dtype === "u32") return Math.floor(r * 3);
    if (n.type.dtype === "i32") return Math.floor(r * 4) - 1;
    const [low, high] = ranges[i] ?? ranges.all ?? usual;
    return low + (Math.floor(r * 500) + 0.31 + 0.013 * i) * ((high - low) / 500);
  };
  return Object.fromEntries(
    graph.inputs.map((n, i) => {
      const shape = n.type.shape as number[];
      return [
        n.attrs.name as string,
        ndarray(
          n.type.dtype,
          shape,
          Array.from({ length: count(shape) }, () => draw(n, i)),
        ),
      ];
    }),
  );
}

/** The name of a cotangent; that of a graph with cotangents of its own goes on counting. */
const weight = (graph: Graph, i: number): string => `cotangent${graph.inputs.length + i}`;
const gradient = (i: number): string => `gradient${i}`;

export interface Derived {
  /** `gradient0`, … for each float input in order; inputs of the graph and cotangents of its float outputs. */
  readonly graph: Graph;
  readonly wrt: readonly Node[];
}

/** The gradient of the sum over outputs of (output * cotangent) by every float input. What it does not depend on is left out. */
export function derive(graph: Graph): Derived {
  const b = new GraphBuilder();
  const wrt = graph.inputs.filter((n) => isFloat(n.type.dtype));
  const outs = graph.outputs.map((o) => o.node).filter((n) => isFloat(n.type.dtype));
  const weights = outs.map((n, i) => b.input(weight(graph, i), n.type));
  const cts = pullback(b, outs, weights, wrt);
  const outputs = cts.flatMap((node, i) => (node ? [{ name: gradient(i), node }] : []));
  return { graph: makeGraph([...graph.inputs, ...weights], outputs), wrt };
}

/** Random cotangents for the outputs of a graph, by the names that {@link derive} gives them. */
export function cotangents(graph: Graph, seed = 2): Record<string, NDArray> {
  const outs = graph.outputs.filter((o) => isFloat(o.node.type.dtype));
  const random = randomOf(seed);
  return Object.fromEntries(
    outs.map(({ node: { type } }, i) => {
      const shape = type.shape as number[];
      return [
        weight(graph, i),
        ndarray(
          type.dtype,
          shape,
          Array.from({ length: count(shape) }, () => random() * 2 - 1),
        ),
      ];
    }),
  );
}

/** The gradients by each float input in order; zeros where there is none. */
export function gradients(d: Derived, inputs: Readonly<Record<string, NDArray>>): NDArray[] {
  const out = interpret(d.graph, inputs);
  return d.wrt.map((n, i) => out[gradient(i)] ?? ndarray(n.type.dtype, n.type.shape as number[]));
}

const eps = 1e-6;
const atol = 1e-5;
const rtol = 1e-3;

/** What is wrong with the derived gradient, by central differences in f64; undefined when nothing is. */
export function gradcheck(graph: Graph, inputs: Readonly<Record<string, NDArray>>): string | undefined {
  const d = derive(graph);
  const weights = cotangents(graph);
  const found = gradients(d, { ...inputs, ...weights });
  const floats = graph.outputs.filter((o) => isFloat(o.node.type.dtype));
  const loss = (at: Readonly<Record<string, NDArray>>): number => {
    const out = interpret(graph, at);
    return floats.reduce((sum, o, i) => {
      const [y, w] = [(out[o.name] as NDArray).data, (weights[weight(graph, i)] as NDArray).data];
      return sum + y.reduce((s, v, k) => s + v * (w[k] as number), 0);
    }, 0);
  };
  for (const [i, n] of d.wrt.entries()) {
    const name = n.attrs.name as string;
    const x = inputs[name] as NDArray;
    const got = found[i] as NDArray;
    if (got.dtype !== x.dtype || String(got.shape) !== String(x.shape))
      return `by ${name}: ${got.dtype}[${got.shape}] for ${x.dtype}[${x.shape}]`;
    for (let k = 0; k < x.data.length; k++) {
      const moved = (step: number): number => {
        const data = x.data.slice();
        data[k] = (data[k] as number) + step;
        return loss({ ...inputs, [name]: { ...x, data } });
      };
      const want = (moved(eps) - moved(-eps)) / (2 * eps);
      const have = got.data[k] as number;
      if (!(Math.abs(have - want) <= atol + rtol * Math.abs(want)))
        return `by ${name}[${k}]: ${have}, numerically ${want}`;
    }
  }
  return undefined;
}
