import { fail } from "../base/diagnostic.ts";
import type { Region } from "../fuse/region.ts";
import type { Node } from "../ir/graph.ts";
import { add, type Index, int, scale, variable } from "../ir/index-expr.ts";
import type { Capabilities } from "../manifest/manifest.ts";
import { type Accumulator, accumulatorOf } from "./accumulate.ts";
import { always } from "./agree.ts";
import { crossLevel } from "./cross.ts";
import { type Emitter, lane, type Value } from "./emitter.ts";
import { keptOperands, writeOperand } from "./kept.ts";
import { closeFrame, indexFor, type Kernel, openFrame, storesAt } from "./kernel.ts";
import { onlineOf } from "./row-online.ts";
import {
  colAt,
  levelsOf,
  outputsOf,
  provideResults,
  type RowWriter,
  rowValues,
  spaceIndex,
  writePerRow,
} from "./row-parts.ts";
import { reduceOnline } from "./row-powers.ts";
import { chooseRowSchedule, type RowSchedule } from "./row-schedule.ts";
import { eachOwnStep, eachStep, unrolled } from "./row-steps.ts";
import { typeOf } from "./storage.ts";

/** Serial chains longer than this are summed in blocks, so that the rounding error grows with the square root of the length. */
const serialBlock = 128;

/**
 * The row family: a workgroup computes `rows` rows with `threads` invocations each. Reductions run level by level; each
 * level reads its operands again (from cache) and leaves its results in registers; then the outputs are written.
 */
export function writeRow(region: Region, capabilities: Capabilities, forced?: RowSchedule): Kernel {
  const s = forced ?? chooseRowSchedule(region, capabilities);
  const frame = openFrame(region, capabilities);
  const { e } = frame;
  const groupRows = s.rowsPerGroup;
  const rowSteps = s.rows / s.rowWidth;
  const groups = Math.ceil(rowSteps / groupRows);
  const size = groupRows * s.threads;

  const fits = groups <= capabilities.limits.maxComputeWorkgroupsPerDimension;
  const whole = always(region, rowSteps % groupRows === 0 && fits);
  const ofGroup = s.contiguous ? `lid / ${s.threads}u` : `lid % ${groupRows}u`;
  const slot = s.threads === 1 ? "lid" : groupRows === 1 ? "0u" : ofGroup;
  e.line(`let row_slot = group * ${groupRows}u + ${slot};`);
  const thread = e.index(
    "thread",
    s.threads - 1,
    s.threads === 1 ? "0u" : s.contiguous ? `lid % ${s.threads}u` : `lid / ${groupRows}u`,
  );
  const rowVar = e.index(
    "row",
    Math.max(0, rowSteps - 1),
    whole ? "row_slot" : `min(row_slot, ${Math.max(0, rowSteps - 1)}u)`,
  );
  const row = s.rowWidth === 1 ? rowVar : add(scale(rowVar, s.rowWidth), lane(s.rowWidth));

  const levels = levelsOf(region);
  const writer: RowWriter = {
    frame,
    s,
    row,
    thread,
    shared: [],
    turns: 0,
    taken: new Set(),
    done: new Set(),
    valid: whole ? "" : `row_slot < ${rowSteps}u`,
    usesSubgroups: false,
    uneven: !levels.some((level, i) => onlineOf(level, levels[i + 1])),
  };
  for (let i = 0; i < levels.length; ) {
    const [level, next] = levels.slice(i) as [Node[], Node[]?];
    const online = onePass(writer) ? onlineOf(level, next) : undefined;
    if (online) reduceOnline(writer, online);
    else reduceLevel(writer, level);
    for (const n of [...level, ...((online && next) ?? [])]) writer.done.add(n);
    i += online ? 2 : 1;
  }
  writeOutputs(writer);
  const bytes = writer.shared.reduce((n, d) => n + d.bytes, 0);
  if (bytes > capabilities.limits.maxComputeWorkgroupStorageSize) {
    if (s.threads > 1) {
      const threads = s.threads / 2;
      return writeRow(region, capabilities, { ...s, threads, name: s.name.replace(`${s.threads}x`, `${threads}x`) });
    }
    fail(
      "workgroup-memory",
      `a row kernel needs ${bytes} bytes of workgroup memory, the device has ${capabilities.limits.maxComputeWorkgroupStorageSize}`,
    );
  }
  return closeFrame(frame, {
    variant: `row_${s.name}`,
    workgroupSize: [size, 1, 1],
    groups,
    declarations: writer.shared.map((a) => `var<workgroup> ${a.name}: array<${a.type}, ${a.size}>;`),
    workgroupBytes: bytes,
    subgroups: writer.usesSubgroups,
  });
}

