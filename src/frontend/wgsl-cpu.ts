import { fail } from "../base/diagnostic.ts";
import type { DType } from "../base/dtype.ts";
import type { TensorType } from "../ir/graph.ts";
import { count, type NDArray, ndarray } from "../ir/ndarray.ts";
import { type OwnMeaning, ownBindings, wordOf } from "../ir/ops/wgsl.ts";
import type { WgslSignature } from "./wgsl-signature.ts";

/** A tensor for the interpreter. */
export interface WgslCpuTensor {
  readonly dtype: DType;
  readonly shape: readonly number[];
  /** Row-major; integers exact, bool as 0 and 1. */
  readonly data: Float64Array;
}

/** What a kernel's meaning on the CPU is given. */
export interface WgslCpuInputs {
  /** Tensors by the names of their buffers. */
  readonly inputs: Readonly<Record<string, WgslCpuTensor>>;
  /** For each buffer with fields those that are one number, by name; a value alone is under the empty name. */
  readonly params: Readonly<Record<string, Readonly<Record<string, number>>>>;
  /** dtype and shape of each output. */
  readonly outputs: Readonly<Record<string, { readonly dtype: DType; readonly shape: readonly number[] }>>;
}

/** What a kernel computes, for the interpreter: for each output its elements in row-major order. */
export type WgslCpu = (given: WgslCpuInputs) => Readonly<Record<string, ArrayLike<number>>>;

const view = new DataView(new ArrayBuffer(4));

function numberOf(word: number, type: string): number {
  view.setUint32(0, word);
  return type === "f32" ? view.getFloat32(0) : type === "i32" ? view.getInt32(0) : word;
}

/** A user's meaning as the interpreter calls it. */
export const meaningOf =
  (name: string, signature: WgslSignature, cpu: WgslCpu): OwnMeaning =>
  (args, attrs, types) => {
    const bindings = ownBindings(attrs);
    const inputs: Record<string, NDArray> = {};
    const params: Record<string, Record<string, number>> = {};
    const outputs: Record<string, { dtype: DType; shape: readonly number[] }> = {};
    for (const b of bindings) {
      const arg = b.argument === undefined ? undefined : (args[b.argument] as NDArray);
      if (arg) inputs[b.name] = arg;
      const fields = signature.bindings.find((s) => s.name === b.name)?.fields;
      if (arg && fields) params[b.name] = fieldNumbers(fields, arg);
      if (b.result === undefined) continue;
      const { dtype, shape } = types[b.result] as TensorType;
      outputs[b.name] = { dtype, shape: shape as readonly number[] };
    }
    const made = cpu({ inputs, params, outputs });
    return bindings
      .filter((b) => b.result !== undefined)
      .sort((a, b) => (a.result as number) - (b.result as number))
      .map((b) => {
        const { dtype, shape } = outputs[b.name] as { dtype: DType; shape: readonly number[] };
        const data = made?.[b.name];
        if (data?.length !== count(shape)) {
          fail("bad-option", `${name}: cpu gave ${data ? `${data.length} elements` : "nothing"} for ${b.name}`, {
            hint: `return { ${b.name}: … } with ${count(shape)} elements`,
          });
        }
        return ndarray(dtype, shape, data as ArrayLike<number>);
      });
  };

function fieldNumbers(
  fields: NonNullable<WgslSignature["bindings"][number]["fields"]>,
  { dtype, data }: NDArray,
): Record<string, number> {
  const single = fields.filter((f) => f.scalar !== null && f.lanes === 1 && f.stride === 0);
  return Object.fromEntries(
    single.map((f) => [f.name, numberOf(wordOf(data[f.word] as number, dtype), f.scalar as string)]),
  );
}
