import { fail } from "../../src/base/diagnostic.ts";
import { tensorBytes } from "../../src/base/dtype.ts";
import { opName } from "../../src/fuse/explain.ts";
import { fuse } from "../../src/fuse/fuse.ts";
import { inPlaceInputs } from "../../src/fuse/in-place.ts";
import { legalise } from "../../src/fuse/legalise.ts";
import { countOf, placeOf } from "../../src/fuse/pull.ts";
import type { Agreement, Region, Slot } from "../../src/fuse/region.ts";
import { type Graph, GraphBuilder, makeGraph, type Node } from "../../src/ir/graph.ts";
import type { Capabilities } from "../../src/manifest/manifest.ts";
import { optimise } from "../../src/passes/pipeline.ts";
import type { Decide } from "../../src/passes/split-reductions.ts";
import { isScalarInput, type Kernel } from "../../src/wgsl/kernel.ts";
import { writeKernel } from "../../src/wgsl/write.ts";
import { NotUniform, type ScalarArgument } from "./text.ts";

/** What one storage binding of a kernel holds: a tensor of the signature by its name, or an intermediate result. */
export type Held = { readonly tensor: string } | { readonly scratch: number };

/** A kernel of the definition at one point. */
export interface PointStep {
  readonly label: string;
  /** Its text and interface, with the structure that is agreed on. */
  readonly write: (agreement: Agreement) => Kernel;
  readonly holds: readonly Held[];
  readonly dtypes: readonly Node["type"]["dtype"][];
  readonly scalars: ReadonlyMap<number, ScalarArgument>;
}

export interface PointKernels {
  readonly steps: readonly PointStep[];
  /** Bytes of each intermediate result. */
  readonly scratch: readonly number[];
}

/** A graph of concrete shapes in the form that kernels are written for. `decide` sees what the sizes suggest. */
export function lowered(graph: Graph, decide: Decide): Graph {
  const limit = 8;
  return legalise(ownOutputs(legalise(optimise(graph, { parts: 1024, decide }), limit, true)), limit, true);
}

/** Outputs that are one tensor become copies of it: each is a buffer of the caller's. */
function ownOutputs(g: Graph): Graph {
  const b = new GraphBuilder();
  const taken = new Set<Node>();
  return makeGraph(
    g.inputs,
    g.outputs.map(({ name, node }) => {
      const { root } = placeOf(node);
      b.place = node.place;
      const own = taken.has(root) ? b.add("cast", [node], { dtype: node.type.dtype }) : node;
      taken.add(placeOf(own).root);
      return { name, node: own };
    }),
  );
}

/**
 * The kernels of a lowered graph for a device, each with what its bindings hold.
 * @param anywhere tensors of the signature may begin at any element
 */
export function kernelsAt(graph: Graph, capabilities: Capabilities, anywhere: boolean): PointKernels {
  const scalars = graph.inputs.filter(isScalarInput).length;
  const { limits } = capabilities;
  // Scalars are words of the argument block and take no binding.
  const roomy = { ...limits, maxStorageBuffersPerShaderStage: limits.maxStorageBuffersPerShaderStage + scalars };
  const unlimited = { maxStorageBufferBindingSize: 2 ** 40, maxBufferSize: 2 ** 40 };
  const { regions } = fuse(graph, { ...capabilities, limits: { ...roomy, ...unlimited } }, "legal", undefined, true);
  const ports = portsOf(graph);
  const scratch: Node[] = [];
  // What a kernel of the user's replaces lies where the new value does.
  const replaced = new Map(
    regions.flatMap((r) =>
      r.family === "opaque" ? [...inPlaceInputs(r)].map(([o, [n]]) => [placeOf(n as Node).root, o] as const) : [],
    ),
  );
  const holder = (n: Node): Held => {
    const place = placeOf(n);
    let { root } = place;
    const { offset } = place;
    for (let next = replaced.get(root); next; next = replaced.get(root)) root = next;
    if (root.op === "literal") {
      throw new NotUniform("it reads a table of constants; give that as an input");
    }
    if (root.op === "pack" || offset !== 0)
      throw new NotUniform("it packs tensors; give the packed tensor as an input");
    const port = ports.get(root);
    if (port !== undefined) return { tensor: port };
    if (!scratch.includes(root)) scratch.push(root);
    return { scratch: scratch.indexOf(root) };
  };
  checkReplaced(graph, regions);
  const steps = regions.map((r): PointStep => {
    const slots = slotsFor(graph, r).map((s) => ({ ...s, anywhere: anywhere && ports.has(rootOf(s)) }));
    const bound = slots.filter((s) => !isScalarInput((s.input ?? s.output) as Node));
    return {
      label: `${r.family}: ${[...new Set(r.members.filter((n) => n.op !== "result").map(opName))].join(" ")}`,
      write: (uniform) => writeKernel({ ...r, slots, uniform }, capabilities),
      holds: bound.map((s) => holder((s.output ?? s.input) as Node)),
      dtypes: bound.map((s) => ((s.input ?? s.output) as Node).type.dtype),
      scalars: new Map(slots.flatMap(({ input }, i) => (input && isScalarInput(input) ? [[i, scalarOf(input)]] : []))),
    };
  });
  return { steps, scratch: scratch.map((n) => tensorBytes(n.type.dtype, countOf(n))) };
}

