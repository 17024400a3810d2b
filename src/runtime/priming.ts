import type { KernelSpec } from "../manifest/manifest.ts";
import { atOnce } from "./at-once.ts";
import type { Gpu, WaitOptions } from "./gpu.ts";
import type { Step, Storage } from "./storage.ts";

interface PrimeOptions extends WaitOptions {
  readonly concurrency?: number | undefined;
}

/**
 * Submits the first step of each kernel with no workgroups, in order. Several are under way at a time, since each
 * answer of the device takes longer than the work itself.
 */
export async function primeAll(
  gpu: Gpu,
  kernels: readonly KernelSpec[],
  storage: Storage,
  options: PrimeOptions,
  tell: (status: "priming" | "primed", kernel: KernelSpec) => void,
): Promise<void> {
  const steps = [...storage.setup, ...storage.steps];
  const first = new Map(steps.toReversed().map((s) => [s.pipeline.kernel.key, s]));
  // The workgroup counts come from a zeroed buffer: Dawn prints a warning on standard output for a direct count of 0.
  const [none] = await gpu.pool.acquire("indirect", [12], "prime the kernels", options.signal);
  try {
    await atOnce(kernels, options.concurrency ?? 8, async (k) => {
      tell("priming", k);
      const step = first.get(k.key);
      if (step) await prime(gpu, step, none!.buffer, options);
      tell("primed", k);
    });
  } finally {
    none!.release();
  }
}

async function prime(gpu: Gpu, step: Step, none: GPUBuffer, options: WaitOptions): Promise<void> {
  const submitPrimer = (): void => {
    const encoder = gpu.device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    pass.setPipeline(step.pipeline.pipeline);
    pass.setBindGroup(0, step.group);
    pass.dispatchWorkgroupsIndirect(none, 0);
    pass.end();
    gpu.submit([encoder.finish()]);
  };
  const what = `prime ${step.pipeline.kernel.label}`;
  const submitted = gpu.scoped(what, submitPrimer, options);
  // Where the next call throws nobody waits for it.
  submitted.catch(() => undefined);
  await Promise.all([submitted, gpu.wait(what, gpu.done(), options)]);
}
