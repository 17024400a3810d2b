import { storageBytes } from "../base/dtype.ts";
import type { Accumulator } from "./accumulate.ts";
import type { Emitter, Value } from "./emitter.ts";
import type { RowWriter } from "./row-parts.ts";
import { typeOf } from "./storage.ts";

/**
 * Combines the states of the invocations that share a row. With subgroups sums and extremes are first taken over each subgroup.
 * Every invocation gets the result.
 */
export const crossInvocations = (w: RowWriter, acc: Accumulator, values: readonly Value[]): Value[] =>
  crossLevel(w, [{ acc, values }])[0] as Value[];

/** Through workgroup memory, as a tree; that of an ordered combine keeps the invocations' order. */
function byTree(w: RowWriter, acc: Accumulator, values: readonly Value[]): Value[] {
  const { e } = w.frame;
  const { s } = w;
  const arrays = sharedArrays(w, values, s.threads * s.rowsPerGroup);
  const [first] = values as [Value];
  // Neighbouring invocations of a row are `stride` apart.
  const stride = s.contiguous ? 1 : s.rowsPerGroup;
  values.forEach((v, i) => {
    e.line(`${arrays[i]}[lid] = ${v.text};`);
  });
  e.line("workgroupBarrier();");
  // Halves keep the busy invocations together; a user's combine may need neighbours, which keep the order.
  const steps: number[] = [];
  for (let n = 1; n < s.threads; n *= 2) steps.push(n);
  if (!acc.ordered) steps.reverse();
  for (const step of steps) {
    // Of a number that is no power of two, the last ones have nobody beside them.
    const paired = s.threads - step;
    const last = acc.ordered && paired % (step * 2) > 0 ? ` && thread < ${paired}u` : "";
    e.open(acc.ordered ? `if (thread % ${step * 2}u == 0u${last}) {` : `if (thread < ${Math.min(step, paired)}u) {`);
    const read = (at: string): Value[] =>
      values.map((v, i) => ({ ...e.let(`${arrays[i]}[${at}]`, v.width, v.dtype), depth: e.depth }));
    const left = read("lid");
    const right = read(`lid + ${step * stride}u`);
    const width = e.width;
    e.width = first.width;
    acc.combine(e, left, right).forEach((v, i) => {
      e.line(`${arrays[i]}[lid] = ${v.text};`);
    });
    e.width = width;
    e.close();
    e.line("workgroupBarrier();");
  }
  const base = s.contiguous ? `lid - thread` : `lid % ${s.rowsPerGroup}u`;
  const out = values.map((v, i) => e.let(`${arrays[i]}[${base}]`, v.width, v.dtype));
  e.line("workgroupBarrier();");
  return out;
}

type Join = (e: Emitter, text: string) => string;

const extreme =
  (builtin: string): Join =>
  (e, text) => {
    const most = e.let(`${builtin}(${text})`, 1, "f32").text;
    // Which of a NaN and a number the built-in takes is open; a NaN's magnitude is above infinity's.
    const bits = e.let(`subgroupMax(bitcast<u32>(${text}) & 0x7fffffffu)`, 1, "u32").text;
    return `select(${most}, bitcast<f32>(${bits}), ${bits} > 0x7f800000u)`;
  };
const extremes: Readonly<Record<string, Join>> = {
  reduceMax: extreme("subgroupMax"),
  reduceMin: extreme("subgroupMin"),
};

/** How a subgroup combines one state of each of its invocations, where it can. */
const subgroupJoin = (acc: Accumulator, { dtype }: Value): Join | undefined =>
  acc.isSum ? (_, text) => `subgroupAdd(${text})` : dtype === "f32" ? extremes[acc.node.op] : undefined;

/** Subgroups that share a row, up to which every invocation adds up what they have. */
const fewSubgroups = 8;

/**
 * Several states at once: over each subgroup, then over the subgroups that share the row. What these have is written to arrays that
 * take turns, so that none writes what another has yet to read.
 */
