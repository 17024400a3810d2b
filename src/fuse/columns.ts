import type { Node } from "../ir/graph.ts";
import { trailing } from "./fuser.ts";
import { rowsOf } from "./groups.ts";
import { countOf, shapeOf } from "./pull.ts";
import type { Region } from "./region.ts";

/** Sums along the columns of each of `parts` blocks of `length` rows, the last of which may be shorter. */
export interface ColumnSum {
  /** The result, of shape [parts, columns] or [parts, 1, columns]. */
  readonly sum: Node;
  /** What is added up: elements of all rows, in row-major order. */
  readonly of: Node;
  readonly parts: number;
  readonly length: number;
}

/** What a sum along columns adds up, where it is one over blocks of rows; rows that fill up the last block left out. */
export function columnSumOf(sum: Node): ColumnSum | undefined {
  const [blocks] = sum.args as [Node];
  if (sum.op !== "sum" || sum.type.dtype !== "f32" || String(sum.attrs.axes) !== "1") return undefined;
  const [parts, length, columns] = shapeOf(blocks);
  if (shapeOf(blocks).length !== 3 || !parts || !length || !columns) return undefined;
  let of = blocks;
  while (of.op === "reshape") [of] = of.args as [Node];
  if (!fillsUp(of, columns)) return { sum, of: blocks, parts, length };
  return { sum, of: of.args[0] as Node, parts, length };
}

/** Are zeros all that is new in `n`, after the rows of what it pads? */
function fillsUp(n: Node, columns: number): boolean {
  const { low, high, mode, value } = n.attrs as Record<string, unknown>;
  const after = high as readonly number[] | undefined;
  return (
    n.op === "pad" &&
    mode === "constant" &&
    value === 0 &&
    (low as readonly number[]).every((v) => v === 0) &&
    (after as readonly number[]).every((v, i) => i === 0 || v === 0) &&
    shapeOf(n).length === 2 &&
    shapeOf(n)[1] === columns
  );
}

/** The column sums that a row kernel computes of the rows that pass through it. */
export function columnSumsOf(region: Pick<Region, "family" | "space" | "axes" | "anchors">): readonly ColumnSum[] {
  if (region.family !== "row" || !trailing(region)) return [];
  return region.anchors.flatMap((n) => (countOf(n) === rowsOf(region) ? [] : (columnSumOf(n) ?? [])));
}

/** Floats of sums that an invocation keeps in registers, and steps of a row that it takes. */
const mostSums = 64;
const mostSteps = 8;

/** The least number of invocations to share a row of which each keeps the sums of its own columns, or undefined. */
export function sharingSums(columns: number, sums: number): number | undefined {
  const width = columns % 4 === 0 ? 4 : 1;
  for (let threads = 32; threads <= 256; threads *= 2) {
    const steps = Math.ceil(columns / width / threads);
    if (steps <= mostSteps && steps * width * sums <= mostSums) return threads;
  }
  return undefined;
}
