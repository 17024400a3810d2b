import type { TensorType } from "../graph.ts";
import type { OpRow } from "../op.ts";
import { builtin, elementwiseRow, helper, infix, type Meaning, type Meanings, one, two } from "./elementwise-row.ts";
import { broadcastAll, requireBool, sameDType } from "./infer.ts";

const binary = ["x", "y"] as const;
const bit = (b: boolean): number => (b ? 1 : 0);

/** Comparisons of floats that hold for equal operands need a test for NaN: compilers fold `x == x` and `x <= x` to true. */
function compare(
  name: string,
  doc: string,
  f: (x: number, y: number) => boolean,
  sign: string,
  float: Meaning["wgsl"],
  bool?: Meaning["wgsl"],
): OpRow {
  const cpu = two((x, y) => bit(f(x, y)));
  const plain: Meaning = { cpu, wgsl: infix(sign) };
  const on: Meanings = {
    float: { cpu, wgsl: float },
    i32: plain,
    u32: plain,
    ...(bool ? { bool: { cpu, wgsl: bool } } : {}),
  };
  const symmetric = bool !== undefined;
  return elementwiseRow({
    name,
    params: binary,
    doc,
    on,
    result: "bool",
    flags: symmetric ? { commutative: true } : {},
  });
}

/** `and`, `or`, `xor`: logical on bool, bitwise on integers. */
function bitwise(
  name: string,
  doc: string,
  sign: string,
  f: (x: number, y: number) => number,
  flags: OpRow["flags"],
): OpRow {
  return elementwiseRow({
    name,
    params: binary,
    doc,
    on: {
      i32: { cpu: two((x, y) => f(x, y) | 0), wgsl: infix(sign) },
      u32: { cpu: two((x, y) => f(x, y) >>> 0), wgsl: infix(sign) },
      bool: { cpu: two(f), wgsl: sign === "^" ? infix("!=") : infix(sign) },
    },
    flags: { commutative: true, associative: true, ...flags },
  });
}

const shift =
  (sign: string): Meaning["wgsl"] =>
  ([x, n], c) => {
    const amount = c.args[1] === "i32" ? `bitcast<${c.type("u32")}>(${n})` : n;
    return `(${x} ${sign} (${amount} & ${c.lit(31, "u32")}))`;
  };

const swapped =
  (name: string): Meaning["wgsl"] =>
  ([x, y], c) =>
    c.call(name, y as string, x as string);
const isNaNBit: Meaning = { cpu: one((x) => bit(Number.isNaN(x))), wgsl: helper("isNaN") };
const clampNumber = ([x = 0, low = 0, high = 0]: readonly number[]): number => Math.min(Math.max(x, low), high);

export const logicRows: readonly OpRow[] = [
  compare("equal", "Whether x = y; false when either is NaN.", (x, y) => x === y, "==", helper("equalF"), infix("==")),
  compare(
    "notEqual",
    "Whether x ≠ y; true when either is NaN.",
    (x, y) => x !== y,
    "!=",
    ([x, y], c) => `(!${c.call("equalF", x as string, y as string)})`,
    infix("!="),
  ),
  compare("less", "Whether x < y.", (x, y) => x < y, "<", infix("<")),
  compare("lessEqual", "Whether x ≤ y.", (x, y) => x <= y, "<=", helper("lessEqualF")),
  compare("greater", "Whether x > y.", (x, y) => x > y, ">", infix(">")),
  compare("greaterEqual", "Whether x ≥ y.", (x, y) => x >= y, ">=", swapped("lessEqualF")),
  bitwise("and", "x ∧ y: logical for bool, bitwise for integers.", "&", (x, y) => x & y, {
    idempotent: true,
    absorbing: 0,
  }),
  bitwise("or", "x ∨ y: logical for bool, bitwise for integers.", "|", (x, y) => x | y, {
    idempotent: true,
    identity: 0,
  }),
  bitwise("xor", "x ⊕ y: logical for bool, bitwise for integers.", "^", (x, y) => x ^ y, { identity: 0 }),
  elementwiseRow({
    name: "shiftLeft",
    params: ["x", "n"],
    doc: "x · 2^(n mod 32), bits shifted out are lost.",
    on: {
      i32: { cpu: two((x, n) => x << n), wgsl: shift("<<") },
      u32: { cpu: two((x, n) => (x << n) >>> 0), wgsl: shift("<<") },
    },
    flags: { identity: 0 },
  }),
  elementwiseRow({
    name: "shiftRight",
    params: ["x", "n"],
    doc: "floor(x / 2^(n mod 32)): i32 keeps the sign.",
    on: {
      i32: { cpu: two((x, n) => x >> n), wgsl: shift(">>") },
      u32: { cpu: two((x, n) => x >>> n), wgsl: shift(">>") },
    },
    flags: { identity: 0 },
  }),
  elementwiseRow({
    name: "not",
    params: ["x"],
    doc: "Negation: logical for bool, bitwise for integers.",
    on: {
      i32: { cpu: one((x) => ~x), wgsl: ([x]) => `(~${x})` },
      u32: { cpu: one((x) => ~x >>> 0), wgsl: ([x]) => `(~${x})` },
      bool: { cpu: one((x) => 1 - x), wgsl: ([x]) => `(!${x})` },
    },
    flags: { involution: true },
  }),
  elementwiseRow({ name: "isNaN", params: ["x"], doc: "Whether x is NaN.", on: { float: isNaNBit }, result: "bool" }),
  elementwiseRow({
    name: "isInf",
    params: ["x"],
    doc: "Whether x is ∞ or -∞.",
    on: { float: { cpu: one((x) => bit(Math.abs(x) === Number.POSITIVE_INFINITY)), wgsl: helper("isInf") } },
    result: "bool",
  }),
  elementwiseRow({
    name: "clamp",
    params: ["x", "low", "high"],
    doc: "min(max(x, low), high); NaN when any of them is NaN, `high` when low > high.",
    on: {
      float: {
        cpu: clampNumber,
        wgsl: ([x, low, high], c) => c.call("minF", c.call("maxF", x as string, low as string), high as string),
      },
      i32: { cpu: clampNumber, wgsl: ([x, low, high]) => `min(max(${x}, ${low}), ${high})` },
      u32: { cpu: clampNumber, wgsl: ([x, low, high]) => `min(max(${x}, ${low}), ${high})` },
    },
  }),
  {
    name: "where",
    kind: "elementwise",
    params: ["cond", "a", "b"],
    doc: "a where cond holds, b elsewhere. `cond` is bool; a and b have one dtype, any.",
    infer(args) {
      const [cond, a, b] = args as [TensorType, TensorType, TensorType];
      requireBool("where", cond, "cond");
      return { dtype: sameDType("where", a, b), shape: broadcastAll([cond.shape, a.shape, b.shape], "where") };
    },
    elementwise: {
      cpu: ([c, a = 0, b = 0]) => (c ? a : b),
      wgsl: ([c, a, b]) => builtin("select")([b as string, a as string, c as string]),
    },
    accuracy: { ulp: 0 },
  },
];
