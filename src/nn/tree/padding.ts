import type { Node } from "../../ir/graph.ts";
import { count } from "../../ir/ndarray.ts";

/** What a flat tensor holds between its leaves: zeros, finite numbers, or nothing that can be told. */
type Padding = "zero" | "other" | "wild";

/** Whether a row gives 0 for what its arguments hold, none of it wild. */
type Rule = (args: readonly Padding[], n: Node) => boolean;

const all: Rule = (args) => args.every((p) => p === "zero");
const some: Rule = (args) => args.includes("zero");
const first: Rule = (args) => args[0] === "zero";

const zeroRules: Readonly<Record<string, Rule>> = {
  const: (_, n) => n.attrs.value === 0,
  ...Object.fromEntries(
    ["add", "sub", "min", "max", "neg", "abs", "sign", "sqrt", "cast", "tanh", "relu"].map((op) => [op, all]),
  ),
  mul: some,
  div: first,
  where: (args) => args[1] === "zero" && args[2] === "zero",
  clamp: (args, n) => args[0] === "zero" && spansZero(n.args[1] as Node, n.args[2] as Node),
};

/** Whether 0 lies between two bounds; a bound that is data is taken to be positive where the other is its negation. */
const spansZero = (low: Node, high: Node): boolean =>
  (low.op === "neg" && low.args[0] === high) ||
  (low.op === "const" && high.op === "const" && (low.attrs.value as number) <= 0 && (high.attrs.value as number) >= 0);

/** The argument of a row at whose zeros the result is not finite. */
const poles: Readonly<Record<string, number>> = { div: 1, reciprocal: 0, rsqrt: 0, log: 0 };

/** What an elementwise graph over packed tensors of leaves of these sizes holds between them, data being finite. */
export function paddingOf(flat: Node, counts: readonly number[]): Padding {
  const known = new Map<Node, Padding>();
  const visit = (n: Node): Padding => {
    const before = known.get(n);
    if (before) return before;
    const padding = find(n);
    known.set(n, padding);
    return padding;
  };
  const find = (n: Node): Padding => {
    if (n.op === "pack") {
      const same =
        n.args.length === counts.length && n.args.every((a, i) => count(a.type.shape as number[]) === counts[i]);
      return same ? "zero" : "other";
    }
    // One number for all elements, such as a factor, and numbers given for each leaf.
    if (n.op === "gather" || n.op === "expand" || (n.op !== "const" && n.type.shape.length === 0)) return "other";
    if (!(n.op in zeroRules || n.op in poles)) return "wild";
    const args = n.args.map(visit);
    if (args.includes("wild") || args[poles[n.op] ?? -1] === "zero") return "wild";
    return zeroRules[n.op]?.(args, n) ? "zero" : "other";
  };
  return visit(flat);
}
