import { fail } from "../../base/diagnostic.ts";
import { type DType, isFloat } from "../../base/dtype.ts";
import { halfRound } from "../../base/half.ts";
import type { OpRow, WgslContext } from "../op.ts";
import { reinterpret } from "./elementwise-number.ts";
import { typeText } from "./infer.ts";

const saturate = (x: number, low: number, high: number): number =>
  Number.isNaN(x) ? 0 : Math.min(Math.max(Math.trunc(x), low), high) + 0;

/** Conversion of a number to each dtype; integers between themselves keep their bits. */
const toDType: Readonly<Record<DType, (x: number, from: DType) => number>> = {
  f32: (x) => x,
  f16: halfRound,
  i32: (x, from) => (isFloat(from) ? saturate(x, -0x80000000, 0x7fffffff) : x | 0),
  u32: (x, from) => (isFloat(from) ? saturate(x, 0, 0xffffffff) : x >>> 0),
  bool: (x) => (x !== 0 ? 1 : 0),
};

function castText(x: string, c: WgslContext): string {
  const from = c.args[0] as DType;
  const to = c.result;
  if (from === to || (from === "f16" && to === "f32")) return x;
  if (isFloat(from)) {
    const call = { f32: "", f16: "roundHalf", i32: "toI32", u32: "toU32", bool: "toBool" }[to];
    return c.call(call, x);
  }
  if (to === "bool") return `(${x} != ${c.lit(0, from)})`;
  const converted = from === "bool" ? `select(${c.lit(0, to)}, ${c.lit(1, to)}, ${x})` : `${c.type(to)}(${x})`;
  return to === "f16" && from !== "bool" ? c.call("roundHalf", converted) : converted;
}

const bitcastable: readonly DType[] = ["f32", "i32", "u32"];

export const castRows: readonly OpRow[] = [
  {
    name: "cast",
    kind: "elementwise",
    params: ["x"],
    attrs: { dtype: { type: "dtype", doc: "the result's dtype" } },
    doc: "x as another dtype. To f16 rounds to nearest even; from floats to integers truncates and saturates, NaN gives 0; between integers keeps the bits; to bool is x ≠ 0; from bool gives 0 or 1.",
    infer: ([x], a) => ({ dtype: a.dtype as DType, shape: x?.shape ?? [] }),
    elementwise: {
      cpu: ([x = 0], { args, result }) => toDType[result](x, args[0] as DType),
      wgsl: ([x], c) => castText(x as string, c),
    },
    accuracy: { ulp: 1 },
  },
  {
    name: "bitcast",
    kind: "elementwise",
    params: ["x"],
    attrs: { dtype: { type: "dtype", doc: "the result's dtype: f32, i32 or u32" } },
    doc: "The same 32 bits read as another dtype.",
    infer([x], a) {
      const to = a.dtype as DType;
      if (!x || !bitcastable.includes(x.dtype) || !bitcastable.includes(to)) {
        fail(
          "dtype-mismatch",
          `bitcast goes between f32, i32 and u32, not from ${x ? typeText(x) : "nothing"} to ${to}`,
          {
            cause: "f16 and bool have no 32-bit pattern",
            hint: "use cast to convert the value",
          },
        );
      }
      return { dtype: to, shape: x.shape };
    },
    elementwise: {
      cpu: ([x = 0], { args, result }) => reinterpret(x, args[0] as string, result),
      wgsl: ([x], c) => (c.args[0] === c.result ? (x as string) : `bitcast<${c.type(c.result)}>(${x})`),
    },
    accuracy: { ulp: 0 },
  },
];
