import { fail, SinterError } from "../base/diagnostic.ts";
import { shapeEqual } from "./dim.ts";
import { type Graph, isGraph, type Node, type TensorType, typeText } from "./graph.ts";
import type { OpKind } from "./op.ts";
import { attentionKernels } from "./ops/attention-type.ts";
import { hasRow, rowOf } from "./ops.ts";
import { nodeText } from "./print.ts";
import { arityProblem, attrsProblem } from "./signature.ts";

/** Where in the compiler a graph stands. */
export type Stage = "traced" | "decomposed";

/** The ops a graph may hold at each stage: whole kinds and single ops besides. */
const legal: Readonly<Record<Stage, { readonly kinds: readonly OpKind[]; readonly besides: readonly string[] }>> = {
  traced: {
    kinds: [
      "leaf",
      "elementwise",
      "reduction",
      "contraction",
      "view",
      "indexed",
      "random",
      "scan",
      "composite",
      "opaque",
    ],
    besides: [],
  },
  decomposed: {
    kinds: ["leaf", "elementwise", "reduction", "contraction", "view", "indexed", "random", "scan", "opaque"],
    besides: attentionKernels,
  },
};

/**
 * Checks what every graph must satisfy: definitions before uses, arity, attributes, stored types equal to inferred ones,
 * several results used through `result` only, unique names, and ops that are legal at the stage.
 * @throws SinterError `invalid-graph` with the offending node in its text form.
 */
export function verify(graph: Graph, stage: Stage = "traced"): void {
  const defined = new Set<Node>();
  const inputs = new Set(graph.inputs);
  const problem = (n: Node, message: string, hint?: string): never =>
    fail("invalid-graph", message, {
      cause: nodeText(n, (a) => `%${a.op === "input" ? a.attrs.name : a.id}`),
      ...(hint ? { hint } : {}),
      ...(n.place ? { place: n.place } : {}),
    });
  for (const n of graph.nodes) {
    if (defined.has(n)) problem(n, `a ${n.op} stands twice in the node list`);
    if (!hasRow(n.op)) problem(n, `there is no op named ${n.op}`);
    const row = rowOf(n.op);
    const { kinds, besides } = legal[stage];
    if (!kinds.includes(row.kind) && !besides.includes(n.op)) problem(n, `${n.op} is not legal in a ${stage} graph`);
    if (n.op === "input" && !inputs.has(n)) problem(n, "an input is missing from the signature");
    for (const a of n.args) {
      if (!defined.has(a)) problem(n, `${n.op} uses a value that is not defined above it`);
      if ((a.results !== undefined) !== (n.op === "result")) {
        problem(
          n,
          a.results ? `${n.op} uses a node with several results directly` : "result of a node with one result",
        );
      }
    }
    const arity = arityProblem(row, n.args.length);
    if (arity) problem(n, arity);
    const attrs = attrsProblem(row, n.attrs);
    if (attrs) problem(n, attrs.message, attrs.hint);
    checkTypes(n, problem);
    for (const v of Object.values(n.attrs)) if (isGraph(v)) verify(v, stage);
    defined.add(n);
  }
  for (const n of graph.inputs) {
    if (n.op !== "input") problem(n, `the signature lists a ${n.op}`);
    if (!defined.has(n)) problem(n, "an input is missing from the node list");
  }
  unique(
    "input",
    graph.inputs.map((n) => n.attrs.name as string),
  );
  for (const o of graph.outputs) {
    if (!defined.has(o.node)) problem(o.node, `output ${JSON.stringify(o.name)} is missing from the node list`);
    if (o.node.results) problem(o.node, `output ${JSON.stringify(o.name)} is a node with several results`);
  }
  unique(
    "output",
    graph.outputs.map((o) => o.name),
  );
}

function checkTypes(n: Node, problem: (n: Node, message: string) => never): void {
  let inferred: TensorType | readonly TensorType[];
  try {
    const args = n.op === "result" ? ((n.args[0] as Node).results ?? []) : n.args.map((a) => a.type);
    inferred = rowOf(n.op).infer(args, n.attrs);
  } catch (e) {
    if (e instanceof SinterError) problem(n, e.diagnostic.message);
    throw e;
  }
  const several = Array.isArray(inferred);
  const want = several ? (inferred as readonly TensorType[]) : [inferred as TensorType];
  const have = n.results ?? [n.type];
  const same =
    several === (n.results !== undefined) &&
    want.length === have.length &&
    want.every((t, i) => t.dtype === have[i]?.dtype && shapeEqual(t.shape, have[i].shape)) &&
    have[0] === n.type;
  if (!same)
    problem(
      n,
      `${n.op} is stored as ${have.map(typeText).join(", ")} but its arguments give ${want.map(typeText).join(", ")}`,
    );
}

function unique(what: string, names: readonly string[]): void {
  const twice = names.find((name, i) => names.indexOf(name) !== i);
  if (twice !== undefined) fail("invalid-graph", `two ${what}s are named ${JSON.stringify(twice)}`);
}
