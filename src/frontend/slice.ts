import { fail } from "../base/diagnostic.ts";
import { typeText } from "../ir/graph.ts";
import { resolveAxis } from "./axes.ts";
import { enter } from "./enter.ts";
import { readOptions } from "./options.ts";
import { type Bound, part, type SliceRange } from "./slice-range.ts";
import { node, type Tensor, wrap } from "./tensor.ts";

/** Options of {@link slice}; what is left out is the whole axis, step 1. */
export interface SliceOptions {
  readonly starts?: readonly Bound[];
  readonly ends?: readonly Bound[];
  readonly steps?: readonly number[];
  /** The axes that the lists are for; the leading ones by default. */
  readonly axes?: readonly number[];
}

/**
 * A part of x, as Python slices it: `slice(x, [[0, 2], [null, null, -1]])` takes the first two of axis 0 and reverses
 * axis 1. Bounds beyond the end are clamped; axes that are not named are kept whole.
 */
export function slice(x: Tensor, ranges: readonly SliceRange[] | SliceOptions): Tensor {
  return enter((b) => {
    const arg = node("slice", x);
    const { shape } = arg.type;
    const given = toRanges(ranges, shape.length);
    if (given.length > shape.length) {
      fail("bad-axis", `slice: ${given.length} ranges for ${typeText(arg.type)} of rank ${shape.length}`, {
        hint: "give at most one range for each axis",
      });
    }
    const parts = shape.map((n, i) => part(n, given[i] ?? [], i));
    return wrap(
      b.add("slice", [arg], {
        starts: parts.map((p) => p.start),
        steps: parts.map((p) => p.step),
        sizes: parts.map((p) => p.size),
      }),
    );
  });
}

function toRanges(ranges: readonly SliceRange[] | SliceOptions, rank: number): SliceRange[] {
  if (Array.isArray(ranges)) return [...(ranges as readonly SliceRange[])];
  const o = readOptions("slice", ranges as SliceOptions, {
    starts: undefined,
    ends: undefined,
    steps: undefined,
    axes: undefined,
  });
  const { starts = [], ends = [], steps = [] } = o;
  const length = Math.max(starts.length, ends.length, steps.length, o.axes?.length ?? 0);
  const out: SliceRange[] = new Array(Math.max(rank, o.axes ? 0 : length)).fill(null);
  for (let i = 0; i < length; i++) {
    const axis = o.axes ? resolveAxis("slice", o.axes[i] ?? rank, rank, "axes") : i;
    out[axis] = [starts[i] ?? null, ends[i] ?? null, steps[i] ?? 1];
  }
  return out;
}
