import { storageBytes } from "../base/dtype.ts";
import type { Accumulator } from "./accumulate.ts";
import type { Value } from "./emitter.ts";
import type { RowWriter } from "./row.ts";
import { typeOf } from "./storage.ts";

/**
 * Combines the states of the invocations that share a row, through workgroup memory, as a tree; that of an ordered
 * combine keeps the invocations' order. With subgroups a sum is first taken over each subgroup. Every invocation gets
 * the result.
 */
export function crossInvocations(w: RowWriter, acc: Accumulator, values: readonly Value[]): Value[] {
  const { e, capabilities } = w.frame;
  const { s } = w;
  const size = s.threads * s.rowsPerGroup;
  const arrays = sharedArrays(w, values, size);
  const [first] = values as [Value];
  if (
    acc.isSum &&
    capabilities.features.subgroups &&
    s.rowsPerGroup === 1 &&
    first.width === 1 &&
    s.threads % capabilities.subgroupMaxSize === 0
  ) {
    w.usesSubgroups = true;
    const name = arrays[0] as string;
    const part = e.let(`subgroupAdd(${first.text})`, 1, first.dtype);
    e.line(`if (sg_lane == 0u) { ${name}[lid / sg_size] = ${part.text}; }`);
    e.line("workgroupBarrier();");
    const total = e.fresh("acc");
    e.line(`var ${total} = ${name}[0];`);
    const k = e.fresh("k");
    e.line(`for (var ${k} = 1u; ${k} < ${s.threads}u / sg_size; ${k}++) { ${total} += ${name}[${k}]; }`);
    e.line("workgroupBarrier();");
    return [e.let(total, 1, first.dtype)];
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
