import { type DType, isFloat } from "../../src/base/dtype.ts";
import { halfRound } from "../../src/base/half.ts";
import type { ElementwiseCase } from "./elementwise-cases.ts";

/** Distance of neighbouring numbers of a float dtype at x. */
function unit(x: number, dtype: DType): number {
  const [digits, least, most] = dtype === "f16" ? [10, -14, 15] : [23, -126, 127];
  const e = x === 0 ? least : Math.floor(Math.log2(Math.abs(x)));
  // Math.log2 may round up across a power of two.
  const exact = 2 ** e > Math.abs(x) ? e - 1 : e;
  return 2 ** (Math.min(Math.max(exact, least), most) - digits);
}

const limit: Readonly<Record<string, number>> = { f32: 3.4028235677973366e38, f16: 65520 };

/** How far a GPU's value is from the exact one. `ulp` is Infinity when one is NaN or infinite and the other is not. */
function difference(got: number, exact: number, dtype: DType): { ulp: number; abs: number } {
  const want =
    isFloat(dtype) && Math.abs(exact) >= (limit[dtype] as number) ? Math.sign(exact) * Number.POSITIVE_INFINITY : exact;
  if (Object.is(got, want) || (Number.isNaN(got) && Number.isNaN(want))) return { ulp: 0, abs: 0 };
  const abs = Math.abs(got - want);
  if (!isFloat(dtype)) return { ulp: abs, abs };
  if (!Number.isFinite(want) || !Number.isFinite(got)) {
    // A result beside the largest number may overflow by its allowed error.
    const top = Math.max(...[got, want].filter(Number.isFinite).map(Math.abs), 0);
    const gap = ((limit[dtype] as number) - top) / unit(top, dtype);
    return Number.isNaN(got) || Number.isNaN(want) || got === -want || gap > 64
      ? { ulp: Number.POSITIVE_INFINITY, abs: Number.POSITIVE_INFINITY }
      : { ulp: gap, abs: 0 };
  }
  return { ulp: abs / unit(want, dtype), abs };
}

const least = 2 ** -126;
const isSubnormal = (x: number): boolean => x !== 0 && Math.abs(x) < least;

/** The results that the row allows, in f64: WGSL may take subnormal f32 arguments for zeros of either sign. */
function exactResults(c: ElementwiseCase, x: readonly number[]): number[] {
  let choices: number[][] = [[]];
  x.forEach((v, k) => {
    const options = isFloat(c.args[k] as DType) && isSubnormal(v) ? [v, 0, -0] : [v];
    choices = choices.flatMap((p) => options.map((o) => [...p, o]));
  });
  return choices.map((v) => c.row.elementwise?.cpu(v, c, c.attrs) as number);
}

/** Rows whose zero may have either sign, as in NumPy and WGSL; all others keep it. */
const unsignedZero = new Set(["min", "max", "clamp"]);

export interface Verdict {
  readonly ulp: number;
  readonly ok: boolean;
}

/** Judges one value against the row's accuracy. */
export function judge(c: ElementwiseCase, x: readonly number[], got: number): Verdict {
  const { ulp, atol = 0 } = c.row.accuracy ?? {};
  const allowed = typeof ulp === "number" ? ulp : 0;
  let best: Verdict = { ulp: Number.POSITIVE_INFINITY, ok: false };
  for (const exact of exactResults(c, x)) {
    const d = difference(got, c.result === "f16" ? halfRound(exact) : exact, c.result);
    // A subnormal may become 0 wherever it occurs in the computation.
    const flushed = c.result === "f32" && d.abs <= least;
    const zeroKept =
      !isFloat(c.result) || exact !== 0 || got !== 0 || Object.is(exact, got) || unsignedZero.has(c.row.name);
    const ok = zeroKept && (d.ulp <= allowed || d.abs <= atol || flushed);
    const seen = flushed || (d.abs <= atol && d.ulp > allowed) ? 0 : d.ulp;
    if (ok && !best.ok) best = { ulp: seen, ok };
    else if (ok === best.ok) best = { ulp: Math.min(best.ulp, seen), ok };
  }
  return best;
}
