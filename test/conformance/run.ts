import type { DType } from "../../src/base/dtype.ts";
import { compile, type SpecTree, type Tensor } from "../../src/index.ts";
import { count } from "../../src/ir/ndarray.ts";
import type { Gpu } from "../../src/runtime/gpu.ts";
import type { GpuTensor } from "../../src/runtime/tensor.ts";
import { filledData, type HostData, hostData } from "../support/gpu.ts";

export interface HostTensor {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly data: ArrayLike<number>;
  /** `data` is one value that fills the tensor. */
  readonly fill?: boolean;
  /** Given at load instead of at each run. */
  readonly constant?: boolean;
}

/** Compiles, loads and runs a function of the DSL once; its outputs by name. */
export async function runOnGpu(
  gpu: Gpu,
  specs: Readonly<Record<string, SpecTree>>,
  fn: (inputs: Record<string, Tensor>) => Record<string, Tensor>,
  tensors: readonly HostTensor[],
): Promise<Record<string, HostTensor>> {
  const weights = tensors.filter((t) => t.constant).map((t) => t.name);
  const program = compile(specs, fn as never, { weights: weights as never[] });
  const values = (constant: boolean): Record<string, unknown> =>
    Object.fromEntries(tensors.filter((t) => (t.constant ?? false) === constant).map((t) => [t.name, given(t)]));
  const session = await program.load(gpu, { weights: values(true) } as never);
  try {
    const out = (await session.run(values(false) as never, { read: true })) as Record<string, GpuTensor>;
    const read = Object.entries(out).map(async ([name, t]): Promise<[string, HostTensor]> => {
      const data = await t.data();
      t.dispose();
      return [name, { name, dtype: t.dtype, shape: t.shape, data }];
    });
    return Object.fromEntries(await Promise.all(read));
  } finally {
    session.dispose();
  }
}

const given = (t: HostTensor): HostData =>
  t.fill ? filledData(t.dtype, t.data[0] as number, count(t.shape)) : hostData(t.dtype, t.data);

/** The first line of an error: what a list of failures has room for. */
export const firstLine = (e: unknown): string =>
  e instanceof Error ? (e.message.split("\n")[0] as string) : String(e);
