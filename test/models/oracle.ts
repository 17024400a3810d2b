import type { Program } from "sinter";
import { bindGraph, type Graph } from "../../src/ir/graph.ts";
import { interpret } from "../../src/ir/interpret.ts";
import { type NDArray, ndarray } from "../../src/ir/ndarray.ts";

/** What a program means, by the f64 interpreter. `inputs` is the program's input tree with typed arrays as leaves. */
export function oracle(
  program: Program<never, unknown> | { readonly graph: Graph },
  inputs: object,
  dims: Readonly<Record<string, number>> = {},
): Record<string, NDArray> {
  const graph = bindGraph(program.graph, dims);
  const arrays = graph.inputs.map((n) => {
    const name = n.attrs.name as string;
    return [name, ndarray(n.type.dtype, n.type.shape as number[], leaf(inputs, name))] as const;
  });
  return interpret(graph, Object.fromEntries(arrays));
}

function leaf(tree: object, path: string): ArrayLike<number> {
  let at: unknown = tree;
  for (const key of path.split(".")) at = (at as Record<string, unknown>)[key];
  return at as ArrayLike<number>;
}
