import { fail } from "../base/diagnostic.ts";
import { shapeEqual } from "../ir/dim.ts";
import { type Graph, type GraphBuilder, type InputRole, makeGraph, type Node, typeText } from "../ir/graph.ts";
import { attachMethods } from "./attach.ts";
import { enter, leave } from "./enter.ts";
import { unknownName } from "./options.ts";
import { TensorSpec } from "./spec.ts";
import { describe, isTensor, type Tensor, wrap } from "./tensor.ts";
import { flatten, type Leaf, type MapTree, mapTree, type Tree } from "./tree.ts";

/** The inputs of a program: a spec, or an object or array of such. */
export type SpecTree = Tree<TensorSpec>;
/** The results of a traced function: a tensor, or an object or array of such. */
export type TensorTree = Tree<Tensor>;
/** The tensors a traced function gets for its specs. */
export type Traced<S> = MapTree<S, TensorSpec, Tensor>;

export interface TraceOptions<W extends string = string, D extends string = string> {
  /** Inputs that are given once, when the program is loaded. A name stands for everything below it. */
  readonly weights?: readonly W[];
  /**
   * Inputs whose memory the program may reuse. One that is returned under the same path is state: given when the program
   * is loaded, replaced by each run.
   */
  readonly donate?: readonly D[];
}

/** A traced program: the graph and the trees its flat names stand for. */
export interface Trace {
  readonly graph: Graph;
  readonly specs: SpecTree;
  /** The result's tree; each leaf is the name of a graph output. */
  readonly outputs: Tree<OutputName>;
}

/** A leaf of the tree of outputs. */
export class OutputName {
  readonly name: string;
  constructor(name: string) {
    this.name = name;
  }
}
export const isOutputName = (v: unknown): v is OutputName => v instanceof OutputName;

/** The name of a lone input and of a lone output. */
export const loneInput = "in";
export const loneOutput = "out";

export const isSpec = (v: unknown): v is TensorSpec => v instanceof TensorSpec;

export const flattenSpecs = (specs: unknown): Leaf<TensorSpec>[] =>
  flatten(specs, isSpec, loneInput, {
    tree: "the inputs",
    leaf: "a spec",
    hint: "declare inputs as { x: f32(8, 64) }, with f32, f16, i32, u32 or bool",
  });

/** What the calls of a trace are numbered by. */
let counters: { streams: number; keys: number } | undefined;

/** A number for each random op of a trace, so that two of one seed differ. */
export function nextStream(op: string): number {
  if (!counters) {
    return fail("outside-trace", `${op} was called outside a traced function`, {
      cause: "each random op of a program draws from a stream of its own, numbered in the order of the calls",
      hint: "call it inside the function given to compile",
    });
  }
  return counters.streams++;
}

/** A number for each function of a trace that is computed again in a backward pass. */
export const nextKey = (): number => (counters ? counters.keys++ : 0);

/** Calls `fn` once with symbolic tensors for `specs`; what it returns becomes the graph's outputs. */
export function trace<S, R>(specs: S, fn: (inputs: Traced<S>) => R, options: TraceOptions = {}): Trace {
  return enter((b) => {
    attachMethods();
    const leaves = flattenSpecs(specs);
    const weights = select("weights", options.weights, leaves);
    const donated = select("donate", options.donate, leaves);
    refuseBoth(weights, donated);
    const inputs = new Map<string, Input>();
    for (const { path, value } of leaves) {
      inputs.set(path, input(b, path, value, weights.has(path) ? "weight" : "data"));
    }
    const result = call(
      fn,
      mapTree(specs, isSpec, loneInput, (path) => wrap(inputs.get(path)?.node as Node)) as Traced<S>,
    );
    const outputs = flatten(result, isTensor, loneOutput, {
      tree: "the result of the traced function",
      leaf: "a tensor",
      hint: "return a tensor or nested objects and arrays of tensors; constant(2) makes a tensor of a number",
    });
    if (outputs.length === 0) {
      fail("no-output", "the traced function returned no tensor", { hint: "return a tensor, or an object of tensors" });
    }
    for (const { path, value } of outputs) if (donated.has(path)) becomeState(inputs.get(path) as Input, value);
    const graph = makeGraph(
      [...inputs.values()].map((i) => i.node),
      outputs.map((o) => ({ name: o.path, node: o.value.node })),
    );
    refuseStrangers(graph);
    return {
      graph,
      specs: specs as SpecTree,
      outputs: mapTree(result, isTensor, loneOutput, (path) => new OutputName(path)) as Tree<OutputName>,
    };
  });
}

