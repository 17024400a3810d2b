import type { Graph, Node } from "../ir/graph.ts";
import { type Fuser, feedsItself } from "./fuser.ts";
import type { Group, Grouping } from "./groups.ts";
import { home } from "./home.ts";
import { keepApart, pays, repeatText } from "./measured.ts";
import { bytesOf, countOf, isElementwise, isStored } from "./pull.ts";
import { isPartial } from "./sums-of-parts.ts";

const expensive = new Set([
  "exp",
  "exp2",
  "expm1",
  "log",
  "log2",
  "log1p",
  "sin",
  "cos",
  "tan",
  "asin",
  "acos",
  "atan",
  "sinh",
  "cosh",
  "tanh",
  "erf",
  "sigmoid",
  "logSigmoid",
  "silu",
  "gelu",
  "softplus",
  "elu",
  "pow",
  "atan2",
  "philox",
]);

/** Transcendental, or as long to compute. */
export const isExpensive = (n: Node): boolean => expensive.has(n.op);

/**
 * Stores an elementwise node that several kernels would compute again, where storing moves fewer bytes, and one with
 * transcendental work that a contraction would repeat for every tile.
 */
export function shareExpensive(f: Fuser, graph: Graph): void {
  const { grouping } = f;
  for (const n of graph.nodes) {
    if (!isElementwise(n) || grouping.owner.has(n) || isStored(n) || f.again.has(n) || f.left.has(n)) continue;
    const readers = [...grouping.readersOf(n)];
    if (readers.length === 0) continue;
    const read = [...grouping.leavesOf(n)].reduce((s, l) => s + bytesOf(l), 0);
    const own = bytesOf(n);
    const storing = read + own + readers.length * own;
    const again = readers.length * read;
    const repeated =
      readers.some((g) => g.family === "contraction" || g.family === "attention") &&
      ([...grouping.leavesOf(n)].some(isPartial) || hasExpensive(grouping, n)) &&
      countOf(n) >= 4096;
    const usual = !(storing < again || repeated);
    const name = (): string => repeatText(n, readers);
    if ((usual && !canLose(f, n, readers)) || feedsItself(f, n) || pays(f, name, usual)) continue;
    home(f, n);
    if (usual) keepApart(f, n, name());
  }
}

/** Is it the last of a chain that several kernels, or every tile of a contraction, compute again? */
function canLose({ grouping }: Fuser, n: Node, readers: readonly Group[]): boolean {
  const whole = readers.some((g) => g.family === "contraction" || g.family === "attention");
  return (whole || readers.length > 1) && [...(grouping.users.get(n) ?? [])].some((u) => grouping.owner.has(u));
}

function hasExpensive(grouping: Grouping, n: Node): boolean {
  if (isExpensive(n)) return true;
  return n.args.some((a) => !isStored(a) && !grouping.owner.has(a) && hasExpensive(grouping, a));
}
