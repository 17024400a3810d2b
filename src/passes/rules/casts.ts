import type { DType } from "../../base/dtype.ts";
import type { Node } from "../../ir/graph.ts";
import type { Rule } from "../rewrite.ts";

/** `from>to`: every value of the first dtype is a value of the second, and the cast keeps it. */
const lossless = new Set(["f16>f32", "bool>f32", "bool>f16", "bool>i32", "bool>u32"]);
/** Not the same value, but the way back restores it. */
const restored = new Set(["i32>u32", "u32>i32"]);

export const castRules: readonly Rule[] = [
  {
    // cast(x, dtype of x) = x
    name: "cast-same",
    ops: ["cast", "bitcast"],
    apply: (n) => (n.args[0]?.type.dtype === n.type.dtype ? n.args[0] : undefined),
  },
  {
    // cast(cast(x, via), to) = cast(x, to) when `via` holds every value of x; f32 -> f16 -> f32 rounds and stays
    name: "cast-cast",
    ops: ["cast"],
    apply: (n, { b }) => {
      const via = n.args[0] as Node;
      const x = via.args[0];
      if (via.op !== "cast" || !x) return undefined;
      const step = `${x.type.dtype}>${via.type.dtype}`;
      const to = n.type.dtype as DType;
      if (to === x.type.dtype && (lossless.has(step) || restored.has(step))) return x;
      return lossless.has(step) ? b.add("cast", [x], { dtype: to }) : undefined;
    },
  },
  {
    // bitcast(bitcast(x, via), to) = bitcast(x, to)
    name: "bitcast-bitcast",
    ops: ["bitcast"],
    apply: (n, { b }) => {
      const via = n.args[0] as Node;
      return via.op === "bitcast" ? b.add("bitcast", via.args, { dtype: n.type.dtype }) : undefined;
    },
  },
];
