import { storageBytes } from "../base/dtype.ts";
import type { Accumulator } from "./accumulate.ts";
import type { Emitter, Value } from "./emitter.ts";
import type { RowWriter } from "./row.ts";
import { typeOf } from "./storage.ts";

/**
 * Combines the states of the invocations that share a row, through workgroup memory, as a tree; that of an ordered
 * combine keeps the invocations' order. With subgroups sums and extremes are first taken over each subgroup. Every invocation gets
 * the result.
 */
export function crossInvocations(w: RowWriter, acc: Accumulator, values: readonly Value[]): Value[] {
  const { e, capabilities } = w.frame;
  const { s } = w;
  const size = s.threads * s.rowsPerGroup;
  const arrays = sharedArrays(w, values, size);
  const [first] = values as [Value];
  if (
    subgroupJoin(acc, first) &&
    capabilities.features.subgroups &&
    s.contiguous &&
    first.width === 1 &&
    s.threads % capabilities.subgroupMaxSize === 0
  ) {
    return [bySubgroups(w, acc, first, arrays[0] as string)];
  }
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
    e.open(acc.ordered ? `if (thread % ${step * 2}u == 0u) {` : `if (thread < ${step}u) {`);
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

/** Over each subgroup, then over the subgroups that share the row. */
function bySubgroups(w: RowWriter, acc: Accumulator, state: Value, array: string): Value {
  const { e } = w.frame;
  const { s } = w;
  const { dtype } = state;
  const join = subgroupJoin(acc, state) as Join;
  w.usesSubgroups = true;
  const part = e.let(join(e, state.text), 1, dtype);
  e.line(`if (sg_lane == 0u) { ${array}[lid / sg_size] = ${part.text}; }`);
  e.line("workgroupBarrier();");
  const total = e.fresh("acc");
  e.line(`var ${total} = ${e.literal(acc.identity[0] as number, dtype).text};`);
  const k = e.fresh("k");
  const first = s.rowsPerGroup === 1 ? "" : "(lid - thread) / sg_size + ";
  e.open(`for (var ${k} = sg_lane; ${k} < ${s.threads}u / sg_size; ${k} += sg_size) {`, [k]);
  const before: Value = { text: total, width: 1, dtype, depth: e.depth };
  const [sum] = acc.combine(e, [before], [{ ...e.let(`${array}[${first}${k}]`, 1, dtype), depth: e.depth }]);
  e.line(`${total} = ${sum?.text};`);
  e.close();
  const all = e.let(join(e, total), 1, dtype);
  e.line("workgroupBarrier();");
  return all;
}

/**
 * A workgroup array for each state. Reductions of a kernel use the same ones in turn: the barrier after the result was
 * read lets the next one write.
 */
function sharedArrays(w: RowWriter, states: readonly Value[], size: number): string[] {
  const taken = new Set<string>();
  return states.map((v) => {
    const type = typeOf(v.dtype, v.width);
    const known = w.shared.find((a) => a.type === type && !taken.has(a.name));
    const array = known ?? { name: w.frame.e.fresh("sh"), type, size, bytes: size * storageBytes[v.dtype] * v.width };
    if (!known) w.shared.push(array);
    taken.add(array.name);
    return array.name;
  });
}