interface State {
  readonly acc: Accumulator;
  readonly names: string[];
  readonly width: number;
  /** Largest magnitude seen, as bits: above infinity's when there was a NaN. */
  readonly bits?: string;
}

/** Extremes are taken by the plain built-in in the loop, which may lose a NaN; its bits are looked at once, afterwards. */
const builtin: Readonly<Record<string, string>> = { reduceMax: "max", reduceMin: "min" };

function declareState(e: Emitter, acc: Accumulator, width: number, loop = false): State {
  const names = acc.dtypes.map((d, i) => {
    const name = e.fresh("acc");
    const start = e.literal(acc.identity[i] as number, d, width).text;
    e.line(`var ${name}: ${typeOf(d, width)} = ${start};`);
    return name;
  });
  if (!loop || !builtin[acc.node.op] || acc.dtypes[0] !== "f32") return { acc, names, width };
  const bits = e.fresh("bits");
  e.line(`var ${bits} = ${typeOf("u32", width)}();`);
  return { acc, names, width, bits };
}

/** Puts back the NaN that a loop may have lost. */
function settle(e: Emitter, s: State): void {
  if (!s.bits) return;
  const nan = e.literal(Number.NaN, "f32", s.width).text;
  e.line(`${s.names[0]} = select(${s.names[0]}, ${nan}, ${s.bits} > ${typeOf("u32", s.width)}(0x7f800000u));`);
}

const valuesOf = (e: Emitter, s: State): Value[] =>
  s.names.map((text, i) => ({ text, width: s.width, dtype: s.acc.dtypes[i] as Value["dtype"], depth: e.depth }));

function merge(e: Emitter, into: State, values: readonly Value[]): void {
  if (into.bits) {
    const [v] = values as [Value];
    const wide = v.width === into.width ? v.text : `${typeOf("f32", into.width)}(${v.text})`;
    const u32 = typeOf("u32", into.width);
    e.line(`${into.names[0]} = ${builtin[into.acc.node.op]}(${into.names[0]}, ${wide});`);
    e.line(`${into.bits} = max(${into.bits}, bitcast<${u32}>(${wide}) & ${u32}(0x7fffffffu));`);
    return;
  }
  const next = into.acc.combine(e, valuesOf(e, into), values);
  next.forEach((v, i) => {
    e.line(`${into.names[i]} = ${v.width === into.width ? v.text : `${typeOf(v.dtype, into.width)}(${v.text})`};`);
  });
}

/** Can a row's maximum and what depends on it be reduced together? */
const onePass = (w: RowWriter): boolean =>
  !w.frame.capabilities.software &&
  !w.frame.region.uniform &&
  w.s.contiguous &&
  w.s.threads > 1 &&
  !unrolled(w, w.s.cols / w.s.colWidth);

