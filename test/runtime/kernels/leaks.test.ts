import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { expect, test } from "vitest";
import { createRuntime } from "../../../src/runtime/index.ts";
import { bufferOf } from "../../support/buffers.ts";
import { sharedGpu } from "../../support/gpu.ts";
import { axpy } from "../../support/hand-kernels.ts";

setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc") as () => void;
const gpu = sharedGpu();

test("buffers that the caller lets go of are let go of, with the bind groups made for them", async () => {
  const { device } = gpu();
  using rt = await createRuntime({ device });
  const weights = bufferOf(device, new Float32Array(64));
  const alive: WeakRef<GPUBuffer>[] = [];
  const use = (): void => {
    // Beside one that stays, first and last in the order of bindings.
    const [x, z] = [bufferOf(device, new Float32Array(64)), bufferOf(device, new Float32Array(64))];
    rt.run(axpy, { x, y: weights, z }, { n: 64, scale: 1 });
    alive.push(new WeakRef(x), new WeakRef(z));
  };
  for (let i = 0; i < 100; i++) use();
  await device.queue.onSubmittedWorkDone();
  for (let i = 0; i < 5; i++) {
    await new Promise((resolve) => setTimeout(resolve, 10));
    collect();
  }
  // The last call's are still in the lists that calls share.
  expect(alive.filter((r) => r.deref() !== undefined).length).toBeLessThan(10);
  rt.run(axpy, { x: weights, y: weights, z: bufferOf(device, new Float32Array(64)) }, { n: 64, scale: 1 });
});
