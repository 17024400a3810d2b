import type { Node } from "../ir/graph.ts";
import { rowOf } from "../ir/ops.ts";
import { evaluated, opName } from "./explain.ts";
import { isStored, shapeOf } from "./pull.ts";
import type { Region } from "./region.ts";

/**
 * What a kernel is called in tuning tables: family, what it iterates over, what it computes and the types of what it reads and
 * writes. Kernels of one name differ in nothing that decides which variant is fast, and the name says nothing of how the
 * compiler numbers or orders nodes. Results are right whatever two kernels share a name: a table only chooses among variants.
 */
export function signatureOf(region: Region): string {
  const space = region.axes.length ? `${region.space.join("x")}/${region.axes.join(",")}` : region.space.join("x");
  const anchors = [...new Set(region.anchors.map(anchorText))].sort();
  const others = evaluated(region).filter((n) => !region.anchors.includes(n));
  return [
    region.family,
    space,
    ...anchors,
    counted(others.map(opName)),
    `${counted(region.inputs.map(typeText))} > ${counted(region.outputs.map(typeText))}`,
  ]
    .filter((part) => part !== "")
    .join(" | ");
}

export const typeText = (n: Node): string => `${n.type.dtype}[${shapeOf(n).join()}]`;

/** An anchor with what decides how long it takes: for products the order in which operands lie in memory. */
function anchorText(n: Node): string {
  const [a, b] = n.args as [Node, Node];
  const precision = typeof n.attrs.precision === "string" ? ` ${n.attrs.precision}` : "";
  if (n.op === "matmul") {
    const parts = typeof n.attrs.parts === "number" ? ` ${n.attrs.parts} parts` : "";
    return `matmul${precision} ${isTurned(a) ? "t" : "n"}${isTurned(b) ? "t" : "n"} k${shapeOf(a).at(-1)}${parts}`;
  }
  return `${n.op}${precision}${n.attrs.causal === true ? " causal" : ""}`;
}

/** Is the last axis of an operand another one than the last of what it is a view of? */
function isTurned(operand: Node): boolean {
  let turned = false;
  for (let n = operand; !isStored(n); n = n.args[0] as Node) {
    const { elementwise, kind } = rowOf(n.op);
    if (n.args.length === 0 || !(kind === "view" || elementwise)) break;
    const perm = n.attrs.perm as readonly number[] | undefined;
    if (n.op === "transpose" && perm?.at(-1) !== perm!.length - 1) turned = !turned;
  }
  return turned;
}

/** Names in order of the alphabet, each once, with how often it occurs. */
function counted(list: readonly string[]): string {
  const times = new Map<string, number>();
  for (const name of list) times.set(name, (times.get(name) ?? 0) + 1);
  return [...times]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, n]) => (n > 1 ? `${name}×${n}` : name))
    .join(" ");
}
