import type { Gpu, WaitOptions } from "../runtime/gpu.ts";
import { usage } from "../runtime/usage.ts";
import type { Runnable, Timed, Timer } from "./timer.ts";

/** Integer operations, one after the other: what they take tells the clock of a device, whatever is in its caches. */
export const referenceText = `@group(0) @binding(0) var<storage, read_write> result: array<u32>;
@compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  var x = id.x;
  for (var i = 0u; i < 4096u; i++) { x = x * 1664525u + 1013904223u; }
  result[id.x % arrayLength(&result)] = x;
}`;

/** Milliseconds of work between two looks at the clock. */
const spin = 25;
/** Milliseconds of work before the full rate is taken to be known, and the most that is waited for it. */
const atLeast = 1500;
const atMost = 4000;
/** So often in a row the clock must be no faster than before, or as fast as it was. */
const steady = { first: 8, later: 2 };
/** A clock that fell shows by more than this part of the reference's time; calm is within the first. */
const slack = { calm: 1.02, run: 1.04 };
/** What a device may lose by heavy work itself: an idle one loses more. */
const mostLoaded = 1.25;
const tries = 6;

/** What ends a measurement: a signal, or the time by `now`. */
export interface Until extends WaitOptions {
  readonly deadline: number;
}

/** What was found of devices: it holds for what is tuned next. */
const known = new WeakMap<Gpu, number>();

interface Parts {
  readonly gpu: Gpu;
  readonly timer: Timer;
  readonly now: () => number;
  /** Whether its rate changes. Default: that of a GPU. */
  readonly clocked?: boolean | undefined;
}

/**
 * Sees to it that a GPU is measured at its full rate: idle ones run at a fraction of it, and take a second or more to speed up.
 * A reference of known work is timed before and after what is measured, and where it took longer than it can, the device is
 * kept busy until it does not, and the measurement is repeated.
 */
export class Clock {
  /** Whether single dispatches of a program's run can be timed at the full rate: elsewhere kernels are timed by themselves. */
  readonly inRuns: boolean;
  readonly #parts: Parts;
  readonly #buffer: GPUBuffer | undefined;
  readonly #reference: Runnable | undefined;
  /** Microseconds of the reference at the full rate. */
  #best = Number.POSITIVE_INFINITY;
  /** How many times that the reference takes beside what is measured, where heavy work itself slows the device. */
  #loaded = 1;
  #times = 1;
  /** How often a measurement was thrown away. */
  repeated = 0;

  constructor(parts: Parts) {
    const { gpu, clocked = !gpu.capabilities.software } = parts;
    const { device } = gpu;
    this.#parts = parts;
    this.inRuns = clocked && device.features.has("timestamp-query");
    if (!clocked) return;
    this.#best = known.get(gpu) ?? Number.POSITIVE_INFINITY;
    const module = device.createShaderModule({ code: referenceText });
    const pipeline = device.createComputePipeline({ layout: "auto", compute: { module, entryPoint: "main" } });
    const buffer = device.createBuffer({ size: 2 ** 20, usage: usage.storage });
    const entries = [{ binding: 0, resource: { buffer } }];
    const group = device.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries });
    this.#buffer = buffer;
    this.#reference = { pipeline, group, workgroups: [16384, 1, 1] };
  }

  /** Microseconds that the reference takes at the full rate, as far as that is known. */
  get reference(): number {
    return this.#best;
  }

  /** Keeps the device busy until it runs at its full rate: at the rate that it reaches by work alone. */
  async settle(until: Until): Promise<void> {
    const run = this.#reference;
    if (!run) return;
    const began = this.#parts.now();
    const elapsed = (): number => this.#parts.now() - began;
    const first = !Number.isFinite(this.#best);
    const seen: number[] = [];
    for (let calm = 0; calm < (first ? steady.first : steady.later) || (first && elapsed() < atLeast); ) {
      const time = await this.#spin(run, until);
      calm = time <= slack.calm * this.#best && time >= this.#best / slack.calm ? calm + 1 : 0;
      this.#best = Math.min(this.#best, time);
      seen.push(time);
      if (this.#parts.now() > until.deadline) return;
      if (elapsed() < atMost) continue;
      // What a device does not reach by four seconds of work it does not reach: it is warmer, or others use it.
      this.#best = Math.min(...seen.slice(-steady.first));
      return;
    }
  }

  /**
   * Microseconds of one turn of each row, at the full rate; undefined where the device does not come to it in time. Where that cannot be
   * told, as it is.
   */
  async time(list: readonly Timed[], until: Until): Promise<number[] | undefined> {
    const run = this.#reference;
    if (!run || !this.inRuns) return this.#parts.timer.time(list, until);
    const loads: number[] = [];
    for (let i = 0; i < tries && this.#parts.now() <= until.deadline; i++) {
      if (i > 0 || !Number.isFinite(this.#best)) await this.settle(until);
      const reference = { runs: [run], times: Math.max(1, Math.ceil(this.#times / 10)) };
      const all = await this.#parts.timer.time([reference, ...list, reference], until);
      const [before, after] = [all.at(0) as number, all.at(-1) as number];
      const most = slack.run * this.#best;
      // What came before may have been as heavy.
      if (Math.max(before, after) <= most * this.#loaded) return all.slice(1, -1);
      this.repeated++;
      // Right after work that brings the clock up, what lowers it is what is measured.
      if (before <= most && i > 0) loads.push(after / this.#best);
      const load = Math.min(...loads);
      if (loads.length >= 3 && load < mostLoaded) this.#loaded = Math.max(this.#loaded, load);
    }
    return undefined;
  }

  async #spin(run: Runnable, options: WaitOptions): Promise<number> {
    const [time] = await this.#parts.timer.time([{ runs: [run], times: this.#times }], options);
    this.#times = Math.max(1, Math.min(1000, Math.round((spin * 1000) / Math.max(1, time as number))));
    return time as number;
  }

  dispose(): void {
    if (Number.isFinite(this.#best)) known.set(this.#parts.gpu, this.#best);
    this.#buffer?.destroy();
  }
}
