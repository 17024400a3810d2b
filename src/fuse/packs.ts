import { type Graph, type GraphBuilder, type Node, rewriteGraph } from "../ir/graph.ts";
import { windowAlignment } from "../ir/ops/memory.ts";
import { replacesOperand } from "./own-operands.ts";
import { countOf, isStored, isZero, placeOf, shapeOf } from "./pull.ts";

/**
 * Gives every argument of a pack a place that no other pack claims: one that is packed twice, is a constant, is only a
 * part of what is stored, or is an input beside others that are no inputs of its role, is copied into the pack. Zeros need
 * no place: a pack's memory is zero where nothing is written.
 */
export function separatePacks(graph: Graph): Graph {
  const taken = new Set<Node>();
  return rewriteGraph(graph, (n, given, b) => {
    if (n.op !== "pack") return undefined;
    const args = given.flatMap((a) => splitPadding(b, a));
    const inputs = areInputs(args);
    const placed = args.map((a) => {
      const { root } = placeOf(a);
      if (isZero(a)) return a;
      const whole = countOf(root) === countOf(a) && !taken.has(root);
      taken.add(root);
      const own = root.op === "input" ? inputs : !isStored(root) && root.op !== "const" && !replacesOperand(root);
      return whole && own ? a : b.add("cast", [a], { dtype: a.type.dtype });
    });
    return placed.every((a, i) => a === given[i]) ? undefined : b.add("pack", placed);
  });
}

/** Whether all are inputs of one role: these can be given to the program in one piece of memory. */
function areInputs(args: readonly Node[]): boolean {
  const roots = args.map((a) => placeOf(a).root).filter((r) => !isZero(r));
  const role = roots[0]?.attrs.role;
  return roots.every((r) => r.op === "input" && r.attrs.role === role);
}

/** A tensor that ends in zeros is two arguments where these begin at the alignment: the gradient of a table's first rows. */
function splitPadding(b: GraphBuilder, a: Node): readonly Node[] {
  const pad = a.op === "reshape" ? (a.args[0] as Node) : a;
  const [x] = pad.args;
  if (pad.op !== "pad" || !x || pad.attrs.mode !== "constant" || pad.attrs.value !== 0) return [a];
  const [low, high] = [pad.attrs.low as readonly number[], pad.attrs.high as readonly number[]];
  const axis = high.findIndex((h) => h > 0);
  const atEnd = low.every((l) => l === 0) && high.every((h, i) => h === 0 || i === axis);
  const outermost = shapeOf(pad).every((d, i) => i >= axis || d === 1);
  if (!atEnd || !outermost || countOf(x) % windowAlignment(a.type.dtype) !== 0) return [a];
  return [x, b.const(0, a.type.dtype, [countOf(pad) - countOf(x)])];
}