const rootOf = (s: Slot): Node => placeOf((s.output ?? s.input) as Node).root;

/** The tensors of the signature by their nodes. The next value of a state is the state. */
const portsOf = (graph: Graph): Map<Node, string> =>
  new Map([
    ...graph.inputs.map((n) => [n, n.attrs.name as string] as const),
    ...graph.outputs.map((o) => [placeOf(o.node).root, o.name] as const),
  ]);

function scalarOf(n: Node): ScalarArgument {
  const { dtype } = n.type;
  if (dtype === "f16" || dtype === "bool") {
    return fail("bad-dtype", `scalar ${JSON.stringify(n.attrs.name)} is ${dtype}`, {
      cause: "scalars are passed as words beside the sizes",
      hint: "declare it f32(), i32() or u32() and cast it inside",
      ...(n.place ? { place: n.place } : {}),
    });
  }
  return { name: n.attrs.name as string, dtype };
}

/** States with the nodes that replace them. */
const statesOf = (graph: Graph): { readonly state: Node; readonly next: Node }[] =>
  graph.outputs.flatMap((o) => {
    const state = graph.inputs.find((n) => n.attrs.name === o.name && n.attrs.role === "state");
    return state ? [{ state, next: placeOf(o.node).root }] : [];
  });

/** Inputs, then outputs; a state and its next value in one. */
function slotsFor(graph: Graph, r: Region): readonly Slot[] {
  const over = new Map<Node, Node>();
  if (r.family === "opaque") for (const [o, [n]] of inPlaceInputs(r)) over.set(n as Node, o);
  for (const { state, next } of statesOf(graph)) {
    const output = r.outputs.find((n) => placeOf(n).root === next);
    const input = r.inputs.find((n) => placeOf(n).root === state);
    if (output && input) over.set(input, output);
  }
  const within = new Set(over.values());
  return [
    ...r.inputs.map((input): Slot => {
      const output = over.get(input);
      return output ? { input, output, access: "read_write" } : { input, access: "read" };
    }),
    ...r.outputs.filter((o) => !within.has(o)).map((output): Slot => ({ output, access: "read_write" })),
  ];
}

/** Refuses states whose old value is still read, by another element or a later kernel, when it has been replaced. */
function checkReplaced(graph: Graph, regions: readonly Region[]): void {
  for (const { state, next } of statesOf(graph)) {
    const at = regions.findIndex((r) => r.outputs.some((n) => placeOf(n).root === next));
    const refuse = (cause: string): never =>
      fail("bad-donation", `${JSON.stringify(state.attrs.name)} cannot be replaced in place`, {
        cause,
        hint: "return the new value under another name, into a buffer of its own",
        ...(next.place ? { place: next.place } : {}),
      });
    const reads = (r: Region): Node | undefined => r.inputs.find((n) => placeOf(n).root === state);
    if (regions.slice(at + 1).some(reads)) refuse("a later kernel reads its old value");
    const region = regions[at];
    const input = region && reads(region);
    if (!region || !input) continue;
    const output = region.outputs.find((n) => placeOf(n).root === next) as Node;
    if (!inPlaceInputs(region).get(output)?.includes(input)) {
      refuse("elements of the new value are computed from other elements of the old one");
    }
  }
}
