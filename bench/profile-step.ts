import { openDevice } from "sinter";
import type { Gpt2Sizes } from "./gpt2-model.ts";
import { makeTrainer, stepProgram } from "./gpt2-step.ts";
import type { Probe } from "./probe.ts";

/** Where a benchmark is about the training step and not its kernels: times these on a device of their own, if asked to. */
export async function profileStep(probe: Probe, sizes: Gpt2Sizes, dtype: "f32" | "f16" | "f16x3"): Promise<void> {
  if (!probe.on) return;
  const gpu = await openDevice();
  try {
    probe.require(gpu);
    const trainer = await makeTrainer(gpu, sizes, stepProgram(sizes, dtype));
    probe.add("training step", await trainer.profile(5));
    trainer.dispose();
  } finally {
    gpu.dispose();
  }
}
