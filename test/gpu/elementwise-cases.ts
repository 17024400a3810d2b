import { type DType, dtypes, isFloat } from "../../src/base/dtype.ts";
import { halfRound } from "../../src/base/half.ts";
import type { Attrs } from "../../src/ir/graph.ts";
import type { OpRow } from "../../src/ir/op.ts";
import { elementwiseRows } from "../../src/ir/ops/elementwise.ts";
import { randomOf } from "../support/values.ts";

/** One row at one choice of dtypes and attributes. */
export interface ElementwiseCase {
  readonly row: OpRow;
  readonly args: readonly DType[];
  readonly result: DType;
  readonly attrs: Attrs;
  readonly label: string;
}

const attrChoices: Readonly<Record<string, readonly Attrs[]>> = {
  gelu: [{ approximate: "none" }, { approximate: "tanh" }],
  elu: [{ alpha: 1 }, { alpha: 0.75 }],
  leakyRelu: [{ alpha: 0.25 }],
  hardSigmoid: [{ alpha: 0.25, beta: 0.5 }],
  cast: dtypes.map((dtype) => ({ dtype })),
  bitcast: dtypes.map((dtype) => ({ dtype })),
};

const argChoices = (row: OpRow): DType[][] =>
  dtypes.map((d) => (row.name === "where" ? ["bool", d, d] : row.params.map(() => d)));

/** Every elementwise row at every dtype it accepts. */
export function elementwiseCases(): ElementwiseCase[] {
  const out: ElementwiseCase[] = [];
  for (const row of elementwiseRows) {
    for (const args of argChoices(row)) {
      for (const attrs of attrChoices[row.name] ?? [{}]) {
        try {
          const type = row.infer(
            args.map((dtype) => ({ dtype, shape: [] })),
            attrs,
          ) as { dtype: DType };
          const shown = Object.values(attrs).join(",");
          const label = `${row.name}${shown && `{${shown}}`} ${args.join(",")}`;
          out.push({ row, args, result: type.dtype, attrs, label });
        } catch {
          // Not defined for this dtype; which dtypes a row takes is tested by itself.
        }
      }
    }
  }
  return out;
}

const { NaN: nan, POSITIVE_INFINITY: inf } = Number;
const most = 3.4028234663852886e38;
/** The WebGPU conformance suite's interesting f32 values, and what is not finite. */
const interesting: Readonly<Record<DType, readonly number[]>> = {
  f32: [
    ...[
      most,
      10,
      1,
      0.5,
      0.125,
      2 ** -126,
      2 ** -126 - 2 ** -149,
      2 ** -149,
      0,
      inf,
      2,
      3,
      1e10,
      1.5,
      65519,
      65520,
      2 ** 31,
      88.7,
    ]
      .flatMap((x) => [x, -x])
      .map(Math.fround),
    nan,
  ],
  f16: [...[65504, 10, 1, 0.5, 0.125, 2 ** -14, 2 ** -24, 0, inf, 2, 3, 1.5].flatMap((x) => [x, -x]), nan],
  i32: [0, 1, -1, 2, -2, 3, 7, -7, 31, 32, 33, 2 ** 31 - 1, -(2 ** 31), 65536, -65537, 2 ** 24 + 1],
  u32: [0, 1, 2, 3, 7, 31, 32, 33, 2 ** 31, 2 ** 31 - 1, 2 ** 32 - 1, 65535, 65536, 2 ** 24 + 1],
  bool: [0, 1],
};

const word = new DataView(new ArrayBuffer(4));

function anyFloat(r: () => number): number {
  const pick = Math.floor(r() * 6);
  if (pick === 0) {
    word.setUint32(0, Math.floor(r() * 2 ** 32));
    return word.getFloat32(0);
  }
  const scale = [0, 1, 4, 15, 100, 1e5][pick] as number;
  return Math.fround((r() * 2 - 1) * scale);
}

const anyValue: Readonly<Record<DType, (r: () => number) => number>> = {
  f32: anyFloat,
  f16: (r) => halfRound(anyFloat(r)),
  i32: (r) => (r() < 0.5 ? Math.floor(r() * 201) - 100 : Math.floor(r() * 2 ** 32) | 0),
  u32: (r) => (r() < 0.5 ? Math.floor(r() * 100) : Math.floor(r() * 2 ** 32)),
  bool: (r) => (r() < 0.5 ? 0 : 1),
};

/** Columns of arguments: every combination of interesting values first, random ones up to `n`. */
export function argumentColumns(args: readonly DType[], n: number): Float64Array[] {
  const r = randomOf(20251120);
  const columns = args.map(() => new Float64Array(n));
  const lists = args.map((d) => interesting[d]);
  const combinations = lists.reduce((p, l) => p * l.length, 1);
  for (let i = 0; i < n; i++) {
    let rest = combinations <= n ? i : Math.floor(r() * combinations);
    const listed = combinations <= n ? i < combinations : i < n / 4;
    args.forEach((d, k) => {
      const list = lists[k] as readonly number[];
      (columns[k] as Float64Array)[i] = listed ? (list[rest % list.length] as number) : anyValue[d](r);
      rest = Math.floor(rest / list.length);
    });
  }
  return columns;
}

/** The 32 bits in which a value travels to and from the test kernels. */
export function toBits(x: number, dtype: DType): number {
  if (!isFloat(dtype)) return x >>> 0;
  word.setFloat32(0, x);
  return word.getUint32(0);
}

export function fromBits(bits: number, dtype: DType): number {
  word.setUint32(0, bits);
  if (isFloat(dtype)) return word.getFloat32(0);
  return dtype === "i32" ? word.getInt32(0) : bits;
}
