import { fail } from "../../base/diagnostic.ts";
import type { DType } from "../../base/dtype.ts";
import { halfRound } from "../../base/half.ts";
import type { Attrs } from "../graph.ts";
import type { WgslContext } from "../op.ts";
import { expHelpers } from "./helpers-exp.ts";
import { numberHelpers } from "./helpers-number.ts";
import { randomHelpers } from "./helpers-random.ts";
import { specialHelpers } from "./helpers-special.ts";
import type { HelperSource } from "./helpers-template.ts";
import { trigHelpers } from "./helpers-trig.ts";

const table: Readonly<Record<string, HelperSource>> = {
  ...numberHelpers,
  ...expHelpers,
  ...trigHelpers,
  ...specialHelpers,
  ...randomHelpers,
};

const scalarType: Readonly<Record<DType, string>> = { f32: "f32", f16: "f32", i32: "i32", u32: "u32", bool: "bool" };

/** The WGSL type that holds a value of this dtype in a kernel: f16 values are held as f32. */
export const wgslType = (dtype: DType, width: number): string =>
  width === 1 ? scalarType[dtype] : `vec${width}<${scalarType[dtype]}>`;

const word = new DataView(new ArrayBuffer(4));
const hex = (n: number): string => `0x${(n >>> 0).toString(16).padStart(8, "0")}u`;

/** The bit pattern of a number rounded to f32. NaN is 0x7fc00000. */
function floatBits(value: number): number {
  if (Number.isNaN(value)) return 0x7fc00000;
  word.setFloat32(0, value);
  return word.getUint32(0);
}

function floatText(value: number): string {
  const v = Math.fround(value);
  // A bitcast of a constant to infinity or NaN is a compile error; the result of a user's function is never a constant.
  // Tint takes a constant vector of -0 for one of 0.
  if (!Number.isFinite(v) || Object.is(v, -0)) return `bits_1(${hex(floatBits(v))})`;
  const text = String(v);
  if (text.length > 10 || text.includes("e")) return `bitcast<f32>(${hex(floatBits(v))})`;
  const dotted = text.includes(".") ? text : `${text}.0`;
  return v < 0 ? `(${dotted}f)` : `${dotted}f`;
}

const scalarText: Readonly<Record<DType, (value: number) => string>> = {
  f32: floatText,
  f16: (v) => floatText(halfRound(v)),
  i32: (v) => {
    const n = v | 0;
    if (n === -0x80000000) return "bitcast<i32>(0x80000000u)";
    return n < 0 ? `(${n}i)` : `${n}i`;
  },
  u32: (v) => `${v >>> 0}u`,
  bool: (v) => (v ? "true" : "false"),
};

/**
 * A WGSL expression of exactly this value (rounded to the dtype) at this width. Infinities, NaN and -0 are calls of the
 * helper `bits` at width 1, which the module must declare: {@link HelperSet} sees to it in literals made by its contexts.
 */
export function literalText(value: number, dtype: DType, width: number): string {
  const one = scalarText[dtype](value);
  return width === 1 ? one : `${wgslType(dtype, width)}(${one})`;
}

const sourceOf = (name: string): HelperSource =>
  Object.hasOwn(table, name)
    ? (table[name] as HelperSource)
    : fail("unknown-helper", `there is no WGSL helper named ${JSON.stringify(name)}`);

/** The names of all helper functions. */
export const helperNames: readonly string[] = Object.keys(table);

interface Declaration {
  readonly text: string;
  /** Declarations it calls, as `name_width`. */
  readonly needs: readonly { name: string; width: number }[];
}

function declare(name: string, width: number): Declaration {
  const source = sourceOf(name);
  const needs: { name: string; width: number }[] = [];
  const types: Readonly<Record<string, DType>> = { F: "f32", I: "i32", U: "u32", B: "bool" };
  const raw = typeof source === "string" ? source : source(width);
  const text = raw.replace(/\$([A-Za-z][A-Za-z0-9]*)(_1)?/g, (_, word: string, scalar: string | undefined) => {
    const dtype = types[word];
    if (dtype) return wgslType(dtype, width);
    const w = scalar ? 1 : width;
    if (word !== name || w !== width) needs.push({ name: word, width: w });
    return `${word}_${w}`;
  });
  return { text: text.trim(), needs };
}

/** The helper functions that a module's text calls, in the order in which they must be declared. */
export class HelperSet {
  readonly #declared = new Map<string, string>();

  /** Declares helper `name` at a width, after those it calls, and returns the function's name. */
  use(name: string, width: number): string {
    const key = `${name}_${width}`;
    if (!this.#declared.has(key)) {
      const { text, needs } = declare(name, width);
      for (const n of needs) this.use(n.name, n.width);
      this.#declared.set(key, text);
    }
    return key;
  }

  /** {@link literalText}, declaring the helper that infinities, NaN and -0 need. */
  literal(value: number, dtype: DType, width: number): string {
    const text = literalText(value, dtype, width);
    if (text.includes("bits_1(")) this.use("bits", 1);
    return text;
  }

  /** What an elementwise row's `wgsl` needs; helpers it calls are collected here. */
  context(site: { width: number; args: readonly DType[]; result: DType; attrs?: Attrs }): WgslContext {
    const { width, args, result, attrs = {} } = site;
    return {
      width,
      args,
      result,
      attrs,
      type: (dtype) => wgslType(dtype, width),
      lit: (value, dtype = args[0] ?? result) => this.literal(value, dtype, width),
      call: (helper, ...values) => `${this.use(helper, width)}(${values.join(", ")})`,
    };
  }

  /** Declarations of everything used so far, each after what it calls. */
  text(): string {
    return [...this.#declared.values()].join("\n\n");
  }
}

/** A context of its own: `text()` gives the helpers that its calls declared. */
export function wgslContext(site: {
  width: number;
  args: readonly DType[];
  result: DType;
  attrs?: Attrs;
}): WgslContext & { text(): string } {
  const set = new HelperSet();
  return { ...set.context(site), text: () => set.text() };
}

/** The declaration of a helper at a width, preceded by those it calls. */
export function helperText(name: string, width: number): string {
  const set = new HelperSet();
  set.use(name, width);
  return set.text();
}
