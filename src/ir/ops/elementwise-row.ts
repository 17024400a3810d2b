import type { DType } from "../../base/dtype.ts";
import type { Attrs } from "../graph.ts";
import type { Accuracy, AttrSpec, ElementwiseMeaning, OpFlags, OpRow, WgslContext } from "../op.ts";
import { broadcastAll, requireDType, sameDType } from "./infer.ts";

/** The CPU and the GPU meaning for the dtypes of one kind: `kind` is the first argument's. */
export interface Meaning {
  cpu(x: readonly number[], attrs: Attrs): number;
  wgsl(x: readonly string[], c: WgslContext): string;
}

/** Which meaning a row has for floats, i32, u32 and bool. A dtype without one is refused. */
export interface Meanings {
  readonly float?: Meaning;
  readonly i32?: Meaning;
  readonly u32?: Meaning;
  readonly bool?: Meaning;
}

export interface ElementwiseSpec {
  readonly name: string;
  readonly params: readonly string[];
  readonly doc: string;
  readonly attrs?: Readonly<Record<string, AttrSpec>>;
  readonly on: Meanings;
  /** The result's dtype; that of the arguments by default. */
  readonly result?: DType;
  readonly flags?: OpFlags;
  readonly accuracy?: Accuracy;
}

const kindOf: Readonly<Record<DType, keyof Meanings>> = {
  f32: "float",
  f16: "float",
  i32: "i32",
  u32: "u32",
  bool: "bool",
};

/** A row whose arguments have one dtype and broadcast against each other. */
export function elementwiseRow(spec: ElementwiseSpec): OpRow {
  const { name, params, doc, attrs, on, result, flags, accuracy } = spec;
  const allowed = (Object.keys(kindOf) as DType[]).filter((d) => on[kindOf[d]]);
  const pick = (dtype: DType | undefined): Meaning => on[kindOf[dtype as DType]] as Meaning;
  return {
    name,
    kind: "elementwise",
    params,
    doc,
    ...(attrs ? { attrs } : {}),
    infer(args) {
      const dtype = sameDType(name, ...args);
      args.forEach((t, i) => {
        requireDType(name, t, allowed, params[i]);
      });
      return {
        dtype: result ?? dtype,
        shape: broadcastAll(
          args.map((t) => t.shape),
          name,
        ),
      };
    },
    elementwise: {
      cpu: (x, dtypes, a) => pick(dtypes.args[0]).cpu(x, a),
      wgsl: (x, c) => pick(c.args[0]).wgsl(x, c),
    } satisfies ElementwiseMeaning,
    ...(flags ? { flags } : {}),
    accuracy: accuracy ?? { ulp: 0 },
  };
}

/** A call of helper `name` with the row's arguments. */
export const helper =
  (name: string) =>
  (x: readonly string[], c: WgslContext): string =>
    c.call(name, ...x);

/** A call of the WGSL builtin `name`. */
export const builtin =
  (name: string) =>
  (x: readonly string[]): string =>
    `${name}(${x.join(", ")})`;

export const infix =
  (sign: string) =>
  (x: readonly string[]): string =>
    `(${x[0]} ${sign} ${x[1]})`;

/** A float attribute, or its default. */
export const attr = (attrs: Attrs, name: string, otherwise: number): number => (attrs[name] as number) ?? otherwise;

export const floatAttr = (doc: string, value: number): AttrSpec => ({ type: "float", doc, default: value });

export const one =
  (f: (x: number) => number) =>
  ([x]: readonly number[]): number =>
    f(x as number);

export const two =
  (f: (x: number, y: number) => number) =>
  ([x, y]: readonly number[]): number =>
    f(x as number, y as number);
