import { permutedFrom } from "../fuse/pull.ts";
import type { Region } from "../fuse/region.ts";
import { type Rider, ridersOf, type Side } from "../fuse/riders.ts";
import type { Node } from "../ir/graph.ts";
import { add, type Index, indexText, int, scale, unravel } from "../ir/index-expr.ts";
import { always } from "./agree.ts";
import { lane, shapeOf, type Value } from "./emitter.ts";
import type { Frame } from "./kernel.ts";

/** What a contraction stores beside its product: sums of an operand over the axis that the product sums over. */
export interface Riding {
  readonly riders: readonly (Rider & { readonly outputs: readonly Node[] })[];
  /** Outputs that the product is computed into. */
  readonly outputs: readonly Node[];
}

export function ridingOf(region: Region): Riding {
  const riders = ridersOf(region).map((r) => ({
    ...r,
    outputs: region.outputs.filter((o) => leadsTo(region, o, r.sum)),
  }));
  const own = new Set(riders.flatMap((r) => r.outputs));
  return { riders, outputs: region.outputs.filter((o) => !own.has(o)) };
}

export const ridesOn = (region: Region, side: Side): boolean => ridersOf(region).some((r) => r.side === side);

function leadsTo(region: Region, from: Node, target: Node): boolean {
  const inputs = new Set(region.inputs);
  const seen = new Set<Node>();
  const visit = (n: Node): boolean => {
    if (n === target) return true;
    if (seen.has(n) || inputs.has(n)) return false;
    seen.add(n);
    return n.args.some(visit);
  };
  return visit(from);
}

/** Stores sums of one side of the product at `index`, which may have lanes. */
export function writeSums(frame: Frame, side: Side, index: Index, value: Value): void {
  const { e, region, outputs } = frame;
  const stores = ridingOf(region)
    .riders.filter((r) => r.side === side)
    .flatMap((r) => {
      e.provide(r.sum, () => value);
      return r.outputs.map((n) => {
        const base = region.members.includes(permutedFrom(n)) ? permutedFrom(n) : n;
        const v = e.result(base, unravel(index, shapeOf(base)));
        // A line of elements: their order is the same through any reshape or transpose.
        return (): void => e.store(outputs.get(n)!, index, v);
      });
    });
  for (const store of stores) store();
}

/**
 * Stores four neighbouring sums, or the first `count`, those that lie below `size`: one by one where that is no multiple
 * of four.
 */
export function writeFourSums(frame: Frame, side: Side, first: Index, size: number, value: Value, count = 4): void {
  const { e } = frame;
  if (always(frame.region, size % 4 === 0) && count === 4) {
    e.open(first.max + 3 < size ? "{" : `if (${indexText(first)} < ${size}u) {`);
    e.width = 4;
    // A name whose range is known to end below the size, as the guard has it.
    const vector = first.max < size ? first : scale(e.opaque(`(${indexText(first)}) / 4u`, size / 4 - 1, e.depth), 4);
    writeSums(frame, side, add(vector, lane(4)), { ...value, depth: e.depth });
    e.close();
    return;
  }
  for (let l = 0; l < count; l++) {
    const at = add(first, int(l));
    e.open(at.max < size ? "{" : `if (${indexText(at)} < ${size}u) {`);
    e.width = 1;
    const index = at.max < size ? at : e.opaque(indexText(at), size - 1, e.depth);
    writeSums(frame, side, index, { ...value, text: `${value.text}.${"xyzw"[l]}`, width: 1, depth: e.depth });
    e.close();
  }
}
