import type { Region } from "../fuse/region.ts";
import type { Node } from "../ir/graph.ts";
import { add, type Index, scale, unravel } from "../ir/index-expr.ts";
import { elements, lane, type Value } from "./emitter.ts";
import type { Frame } from "./kernel.ts";
import type { Held } from "./row-powers.ts";
import type { RowSchedule } from "./row-schedule.ts";

interface Shared {
  readonly name: string;
  readonly type: string;
  readonly size: number;
  readonly bytes: number;
  /** For one use alone. */
  readonly apart?: boolean;
}

export interface RowWriter {
  readonly frame: Frame;
  readonly s: RowSchedule;
  readonly row: Index;
  /** Number of the invocation among those that share the row. */
  readonly thread: Index;
  readonly valid: string;
  /** Workgroup arrays, shared by the reductions. */
  readonly shared: Shared[];
  /** Times that states were exchanged between subgroups. */
  turns: number;
  /** Powers that outputs find where the reductions left them. */
  held?: Held;
  /** Outputs whose buffer already keeps an operand: a second one would write over it. */
  readonly taken: Set<Node>;
  /** Reductions of earlier levels. */
  readonly done: Set<Node>;
  /** May some invocations have a step of a row more than others where steps are written out? */
  readonly uneven?: boolean;
  usesSubgroups: boolean;
}

/** Reductions in groups that need only earlier groups' results. */
export function levelsOf(region: Region, anchorList: readonly Node[] = region.anchors): Node[][] {
  const anchors = new Set(anchorList);
  const level = new Map<Node, number>();
  const depth = (n: Node): number => {
    const known = level.get(n);
    if (known !== undefined) return known;
    // Anything loaded is available from the start.
    const below = region.inputs.includes(n) ? 0 : Math.max(0, ...n.args.map(depth));
    const d = below + (anchors.has(n) ? 1 : 0);
    level.set(n, d);
    return d;
  };
  const out: Node[][] = [];
  for (const a of anchorList) (out[depth(a) - 1] ??= []).push(a);
  return out.filter((l) => l);
}

/** Full index of the region's space at (row, col). */
export function spaceIndex(w: RowWriter, col: Index): Index[] {
  const { space, axes } = w.frame.region;
  const kept = space.flatMap((_, i) => (axes.includes(i) ? [] : [i]));
  const rowIndex = unravel(
    w.row,
    kept.map((i) => space[i] as number),
  );
  const colIndex = unravel(
    col,
    axes.map((i) => space[i] as number),
  );
  return space.map((_, i) => (axes.includes(i) ? colIndex[axes.indexOf(i)] : rowIndex[kept.indexOf(i)]) as Index);
}

/** The column, or vector of columns, that a step computes. */
export const colAt = (step: Index, width: number): Index => (width === 1 ? step : add(scale(step, width), lane(width)));

export function provideResults(w: RowWriter, node: Node, values: readonly Value[]): void {
  const { e, region } = w.frame;
  if (!node.results) {
    e.provide(node, () => values[0] as Value);
    return;
  }
  const read = (n: Node): void => {
    e.provide(n, () => values[n.attrs.index as number] as Value);
  };
  for (const n of region.members) if (n.op === "result" && n.args[0] === node) read(n);
}

/** Outputs of one value a row, and of one an element. */
export function outputsOf({ frame: { region }, s }: RowWriter, list: readonly Node[] = region.outputs) {
  const size = region.space.reduce((n, d) => n * d, 1);
  const perRow = list.filter((n) => isPerRow(n, region, s, size));
  return { perRow, full: list.filter((n) => !perRow.includes(n)), size };
}

/** Computes what there is one of a row, and returns what stores it. */
export function rowValues(w: RowWriter, perRow: readonly Node[]): (() => void)[] {
  const { e, outputs } = w.frame;
  return perRow.map((n) => {
    const value = e.result(n, unravel(w.row, n.type.shape as readonly number[]));
    return () => e.store(outputs.get(n)!, w.row, value);
  });
}

/** Stores what there is one of a row, by one of the invocations that share it. */
export function writePerRow(w: RowWriter, perRow: readonly Node[]): void {
  if (perRow.length === 0) return;
  const { e } = w.frame;
  const guards = [...(w.valid ? [w.valid] : []), ...(w.s.threads > 1 ? ["thread == 0u"] : [])];
  e.open(guards.length ? `if (${guards.join(" && ")}) {` : "{");
  e.width = w.s.rowWidth;
  for (const store of rowValues(w, perRow)) store();
  e.close();
}

/** One value a row rather than one an element; where both counts agree the reductions themselves decide. */
function isPerRow(n: Node, region: Region, s: RowSchedule, size: number): boolean {
  if (elements(n) !== s.rows) return false;
  if (s.rows !== size) return true;
  return region.anchors.includes(n) || n.op === "result";
}
