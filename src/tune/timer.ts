import type { Gpu, WaitOptions } from "../runtime/gpu.ts";
import { Stopwatch } from "../runtime/timestamps.ts";

/** A dispatch that can be repeated. */
export interface Runnable {
  readonly pipeline: GPUComputePipeline;
  readonly group: GPUBindGroup;
  readonly workgroups: readonly [number, number, number];
}

/** Dispatches in a row, with how often the row is repeated. */
export interface Timed {
  readonly runs: readonly Runnable[];
  readonly times: number;
}

/** Tells how long dispatches take. */
export interface Timer {
  /** Microseconds of one turn of each row. */
  time(list: readonly Timed[], options: WaitOptions): Promise<number[]>;
  dispose(): void;
}

/** A set of queries holds two for each of 2048 passes, and the first of a submit is not counted. */
const mostPasses = 2047;

/** By timestamps around compute passes; where the device has none, by the time until each submit is done. */
export async function openTimer(gpu: Gpu, options: WaitOptions): Promise<Timer> {
  if (!gpu.device.features.has("timestamp-query")) return wallTimer(gpu);
  const watch = await Stopwatch.open(gpu, mostPasses + 1, options);
  const some = async (list: readonly Timed[], wait: WaitOptions): Promise<number[]> => {
    const encoder = gpu.device.createCommandEncoder();
    const timed = (t: Timed): void => {
      const pass = watch.beginPass(encoder);
      repeat(pass, t);
      pass.end();
    };
    watch.start();
    // What comes first in a submit would be charged with waiting for its beginning.
    const [first] = list;
    if (first) timed({ runs: first.runs, times: 1 });
    for (const t of list) timed(t);
    watch.finish(encoder);
    gpu.submit([encoder.finish()]);
    const [, ...stamps] = await watch.read(wait);
    return stamps.map((s, i) => (s.end - s.begin) / 1000 / (list[i]?.times ?? 1));
  };
  return {
    async time(list, wait) {
      const out: number[] = [];
      for (let i = 0; i < list.length; i += mostPasses) out.push(...(await some(list.slice(i, i + mostPasses), wait)));
      return out;
    },
    dispose: () => watch.dispose(),
  };
}

/** Where a device cannot time its work. */
const wallTimer = (gpu: Gpu): Timer => ({
  async time(list, wait) {
    const out: number[] = [];
    for (const t of list) {
      await gpu.idle({ signal: wait.signal });
      const began = performance.now();
      const encoder = gpu.device.createCommandEncoder();
      const pass = encoder.beginComputePass();
      repeat(pass, t);
      pass.end();
      gpu.submit([encoder.finish()]);
      await gpu.idle({ signal: wait.signal });
      out.push(((performance.now() - began) * 1000) / t.times);
    }
    return out;
  },
  dispose: () => undefined,
});

function repeat(pass: GPUComputePassEncoder, { runs, times }: Timed): void {
  for (let i = 0; i < times; i++) {
    for (const { pipeline, group, workgroups } of runs) {
      if (workgroups.some((n) => n === 0)) continue;
      if (i === 0 || runs.length > 1) {
        pass.setPipeline(pipeline);
        pass.setBindGroup(0, group);
      }
      pass.dispatchWorkgroups(...workgroups);
    }
  }
}
