import type { Gpu, Session } from "sinter";
import { bindInputs } from "../src/runtime/inputs.ts";
import { makeCall, startCalls } from "../src/runtime/run.ts";
import { encodeSteps } from "../src/runtime/storage.ts";
import { Stopwatch } from "../src/runtime/timestamps.ts";
import { referenceText } from "../src/tune/clock.ts";
import { median } from "./measure.ts";

/** GPU time of a program, in microseconds: one compute pass for all of its dispatches. */
export interface GpuTime {
  readonly median_us: number;
  readonly min_us: number;
}

/** Milliseconds of work after which a GPU that was idle runs at its full rate. */
const mostWarm = 1500;
/** When a GPU was last known to be busy. */
const busyUntil = new WeakMap<Gpu, number>();

/**
 * Keeps a GPU busy for as long as it was idle, but no longer than brings it to its full rate: idle ones run at a fraction of it.
 * Software adapters have no clock of their own.
 */
export async function warm(gpu: Gpu): Promise<void> {
  const idle = performance.now() - (busyUntil.get(gpu) ?? Number.NEGATIVE_INFINITY);
  await spin(gpu, Math.min(mostWarm, Math.max(100, idle)));
}

async function spin(gpu: Gpu, ms: number): Promise<void> {
  if (gpu.capabilities.software) return;
  const { device } = gpu;
  const pipeline = device.createComputePipeline({
    layout: "auto",
    compute: { module: device.createShaderModule({ code: referenceText }), entryPoint: "main" },
  });
  const buffer = device.createBuffer({ size: 2 ** 20, usage: 0x80 });
  const entries = [{ binding: 0, resource: { buffer } }];
  const group = device.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries });
  const until = performance.now() + ms;
  while (performance.now() < until) {
    const encoder = device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    pass.setPipeline(pipeline);
    pass.setBindGroup(0, group);
    for (let i = 0; i < 20; i++) pass.dispatchWorkgroups(16384);
    pass.end();
    device.queue.submit([encoder.finish()]);
    await gpu.idle();
  }
  buffer.destroy();
  busyUntil.set(gpu, performance.now());
}

/** Shortest time of passes between two waits, in microseconds: shorter ones let a GPU slow down. */
const least = 6000;
/** Shortest pass, in microseconds: one takes some 5 besides what is in it. */
const shortest = 250;
const mostTogether = 32;
const mostPasses = 400;
const mostRepeats = 10;

/**
 * Times a session's dispatches by timestamps around compute passes, many passes a submit: the median of at least `samples`. Short
 * programs are in a pass several times, one after the other. State changes as often; results are dropped.
 * @throws SinterError `no-timestamps`
 */
export async function gpuTime(
  session: Session<never, never, never, never>,
  inputs: object,
  samples = 20,
): Promise<GpuTime> {
  const { gpu, inner } = session;
  const { steps, rebindable } = inner.loaded.storage;
  const bound = bindInputs(gpu, "input", inner.inputs, session.flatInputs(inputs as never), rebindable);
  const watch = await Stopwatch.open(gpu, mostPasses);
  const passes = async (count: number, together: number): Promise<number[]> => {
    const [results] = await startCalls(gpu, [makeCall(inner, bound)], {
      passes: (encoder, _, groupOf) => {
        watch.start();
        let dispatches = 0;
        for (let i = 0; i < count; i++) {
          const pass = watch.beginPass(encoder);
          for (let j = 0; j < together; j++) dispatches += encodeSteps(pass, steps, groupOf);
          pass.end();
        }
        watch.finish(encoder);
        return dispatches;
      },
    });
    const stamps = await watch.read();
    for (const r of Object.values(results ?? {})) r.dispose();
    return stamps.map((s) => (s.end - s.begin) / 1000 / together);
  };
  try {
    await warm(gpu);
    const first = median(await passes(2, 1));
    const { software } = gpu.capabilities;
    const together = software ? 1 : Math.min(mostTogether, Math.max(1, Math.ceil(shortest / first)));
    const wanted = software ? samples : Math.max(samples, Math.ceil(least / (together * first)));
    const count = Math.min(mostPasses, wanted);
    // A GPU that was idle speeds up for a second or so: until it gets no faster.
    let times = await passes(count, together);
    for (let i = 0; i < mostRepeats && !software; i++) {
      const again = await passes(count, together);
      const settled = median(again) > 0.98 * median(times);
      times = again;
      if (settled) break;
      await spin(gpu, 200);
    }
    busyUntil.set(gpu, performance.now());
    return { median_us: median(times), min_us: Math.min(...times) };
  } finally {
    watch.dispose();
  }
}
