import { compile, type Tensor, type TensorSpec, valueAndGrad } from "../../src/index.ts";
import { bindGraph, type Graph } from "../../src/ir/graph.ts";
import { interpret } from "../../src/ir/interpret.ts";
import { count, type NDArray, ndarray } from "../../src/ir/ndarray.ts";
import { randomOf } from "../support/values.ts";

export type Arrays = Record<string, NDArray>;

/** Values from -1.5 to 1.5 for the inputs of a graph; integers are 0, 1 or 2. */
export function values(graph: Graph, seed = 1): Arrays {
  const random = randomOf(seed);
  return Object.fromEntries(
    graph.inputs.map(({ attrs, type }) => {
      const shape = type.shape as number[];
      const draw = () => (type.dtype === "f32" ? random() * 3 - 1.5 : Math.floor(random() * 3));
      return [attrs.name as string, ndarray(type.dtype, shape, Array.from({ length: count(shape) }, draw))];
    }),
  );
}

/** The derivative of output `value` by each element of one input, by central differences. */
function differences(graph: Graph, inputs: Arrays, name: string): number[] {
  const x = inputs[name] as NDArray;
  const at = (i: number, step: number): number => {
    const data = x.data.slice();
    data[i] = (data[i] as number) + step;
    return interpret(graph, { ...inputs, [name]: { ...x, data } }).value?.data[0] as number;
  };
  return Array.from(x.data, (_, i) => (at(i, 1e-6) - at(i, -1e-6)) / 2e-6);
}

/** Largest difference between the gradients of a program of `valueAndGrad` by its inputs `p` and the numerical ones. */
export function worst(graph: Graph, inputs: Arrays): number {
  const out = interpret(graph, inputs);
  let most = 0;
  for (const o of graph.outputs) {
    if (!o.name.startsWith("grad")) continue;
    const wanted = differences(graph, inputs, o.name.replace("grad", "p"));
    const found = (out[o.name] as NDArray).data;
    wanted.forEach((w, i) => {
      const error = Math.abs(w - (found[i] as number)) / (1 + Math.abs(w));
      // NaN counts as the worst.
      if (!(error <= most)) most = error;
    });
  }
  return most;
}

/** The error of the gradient of `fn` by a tree `p` of specs, on random values. */
export function error<P, E extends Record<string, TensorSpec>>(
  p: P,
  fn: (p: never, extra: Record<keyof E, Tensor>) => Tensor,
  extra?: E,
  dims: Readonly<Record<string, number>> = {},
): number {
  const program = compile({ p, ...(extra as object) } as unknown as Record<string, never>, ({ p, ...rest }) =>
    valueAndGrad(fn as (p: unknown, rest: unknown) => Tensor)(p, rest),
  );
  const graph = bindGraph(program.graph, dims);
  return worst(graph, values(graph));
}