export function reduceLevel(w: RowWriter, level: readonly Node[]): void {
  const { e } = w.frame;
  const { s } = w;
  const { space } = w.frame.region;
  const colWidth = level.some((n) => accumulatorOf(n).ordered) ? 1 : s.colWidth;
  const width = Math.max(colWidth, s.rowWidth);
  const steps = s.cols / colWidth;
  const ordered = s.threads > 1 && level.some((n) => accumulatorOf(n).ordered);
  const blocked = !ordered && s.threads === 1 && !always(w.frame.region, steps <= 2 * serialBlock);
  const loops = ordered || !unrolled(w, steps);
  const states = level.map((n) => declareState(e, accumulatorOf(n), width, loops && !blocked));

  // Elsewhere computing it again costs less than writing it.
  const keeps = w.frame.capabilities.software || w.frame.region.uniform !== undefined;
  const kept =
    keeps && !ordered && colWidth === s.colWidth && !unrolled(w, steps)
      ? keptOperands(w, level)
      : new Map<Node, Node>();
  const body = (into: readonly State[], list: readonly Index[]): void => {
    e.width = width;
    const indices = list.map((step) => spaceIndex(w, colAt(step, colWidth)));
    const operands = indices.map((index) =>
      into.map((st) => st.acc.node.args.map((a) => ({ ...e.value(a, indexFor(a, index, space)), depth: e.depth }))),
    );
    for (const values of operands) {
      into.forEach((st, i) => {
        merge(e, st, values[i] as Value[]);
      });
    }
    // After all loads: the output may be in the place of what they read.
    for (const st of kept.size ? into : []) {
      const [operand] = st.acc.node.args as [Node];
      const output = kept.get(operand);
      if (output) for (const index of indices) writeOperand(w, operand, output, index);
    }
  };

  if (steps > 0) {
    const c = e.fresh("c");
    const at = variable(c, steps - 1);
    if (!ordered && unrolled(w, steps)) {
      eachOwnStep(w, steps, (step) => body(states, [step]));
    } else if (blocked) {
      const o = e.fresh("o");
      const end = `min(${o} + ${serialBlock}u, ${w.frame.end(steps)})`;
      e.open(`for (var ${o} = 0u; ${o} < ${w.frame.end(steps)}; ${o} += ${serialBlock}u) {`, [o]);
      const inner = level.map((n) => declareState(e, accumulatorOf(n), width, true));
      e.open(`for (var ${c} = ${o}; ${c} < ${end}; ${c}++) {`, [c]);
      body(inner, [at]);
      e.close();
      inner.forEach((st, i) => {
        settle(e, st);
        merge(e, states[i] as State, valuesOf(e, st));
      });
      e.close();
    } else if (ordered) {
      const chunk = Math.ceil(steps / s.threads);
      e.open(`for (var ${c} = thread * ${chunk}u; ${c} < min((thread + 1u) * ${chunk}u, ${steps}u); ${c}++) {`, [c]);
      body(states, [at]);
      e.close();
    } else {
      eachStep(w, steps, (list) => body(states, list));
    }
  }

  const own = states.map((st) => {
    settle(e, st);
    return { acc: st.acc, values: colWidth > 1 ? foldLanes(e, st) : valuesOf(e, st) };
  });
  const done =
    s.threads > 1 ? crossLevel(w, own) : own.map(({ values }) => values.map((v) => e.let(v.text, v.width, v.dtype)));
  states.forEach((st, i) => {
    provideResults(w, st.acc.node, done[i] as Value[]);
  });
  for (const [operand, output] of kept) e.bind(operand, w.frame.outputs.get(output)!);
}

/** Combines the lanes of a vector accumulator, in lane order. */
function foldLanes(e: Emitter, s: State): Value[] {
  const at = (l: number): Value[] =>
    s.names.map((n, i) => ({
      text: `${n}.${"xyzw"[l]}`,
      width: 1,
      dtype: s.acc.dtypes[i] as Value["dtype"],
      depth: e.depth,
    }));
  const width = e.width;
  e.width = 1;
  let parts = Array.from({ length: s.width }, (_, l) => at(l));
  while (parts.length > 1) {
    parts = Array.from({ length: parts.length / 2 }, (_, i) =>
      s.acc.combine(e, parts[2 * i] as Value[], parts[2 * i + 1] as Value[]).map((v) => ({ ...v, depth: e.depth })),
    );
  }
  e.width = width;
  return parts[0] as Value[];
}

function writeOutputs(w: RowWriter): void {
  const { e } = w.frame;
  const { s } = w;
  const { perRow, full, size } = outputsOf(w);
  if (s.rows === size) {
    // Rows of one element: what is stored may be in the place of what another output is computed from.
    e.open(w.valid ? `if (${w.valid}) {` : "{");
    e.width = s.rowWidth;
    for (const store of [...rowValues(w, perRow), ...storesAt(w.frame, full, spaceIndex(w, int(0)))]) store();
    e.close();
    return;
  }
  writePerRow(w, perRow);
  if (full.length === 0 || s.cols === 0) return;
  if (w.valid) e.open(`if (${w.valid}) {`);
  e.width = Math.max(s.colWidth, s.rowWidth);
  const steps = s.cols / s.colWidth;
  const write = (list: readonly Index[]): void => {
    const stores = list.flatMap((step) => storesAt(w.frame, full, spaceIndex(w, colAt(step, s.colWidth))));
    for (const store of stores) store();
  };
  if (unrolled(w, steps)) eachOwnStep(w, steps, (step) => write([step]));
  else {
    for (let j = 0; j < (w.held?.steps ?? 0); j++) {
      w.held?.at(j);
      write([add(w.thread, int(j * s.threads))]);
    }
    w.held?.at(undefined);
    eachStep(w, steps, write, w.held?.steps);
  }
  if (w.valid) e.close();
}
