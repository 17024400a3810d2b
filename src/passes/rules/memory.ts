import type { Node } from "../../ir/graph.ts";
import { count } from "../../ir/ndarray.ts";
import { packLayout } from "../../ir/ops/memory.ts";
import { numbersOf } from "../match.ts";
import type { Rule } from "../rewrite.ts";

const arg = (n: Node): Node => n.args[0] as Node;
const countOf = (n: Node): number => count(n.type.shape as readonly number[]);
const startOf = (n: Node): number => n.attrs.start as number;

/** Tensors as parts of larger ones: what the parts of a pack are, and packs of one tensor. */
export const memoryRules: readonly Rule[] = [
  {
    // a window of everything is a reshape
    name: "window-whole",
    ops: ["window"],
    apply: (n, { b }) =>
      countOf(n) === countOf(arg(n)) ? b.add("reshape", n.args, { shape: n.type.shape }) : undefined,
  },
  {
    // window(reshape x) = window x: it counts elements
    name: "window-reshape",
    ops: ["window"],
    apply: (n, { b }) => (arg(n).op === "reshape" ? b.add("window", arg(n).args, n.attrs) : undefined),
  },
  {
    // window(window x)
    name: "window-window",
    ops: ["window"],
    apply: (n, { b }) =>
      arg(n).op === "window"
        ? b.add("window", arg(n).args, { ...n.attrs, start: startOf(n) + startOf(arg(n)) })
        : undefined,
  },
  {
    // window(pack(…, x, …)) = window x where only x is read
    name: "window-pack",
    ops: ["window"],
    apply: (n, { b }) => {
      if (arg(n).op !== "pack") return undefined;
      const parts = arg(n).args;
      const { offsets } = packLayout(parts.map((x) => x.type));
      const within = (x: Node, i: number): boolean => {
        const begin = startOf(n) - (offsets[i] as number);
        return begin >= 0 && begin + countOf(n) <= countOf(x);
      };
      const i = parts.findIndex(within);
      const start = startOf(n) - (offsets[i] as number);
      return i < 0 ? undefined : b.add("window", [parts[i] as Node], { ...n.attrs, start });
    },
  },
  {
    // reshape(window x) = window x of the reshape's shape
    name: "reshape-window",
    ops: ["reshape"],
    apply: (n, { b }) =>
      arg(n).op === "window" && numbersOf(n.type.shape)
        ? b.add("window", arg(n).args, { start: startOf(arg(n)), shape: n.type.shape })
        : undefined,
  },
  {
    // pack x = reshape x where it needs no padding
    name: "pack-one",
    ops: ["pack"],
    apply: (n, { b }) =>
      n.args.length === 1 && countOf(n) === countOf(arg(n))
        ? b.add("reshape", n.args, { shape: n.type.shape })
        : undefined,
  },
  {
    // pack(…, pack(x, …), …) = pack(…, x, …, …)
    name: "pack-pack",
    ops: ["pack"],
    apply: (n, { b }) =>
      n.args.some((x) => x.op === "pack")
        ? b.add(
            "pack",
            n.args.flatMap((x) => (x.op === "pack" ? x.args : [x])),
          )
        : undefined,
  },
];
