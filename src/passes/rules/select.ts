import type { Node } from "../../ir/graph.ts";
import { rows } from "../../ir/ops.ts";
import type { Rule } from "../rewrite.ts";

const pointwise = rows.filter((r) => r.elementwise && r.name !== "where").map((r) => r.name);

/** A choice between two constants. */
interface Choice {
  readonly cond: Node;
  readonly yes: Node;
  readonly no: Node;
}

/** Functions of a choice between constants: the function is done on the constants. */
export const selectRules: readonly Rule[] = [
  {
    // f(where(c, k, l), m) = where(c, f(k, m), f(l, m)) for constants k, l, m; cast of a bool is where(c, 1, 0)
    name: "function-of-choice",
    ops: pointwise,
    apply: (n, { b }) => {
      const choices = n.args.map(choiceOf);
      const at = choices.findIndex((c) => c !== undefined);
      const choice = choices[at];
      if (!choice || n.args.some((a, i) => i !== at && a.op !== "const")) return undefined;
      const of = (value: Node): Node =>
        b.add(
          n.op,
          n.args.map((a, i) => (i === at ? value : a)),
          n.attrs,
        );
      return b.add("where", [choice.cond, of(choice.yes), of(choice.no)]);

      function choiceOf(x: Node): Choice | undefined {
        const [cond, yes, no] = x.args as [Node, Node, Node];
        if (x.op === "where" && yes.op === "const" && no.op === "const") return { cond, yes, no };
        if (x.op !== "cast" || cond.type.dtype !== "bool") return undefined;
        return { cond, yes: b.const(1, x.type.dtype), no: b.const(0, x.type.dtype) };
      }
    },
  },
];