/** An input and its role, which is settled when the outputs are known. */
interface Input {
  readonly node: Node;
  readonly attrs: { role: InputRole };
}

function input(b: GraphBuilder, name: string, spec: TensorSpec, role: InputRole): Input {
  const attrs = { name, dtype: spec.dtype, shape: spec.shape, role };
  return { node: b.add("input", [], attrs), attrs };
}

function becomeState({ node, attrs }: Input, next: Tensor): void {
  const [was, is] = [node.type, next.node.type];
  if (was.dtype !== is.dtype || !shapeEqual(was.shape, is.shape)) {
    fail(
      "state-mismatch",
      `state ${JSON.stringify(node.attrs.name)} is ${typeText(was)} but its next value is ${typeText(is)}`,
      {
        cause:
          "an input that is donated and returned under its own path is replaced by each run, so dtype and shape stay",
        hint: "cast or reshape the next value, or return it under another name",
      },
    );
  }
  attrs.role = "state";
}

function call<S, R>(fn: (inputs: Traced<S>) => R, inputs: Traced<S>): R {
  if (typeof fn !== "function")
    fail("bad-option", `compile takes the function to trace second, not ${describe(fn)}`, {
      hint: "write compile({ x: f32(8) }, ({ x }) => …)",
    });
  const outer = counters;
  counters = { streams: 0, keys: 0 };
  try {
    const result = leave(() => fn(inputs));
    if (result instanceof Promise) {
      fail("bad-tree", "the traced function returned a promise", {
        cause: "tracing calls the function once and reads its result at once",
        hint: "load data before compile, and make the function synchronous",
      });
    }
    return result;
  } finally {
    counters = outer;
  }
}

/** The paths of inputs that `names` select. */
function select(
  option: string,
  names: readonly string[] | undefined,
  inputs: readonly Leaf<TensorSpec>[],
): Set<string> {
  if (names !== undefined && !Array.isArray(names)) {
    fail("bad-option", `compile: ${option} is ${describe(names)}, not a list of inputs`, {
      hint: `write { ${option}: ["${String(names)}"] }`,
    });
  }
  const out = new Set<string>();
  for (const name of names ?? []) {
    const hits = inputs.filter(({ path }) => path === name || path.startsWith(`${name}.`));
    if (hits.length === 0) {
      const known = new Set(inputs.flatMap(({ path }) => prefixes(path)));
      unknownName("unknown-input", `${option} names no input`, name, [...known]);
    }
    for (const h of hits) out.add(h.path);
  }
  return out;
}

/** `a`, `a.b`, `a.b.c` */
const prefixes = (path: string): string[] => path.split(".").map((_, i, keys) => keys.slice(0, i + 1).join("."));

function refuseBoth(weights: ReadonlySet<string>, donated: ReadonlySet<string>): void {
  const both = [...weights].find((p) => donated.has(p));
  if (both === undefined) return;
  fail("bad-option", `${JSON.stringify(both)} is in weights and in donate`, {
    cause: "weights stay as they are, donated inputs may be overwritten",
    hint: "name it in one of them",
  });
}

/** Tensors of another trace have no value in this one. */
function refuseStrangers(graph: Graph): void {
  const own = new Set(graph.inputs);
  const stranger = graph.nodes.find((n) => n.op === "input" && !own.has(n));
  if (!stranger) return;
  const user = graph.nodes.find((n) => n.args.includes(stranger));
  fail("foreign-tensor", `the input ${JSON.stringify(stranger.attrs.name)} of another traced function is used`, {
    cause: "a tensor belongs to the call of compile that made it",
    hint: "declare it as an input of this program too",
    ...(user?.place ? { place: user.place } : {}),
  });
}
