import type { Node } from "../ir/graph.ts";
import { type Index, ravel, unravel, variable } from "../ir/index-expr.ts";
import { ownBindings } from "../ir/ops/wgsl.ts";
import { rowOf } from "../ir/ops.ts";
import { columnSumsOf } from "./columns.ts";
import { pointOf, rowsOf } from "./groups.ts";
import { boundBy, countOf, permutedFrom, placeOf, readsOf, shapeOf } from "./pull.ts";
import type { Region } from "./region.ts";

/** Anchors that are their first argument with some elements replaced: written over it, they touch these alone. */
const updates: ReadonlySet<string> = new Set(["scatterElements", "scatterND", "dynamicUpdateSlice"]);

/**
 * For each output of a region, the inputs that it may be written over: those of the same elements whose every read is of
 * the element that is written next. Whether anything else still needs the input is for the plan to say.
 */
export function inPlaceInputs(region: Region): ReadonlyMap<Node, readonly Node[]> {
  const out = new Map<Node, readonly Node[]>();
  const { family } = region;
  if (family === "pointwise" || family === "row" || family === "contraction") {
    const candidates = readAtPoint(region);
    // Invocations that share a row read its own values late: another may have written them by then.
    const rows = region.outputs.every((o) => countOf(o) === rowsOf(region)) ? rowsOf(region) : sizeOf(region);
    for (const o of region.outputs) {
      const whole = countOf(o) === sizeOf(region) || countOf(o) === rows || family === "contraction";
      if (permutedFrom(o) !== o || !whole) continue;
      const fits = candidates.filter((n) => n.type.dtype === o.type.dtype && countOf(n) === countOf(o));
      if (fits.length) out.set(o, fits);
    }
    for (const [update, state] of riddenStates(region)) out.set(update, [state]);
    return out;
  }
  const [anchor] = region.anchors;
  if (anchor && family === "opaque") return sharedOperands(region, anchor);
  if (anchor && updates.has(anchor.op) && region.outputs.length === 1 && region.outputs[0] === anchor) {
    const [base, ...rest] = anchor.args as [Node, ...Node[]];
    const { root } = placeOf(base);
    const input = region.inputs.find((n) => n === base || (n === root && countOf(n) === countOf(base)));
    if (input && !rest.some((n) => reaches(region, n, input))) out.set(anchor, [input]);
  }
  return out;
}

/** The blocks of states that a product's kernel writes, and the states: these are no mere offers, all else stays as it is. */
export const riddenStates = ({ family, anchors }: Pick<Region, "family" | "anchors">): ReadonlyMap<Node, Node> =>
  new Map(
    family === "contraction"
      ? anchors.flatMap((n) => (n.op === "dynamicUpdateSlice" ? [[n, n.args[0] as Node] as const] : []))
      : [],
  );

/** The operands that a kernel of the user's replaces: one buffer of its text is both, so that these are no mere offers. */
function sharedOperands(region: Region, anchor: Node): ReadonlyMap<Node, readonly Node[]> {
  const out = new Map<Node, readonly Node[]>();
  for (const b of ownBindings(anchor.attrs)) {
    const output = region.outputs.find((n) => n.attrs.index === b.result);
    if (output && b.argument !== undefined) out.set(output, [boundBy(anchor.args[b.argument] as Node)]);
  }
  return out;
}

const sizeOf = (region: Region): number => region.space.reduce((n, d) => n * d, 1);

/** Inputs that are read at the point being computed, or at its row, and nowhere else. */
function readAtPoint(region: Region): Node[] {
  const point = pointOf(region);
  const here = ravel(point.index, region.space).key;
  const row = region.family === "row" ? rowKey(region, point) : here;
  const inputs = new Set(region.inputs);
  const anchors = new Set(region.anchors);
  const elsewhere = new Set<Node>();
  const fits = new Set([sizeOf(region), region.family === "row" ? rowsOf(region) : sizeOf(region)]);
  /** Where a sum that rides in a product is stored, while what is computed from it is looked at. */
  let rider: string | undefined;
  const seen = new Set<string>();
  const visit = (n: Node, index: readonly Index[]): void => {
    if (inputs.has(n)) {
      const { key } = ravel(index, shapeOf(n));
      if (key !== (rider ?? (countOf(n) === sizeOf(region) ? here : row))) elsewhere.add(n);
      return;
    }
    const key = `${n.id}|${index.map((e) => e.key).join()}`;
    if (seen.has(key)) return;
    seen.add(key);
    if (anchors.has(n)) operands(n);
    else if (n.op === "result") visit(n.args[0] as Node, index);
    else for (const r of readsOf(n, index)) visit(r.arg, r.index);
  };
  const ridden = riddenStates(region);
  const carried = new Map(columnSumsOf(region).map((c) => [c.sum, c.of]));
  const started = new Set<Node>();
  const operands = (anchor: Node): void => {
    if (started.has(anchor)) return;
    started.add(anchor);
    const of = carried.get(anchor);
    for (const a of of ? [of] : anchor.args) {
      if (rowOf(anchor.op).kind === "reduction" && countOf(a) === sizeOf(region))
        visit(a, indexAt(a, point.index, region));
      else for (const n of region.inputs) if (reaches(region, a, n)) elsewhere.add(n);
    }
  };
  for (const o of region.outputs) {
    // Nothing is in the place of sums, whose operands are looked at below.
    if (ridden.has(o) || carried.has(o)) continue;
    // Stored through the permutation where the kernel computes what is below it, else computed where it is stored.
    const below = permutedFrom(o);
    const base = region.members.includes(below) ? below : o;
    const at = point.of(base);
    if (at) visit(base, at);
    else if (region.family === "contraction") {
      const i = variable("rider", countOf(base) - 1);
      rider = i.key;
      visit(base, unravel(i, shapeOf(base)));
      rider = undefined;
      fits.add(countOf(base));
    } else for (const n of region.inputs) if (reaches(region, o, n)) elsewhere.add(n);
  }
  for (const a of region.anchors) operands(a);
  return region.inputs.filter((n) => fits.has(countOf(n)) && !elsewhere.has(n));
}

/** Number of the row that the point is in. */
function rowKey({ space, axes }: Region, { index }: { readonly index: readonly Index[] }): string {
  const kept = space.flatMap((_, i) => (axes.includes(i) ? [] : [i]));
  return ravel(
    kept.map((i) => index[i] as Index),
    kept.map((i) => space[i] as number),
  ).key;
}

function indexAt(n: Node, index: readonly Index[], { space }: Region): readonly Index[] {
  const shape = shapeOf(n);
  const same = shape.length === space.length && shape.every((d, i) => d === space[i]);
  return same ? index : unravel(ravel(index, space), shape);
}

/** Is `input` read on the way to `n`, inside the region? */
function reaches(region: Region, n: Node, input: Node): boolean {
  const inputs = new Set(region.inputs);
  const seen = new Set<Node>();
  const visit = (x: Node): boolean => {
    if (x === input) return true;
    if (seen.has(x) || inputs.has(x)) return false;
    seen.add(x);
    return x.args.some(visit);
  };
  return visit(n);
}