function bySubgroups(w: RowWriter, states: readonly State[]): Value[] {
  const { e, capabilities } = w.frame;
  const { s } = w;
  w.usesSubgroups = true;
  const joins = states.map(({ acc, value }) => subgroupJoin(acc, value) as Join);
  const parts = states.map(({ value }, i) => e.let((joins[i] as Join)(e, value.text), 1, value.dtype));
  const { subgroupMinSize, subgroupMaxSize } = capabilities;
  const known = subgroupMinSize === subgroupMaxSize ? subgroupMaxSize : undefined;
  // A row that a subgroup has to itself is done.
  if (s.threads === known) return parts;
  const size = (s.threads * s.rowsPerGroup) / Math.max(1, known ?? subgroupMinSize);
  const turn = w.turns++ % 2;
  const arrays = states.map(({ value }, i) => {
    const name = `meet${turn}_${i}_${value.dtype}`;
    if (!w.shared.some((a) => a.name === name))
      w.shared.push({ name, type: value.dtype, size, bytes: size * storageBytes[value.dtype], apart: true });
    return name;
  });
  const subgroup = known ? `lid / ${known}u` : "lid / sg_size";
  e.line(`if (sg_lane == 0u) { ${arrays.map((a, i) => `${a}[${subgroup}] = ${parts[i]?.text};`).join(" ")} }`);
  e.line("workgroupBarrier();");
  const count = known ? s.threads / known : Number.POSITIVE_INFINITY;
  const first =
    s.rowsPerGroup === 1 ? "" : known ? `lid / ${s.threads}u * ${count}u + ` : "(lid - thread) / sg_size + ";
  return states.map(({ acc, value: { dtype } }, i) => {
    const at = (k: string): Value => ({ ...e.let(`${arrays[i]}[${first}${k}]`, 1, dtype), depth: e.depth });
    if (count <= fewSubgroups) {
      let all = at("0u");
      for (let k = 1; k < count; k++) all = acc.combine(e, [all], [at(`${k}u`)])[0] as Value;
      return all;
    }
    const total = e.fresh("acc");
    e.line(`var ${total} = ${e.literal(acc.identity[0] as number, dtype).text};`);
    const k = e.fresh("k");
    e.open(`for (var ${k} = sg_lane; ${k} < ${s.threads}u / sg_size; ${k} += sg_size) {`, [k]);
    const before: Value = { text: total, width: 1, dtype, depth: e.depth };
    e.line(`${total} = ${acc.combine(e, [before], [at(k)])[0]?.text};`);
    e.close();
    return e.let((joins[i] as Join)(e, total), 1, dtype);
  });
}

interface State {
  readonly acc: Accumulator;
  readonly value: Value;
}

/** Does a subgroup combine these states by itself? */
const suitsSubgroups = (
  { frame: { capabilities }, s }: RowWriter,
  acc: Accumulator,
  [value]: readonly Value[],
): boolean =>
  value !== undefined &&
  subgroupJoin(acc, value) !== undefined &&
  capabilities.features.subgroups &&
  s.contiguous &&
  value.width === 1 &&
  s.threads % capabilities.subgroupMaxSize === 0;

/** What {@link crossInvocations} does, for several reductions of a level: those by subgroups wait for each other once. */
export function crossLevel(
  w: RowWriter,
  list: readonly { readonly acc: Accumulator; readonly values: readonly Value[] }[],
): Value[][] {
  const together = list.filter(({ acc, values }) => suitsSubgroups(w, acc, values));
  const done = together.length
    ? bySubgroups(
        w,
        together.map(({ acc, values }) => ({ acc, value: values[0] as Value })),
      )
    : [];
  return list.map((x) => {
    const at = together.indexOf(x);
    return at < 0 ? byTree(w, x.acc, x.values) : [done[at] as Value];
  });
}

/**
 * A workgroup array for each state. Reductions of a kernel use the same ones in turn: the barrier after the result was
 * read lets the next one write.
 */
function sharedArrays(w: RowWriter, states: readonly Value[], size: number): string[] {
  const taken = new Set<string>();
  return states.map((v) => {
    const type = typeOf(v.dtype, v.width);
    const known = w.shared.find((a) => a.type === type && !a.apart && !taken.has(a.name));
    const array = known ?? { name: w.frame.e.fresh("sh"), type, size, bytes: size * storageBytes[v.dtype] * v.width };
    if (!known) w.shared.push(array);
    taken.add(array.name);
    return array.name;
  });
}
