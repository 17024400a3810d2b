import { type ColumnSum, columnSumsOf, sharingSums } from "../fuse/columns.ts";
import type { Region } from "../fuse/region.ts";
import { add, type Index, indexText, int, ravel, unravel, variable } from "../ir/index-expr.ts";
import type { Capabilities } from "../manifest/manifest.ts";
import { type Emitter, shapeOf, type Value } from "./emitter.ts";
import { closeFrame, type Kernel, openFrame, storesAt } from "./kernel.ts";
import { reduceLevel } from "./row.ts";
import { colAt, levelsOf, outputsOf, type RowWriter, spaceIndex, writePerRow } from "./row-parts.ts";
import { floorPow2, type RowSchedule, rowsOf } from "./row-schedule.ts";
import { typeOf } from "./storage.ts";

/** Rows that a workgroup has under way at a time: as many as make this number of invocations. */
const invocations = 128;

/** Bytes of workgroup memory in which the rows that are under way at a time add up one of their sums. */
const meetingBytes = (s: RowSchedule): number => s.rowsPerGroup * stepsOf(s) * s.threads * s.colWidth * 4;

/** Steps of an invocation along a row; the last may lie beyond its end. */
const stepsOf = (s: RowSchedule): number => Math.ceil(s.cols / s.colWidth / s.threads);

/** Every schedule worth a measurement for a row kernel that carries column sums, the one that is taken without any first. */
export function columnSchedules(region: Region, capabilities: Capabilities): readonly RowSchedule[] {
  const sums = columnSumsOf(region);
  const r = rowsOf(region, capabilities);
  const { maxComputeInvocationsPerWorkgroup: most, maxComputeWorkgroupStorageSize: bytes } = capabilities.limits;
  const least = sharingSums(r.cols, sums.length) ?? 256;
  const at = (threads: number, size: number): RowSchedule => {
    const make = (rowsPerGroup: number): RowSchedule => ({
      ...{ ...r, rowWidth: 1, contiguous: true, threads, rowsPerGroup },
      name: `columns_${threads}x${rowsPerGroup}`,
    });
    let rows = floorPow2(Math.min(Math.max(1, Math.min(size, most) / threads), sums[0]?.length ?? 1));
    // Beside what reductions along rows exchange: a few numbers an invocation.
    while (rows > 1 && meetingBytes(make(rows)) + 16 * threads * rows > bytes) rows /= 2;
    return make(rows);
  };
  const shares = [least, 2 * least, 4 * least].filter((t) => t <= Math.min(256, most));
  const list = [at(least, invocations), ...shares.flatMap((t) => [at(t, 64), at(t, 128), at(t, 256), at(t, 512)])];
  return [...new Map(list.map((s) => [s.name, s])).values()];
}

/**
 * A row kernel that carries column sums: a workgroup goes through a block of rows, `rowsPerGroup` at a time with `threads` invocations
 * each. An invocation has the same columns of every row and keeps their sums in registers; at the end those of the workgroup's
 * rows are added in order, and one row of partial sums is stored.
 */
