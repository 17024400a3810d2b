import { compile, f32, openDevice } from "sinter";
import { softmax } from "sinter/kernels/softmax";
import { createRuntime, type Kernel, type KernelRuntime } from "sinter/runtime";

export const program = compile({ x: f32(2, 3) }, ({ x }) => x.softmax());
export const kernel: Kernel<"x" | "y", "rows" | "cols"> = softmax;
export async function start(): Promise<KernelRuntime> {
  const { device } = await openDevice();
  return createRuntime({ device });
}
