import type { Gpu, WaitOptions } from "../runtime/gpu.ts";
import { Stopwatch } from "../runtime/timestamps.ts";

/** A dispatch that can be repeated. */
export interface Runnable {
  readonly pipeline: GPUComputePipeline;
  readonly group: GPUBindGroup;
  readonly workgroups: readonly [number, number, number];
}

/** A dispatch with how often it is repeated. */
export interface Timed {
  readonly run: Runnable;
  readonly times: number;
}

/** Tells how long dispatches take. */
export interface Timer {
  /** Microseconds of one dispatch of each, from as many in a row as are asked for. */
  time(runs: readonly Timed[], options: WaitOptions): Promise<number[]>;
  dispose(): void;
}

const mostRuns = 64;

/** By timestamps around compute passes; where the device has none, by the time until each submit is done. */
export async function openTimer(gpu: Gpu, options: WaitOptions): Promise<Timer> {
  if (!gpu.device.features.has("timestamp-query")) return wallTimer(gpu);
  const watch = await Stopwatch.open(gpu, mostRuns + 1, options);
  return {
    async time(runs, wait) {
      const encoder = gpu.device.createCommandEncoder();
      const timed = ({ run, times }: Timed): void => {
        const pass = watch.beginPass(encoder);
        repeat(pass, run, times);
        pass.end();
      };
      watch.start();
      // What comes first in a submit would be charged with waiting for its beginning.
      const [first] = runs;
      if (first) timed({ run: first.run, times: 1 });
      for (const r of runs.slice(0, mostRuns)) {
        timed(r);
      }
      watch.finish(encoder);
      gpu.submit([encoder.finish()]);
      const [, ...stamps] = await watch.read(wait);
      return stamps.map((s, i) => (s.end - s.begin) / 1000 / (runs[i]?.times ?? 1));
    },
    dispose: () => watch.dispose(),
  };
}

/** Where a device cannot time its work. */
const wallTimer = (gpu: Gpu): Timer => ({
  async time(runs, wait) {
    const out: number[] = [];
    for (const { run, times } of runs) {
      await gpu.idle({ signal: wait.signal });
      const began = performance.now();
      const encoder = gpu.device.createCommandEncoder();
      const pass = encoder.beginComputePass();
      repeat(pass, run, times);
      pass.end();
      gpu.submit([encoder.finish()]);
      await gpu.idle({ signal: wait.signal });
      out.push(((performance.now() - began) * 1000) / times);
    }
    return out;
  },
  dispose: () => undefined,
});

function repeat(pass: GPUComputePassEncoder, { pipeline, group, workgroups }: Runnable, times: number): void {
  pass.setPipeline(pipeline);
  pass.setBindGroup(0, group);
  for (let i = 0; i < times; i++) pass.dispatchWorkgroups(...workgroups);
}