export function writeRowColumns(region: Region, capabilities: Capabilities, s: RowSchedule): Kernel {
  const sums = columnSumsOf(region);
  const [{ parts, length }] = sums as [ColumnSum];
  const frame = openFrame(region, capabilities);
  const { e, outputs } = frame;
  const slots = s.rowsPerGroup;
  const thread = e.index("thread", s.threads - 1, slots === 1 ? "lid" : `lid % ${s.threads}u`);
  e.line(`let row_first = group * ${length}u${slots === 1 ? "" : ` + lid / ${s.threads}u`};`);
  const steps = Array.from({ length: stepsOf(s) }, (_, j) => add(thread, int(j * s.threads)));
  const type = typeOf("f32", s.colWidth);
  const names = sums.map(() =>
    steps.map(() => {
      const name = e.fresh("column");
      e.line(`var ${name} = ${type}();`);
      return name;
    }),
  );
  const turn = e.fresh("turn");
  e.open(`for (var ${turn} = 0u; ${turn} < ${Math.ceil(length / slots)}u; ${turn}++) {`, [turn]);
  e.line(`let row_slot = row_first + ${turn} * ${slots}u;`);
  const valid = [
    ...(parts * length === s.rows ? [] : [`row_slot < ${s.rows}u`]),
    ...(length % slots === 0 ? [] : [`row_slot < (group + 1u) * ${length}u`]),
  ].join(" && ");
  const row = e.index("row", s.rows - 1, valid ? `min(row_slot, ${s.rows - 1}u)` : "row_slot");
  const writer: RowWriter = {
    ...{
      frame,
      s,
      row,
      thread,
      valid,
      shared: [],
      turns: 0,
      taken: new Set(),
      done: new Set(),
      usesSubgroups: false,
      uneven: true,
    },
  };
  const carried = new Set(sums.map((c) => c.sum));
  const levels = levelsOf(
    region,
    region.anchors.filter((n) => !carried.has(n)),
  );
  for (const level of levels) {
    reduceLevel(writer, level);
    for (const n of level) writer.done.add(n);
  }
  const { perRow, full } = outputsOf(
    writer,
    region.outputs.filter((n) => !carried.has(n)),
  );
  writePerRow(writer, perRow);
  if (valid) e.open(`if (${valid}) {`);
  steps.forEach((step, j) => {
    const inside = step.max < s.cols / s.colWidth;
    const col = inside
      ? step
      : e.opaque(`min(${indexText(step)}, ${s.cols / s.colWidth - 1}u)`, s.cols / s.colWidth - 1, 0);
    if (!inside) e.open(`if (${indexText(step)} < ${s.cols / s.colWidth}u) {`);
    e.width = s.colWidth;
    const at = ravel([row, colAt(col, s.colWidth)], [s.rows, s.cols]);
    const values = sums.map(({ of }) => e.value(of, unravel(at, shapeOf(of))));
    values.forEach((v, i) => {
      e.line(`${names[i]?.[j]} += ${v.width === s.colWidth ? v.text : `${type}(${v.text})`};`);
    });
    const index = full.length ? spaceIndex(writer, colAt(col, s.colWidth)) : [];
    for (const store of storesAt(frame, full, index)) store();
    if (!inside) e.close();
  });
  if (valid) e.close();
  // The next turn begins with the arrays that this one ended with.
  if (writer.turns % 2 === 1) e.line("workgroupBarrier();");
  e.close();
  const part = e.index("part", parts - 1, "group");
  const meet = slots > 1 ? e.fresh("meet") : "";
  sums.forEach(({ sum }, i) => {
    const store = (step: Index, text: string): void => {
      e.width = s.colWidth;
      const v: Value = { text, width: s.colWidth, dtype: "f32", depth: e.depth };
      // Whatever axes of one the sum keeps.
      e.store(outputs.get(sum)!, ravel([part, colAt(step, s.colWidth)], [parts, s.cols]), v);
    };
    if (slots === 1) storeOwn(e, s, steps, names[i] as string[], store);
    else storeMet(e, s, names[i] as string[], meet, store);
  });
  const size = slots * s.threads;
  const arrays = writer.shared.map((a) => `var<workgroup> ${a.name}: array<${a.type}, ${a.size}>;`);
  const meets = `var<workgroup> ${meet}: array<${type}, ${steps.length * size}>;`;
  return closeFrame(frame, {
    variant: `row_${s.name}`,
    workgroupSize: [size, 1, 1],
    groups: parts,
    declarations: [...arrays, ...(meet ? [meets] : [])],
    workgroupBytes: writer.shared.reduce((n, a) => n + a.bytes, 0) + (meet ? meetingBytes(s) : 0),
    subgroups: writer.usesSubgroups,
  });
}

type StoreAt = (step: Index, text: string) => void;

/** One row at a time: each invocation's sums are the block's. */
function storeOwn(e: Emitter, s: RowSchedule, steps: readonly Index[], names: readonly string[], store: StoreAt): void {
  const last = s.cols / s.colWidth - 1;
  steps.forEach((step, j) => {
    const inside = step.max <= last;
    if (!inside) e.open(`if (${indexText(step)} <= ${last}u) {`);
    store(inside ? step : e.opaque(indexText(step), last, e.depth), names[j] as string);
    if (!inside) e.close();
  });
}

/** Adds up, in order, what the rows that were under way at a time have of a sum. */
function storeMet(e: Emitter, s: RowSchedule, names: readonly string[], meet: string, store: StoreAt): void {
  const size = s.rowsPerGroup * s.threads;
  const count = s.cols / s.colWidth;
  e.line("workgroupBarrier();");
  // Those of step j lie behind those of the steps before, each slot's invocations in order.
  names.forEach((name, j) => {
    e.line(`${meet}[${j * size}u + lid] = ${name};`);
  });
  e.line("workgroupBarrier();");
  const c = e.fresh("c");
  e.open(`for (var ${c} = lid; ${c} < ${count}u; ${c} += ${size}u) {`, [c]);
  const first = `${c} / ${s.threads}u * ${size}u + ${c} % ${s.threads}u`;
  const at = e.let(first, 1, "u32").text;
  const texts = Array.from({ length: s.rowsPerGroup }, (_, slot) => `${meet}[${at} + ${slot * s.threads}u]`);
  store(variable(c, count - 1), e.let(texts.join(" + "), s.colWidth, "f32").text);
  e.close();
}
