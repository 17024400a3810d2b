import type { HostTensor, Program } from "../../../src/index.ts";
import type { TensorType } from "../../../src/ir/graph.ts";
import { interpret } from "../../../src/ir/interpret.ts";
import { type NDArray, ndarray } from "../../../src/ir/ndarray.ts";

type Leaf = number | boolean | ArrayLike<number> | HostTensor;
type Leaves = { readonly [key: string]: Leaves } | readonly Leaves[] | Leaf;

const isLeaf = (v: unknown): v is Leaf =>
  typeof v === "number" ||
  typeof v === "boolean" ||
  ArrayBuffer.isView(v) ||
  (v as { data?: unknown }).data !== undefined;

/** The leaves of a tree of values by path; an array of numbers is a leaf and a branch of numbers. */
function byPath(tree: unknown, path = "", out = new Map<string, Leaf>()): Map<string, Leaf> {
  if (isLeaf(tree) || (Array.isArray(tree) && typeof tree[0] === "number")) out.set(path, tree as Leaf);
  if (!isLeaf(tree))
    for (const [k, v] of Object.entries(tree as object)) byPath(v, path === "" ? k : `${path}.${k}`, out);
  return out;
}

function arrayFor(name: string, type: TensorType, value: Leaf | undefined): NDArray {
  if (value === undefined) throw new Error(`no value for ${name}`);
  const data =
    typeof value === "object"
      ? "data" in value
        ? (value.data as ArrayLike<number>)
        : (value as ArrayLike<number>)
      : [Number(value)];
  return ndarray(type.dtype, type.shape as number[], data);
}

/** A program run step by step on the interpreter, its state kept between runs: what a session is on a GPU. */
export class Interpreted {
  readonly #graph: Program["graph"];
  readonly state = new Map<string, NDArray>();

  constructor(program: Pick<Program, "graph">, state: Leaves) {
    this.#graph = program.graph;
    const given = byPath(state);
    for (const n of program.graph.inputs) {
      if (n.attrs.role !== "state") continue;
      const name = n.attrs.name as string;
      this.state.set(name, arrayFor(name, n.type, given.get(name)));
    }
  }

  /** The results of one run by path. */
  run(inputs: Leaves = {}): Record<string, number[]> {
    const given = byPath(inputs);
    const values = Object.fromEntries(
      this.#graph.inputs.map((n) => {
        const name = n.attrs.name as string;
        return [name, this.state.get(name) ?? arrayFor(name, n.type, given.get(name))];
      }),
    );
    const out = interpret(this.#graph, values);
    for (const name of this.state.keys()) this.state.set(name, out[name] as NDArray);
    return Object.fromEntries(Object.entries(out).map(([name, x]) => [name, [...x.data]]));
  }
}
