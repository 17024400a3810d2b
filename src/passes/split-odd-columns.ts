import type { GraphBuilder, Node } from "../ir/graph.ts";
import { reshape } from "../ir/ops/composite-helpers.ts";
import { sliceAttrs } from "../ir/ops/view.ts";
import type { Runs } from "./split-reductions.ts";

/** Vectors, or where rows together are none single elements, of all lines: as many invocations read them. */
const readers = { ofVectors: 3 * 2 ** 14, ofSingle: 2 ** 18 };
/** Terms of each sum at least. */
const shortest = 8;

/**
 * A reduction along columns that are no whole number of vectors, in two stages: several rows end to end are a line, of a length
 * that is; the first stage reduces the lines, the second the rows of the one that is left, and those that filled no line.
 */
export function splitOddColumns(b: GraphBuilder, n: Node, [x]: readonly Node[], runs: Runs): Node[] | undefined {
  const [rows, columns] = runs.sizes as [number, number];
  const whole = rows * columns;
  if (n.op === "reduce" || runs.sizes.length !== 2 || n.results || !x) return undefined;
  const unit = whole % 4 === 0 ? (columns % 2 === 0 ? 2 : 4) : 1;
  const wanted = unit === 1 ? readers.ofSingle / columns : (4 * readers.ofVectors) / columns;
  const lines = linesOf(rows, wanted, unit);
  if (lines < 2) return undefined;
  const terms = Math.floor(rows / lines);
  const { dtype } = n.type;
  // Partial results of f16 values must not be rounded to f16 between the stages.
  const wide = x.type.dtype === "f16" ? b.add("cast", [x], { dtype: "f32" }) : x;
  const flat = reshape(b, wide, [rows, columns]);
  const part = (from: number, count: number): Node =>
    count === rows ? flat : b.add("slice", [flat], sliceAttrs([rows, columns], 0, from, count));
  const attrs = { ...n.attrs, keepDims: false, axes: [0] };
  const first = b.add(n.op, [reshape(b, part(0, terms * lines), [terms, lines * columns])], attrs);
  const sums = reshape(b, first, [lines, columns]);
  const rest = rows - terms * lines;
  const all = rest ? b.add("concat", [sums, part(terms * lines, rest)], { axis: 0 }) : sums;
  const done = b.add(n.op, [all], attrs);
  return [reshape(b, done.type.dtype === dtype ? done : b.add("cast", [done], { dtype }), n.type.shape as number[])];
}

/** Rows a line, a multiple of `unit`: of numbers near the one that is wanted, one that leaves few rows. */
function linesOf(rows: number, wanted: number, unit: number): number {
  const most = Math.floor(Math.min(1.25 * wanted, rows / shortest) / unit);
  const least = Math.max(1, Math.floor((0.75 * wanted) / unit));
  let best = most * unit;
  for (let k = most; k >= least; k--) if (rows % (k * unit) < rows % best) best = k * unit;
  return Math.max(best, wanted < unit && rows >= unit * shortest ? unit : 0);
}
