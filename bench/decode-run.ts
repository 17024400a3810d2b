import { type Gpu, type GpuTensor, Ring, type Session } from "sinter";
import { copySpeed } from "../src/runtime/copy-speed.ts";
import { gpuTime, warm } from "./gpu-time.ts";
import { median } from "./measure.ts";

/** Measurements of pipelined tokens, of which the median is taken. */
const rounds = 3;

/** GPU time that a dispatch takes beside its work: what is before it has to end. */
export const drainUs = 3.8;

/** How far results are from what they should be, of the largest of these. */
export interface Differing {
  readonly difference: number;
  readonly tolerance: number;
}

/** A program that computes a token at a time, loaded. */
export interface DecodeRun {
  readonly name: string;
  readonly session: Session<never, never, never, never>;
  readonly layers: number;
  /** Dispatches that belong to no layer. */
  readonly apart: number;
  /** What a token must read and write. */
  readonly bytes: number;
  inputsAt(token: number): object;
  check(): Promise<Differing>;
}

/** Times of a token; where they come from in the order of the fields: timestamps, then the clock on the wall. */
export interface DecodeFigures {
  readonly name: string;
  readonly layers: number;
  readonly kernels: readonly string[];
  readonly dispatches: number;
  readonly dispatches_per_layer: number;
  readonly submits: number;
  readonly create_buffer: number;
  readonly create_bind_group: number;
  readonly bytes: number;
  /** Bytes a second of a plain copy, just before. */
  readonly copy: number;
  readonly gpu_us: number;
  readonly gpu_min_us: number;
  /** With a wait for the result of each token before the next. */
  readonly synced_us: number;
  /** With several tokens on the device at a time. */
  readonly pipelined_us: number;
  readonly difference: number;
  readonly tolerance: number;
}

/** The largest difference, of the largest element expected. */
export function largest(got: ArrayLike<number>, expected: readonly number[]): number {
  let [difference, scale] = [0, 0];
  expected.forEach((e, i) => {
    difference = Math.max(difference, Math.abs(e - (got[i] as number)));
    scale = Math.max(scale, Math.abs(e));
  });
  return difference / scale;
}

type Results = Readonly<Record<string, unknown>>;

function dispose(results: Results): void {
  for (const r of Object.values(results))
    if (r && typeof (r as GpuTensor).dispose === "function" && isResult(r)) (r as GpuTensor).dispose();
}
const isResult = (r: unknown): boolean => typeof (r as GpuTensor).data === "function";

/** Times a program: `tokens` one after the other, and as many with four on the device at a time, three times over. */
export async function timeRun(gpu: Gpu, run: DecodeRun, tokens: number): Promise<DecodeFigures> {
  const { session } = run;
  const checked = await run.check();
  // That took the CPU seconds, in which a GPU slows down.
  await warm(gpu);
  const timed = gpu.device.features.has("timestamp-query");
  const copy = timed ? await copySpeed(gpu) : Number.NaN;
  const { median_us: gpu_us, min_us: gpu_min_us } = timed
    ? await gpuTime(session, run.inputsAt(tokens >> 1))
    : { median_us: Number.NaN, min_us: Number.NaN };
  const token = (i: number): Promise<Results> => session.run(run.inputsAt(i) as never) as Promise<Results>;
  const synced: number[] = [];
  dispose(await token(0));
  for (let i = 0; i < tokens; i++) {
    const began = performance.now();
    const results = await token(i);
    await gpu.idle();
    synced.push((performance.now() - began) * 1000);
    dispose(results);
  }
  const ring = new Ring(gpu, { size: 4 });
  const pass = async (): Promise<void> => {
    for (let i = 0; i < tokens; i++) dispose((await ring.run(() => token(i))) as Results);
    await ring.idle();
  };
  await warm(gpu);
  await pass();
  const before = gpu.counters.snapshot();
  const walls: number[] = [];
  for (let i = 0; i < rounds; i++) {
    const began = performance.now();
    await pass();
    walls.push(((performance.now() - began) * 1000) / tokens);
  }
  const after = gpu.counters.snapshot();
  const pipelined_us = median(walls);
  const each = (name: keyof typeof after): number =>
    Number(((after[name] - before[name]) / (rounds * tokens)).toFixed(3));
  const dispatches = each("dispatches");
  return {
    name: run.name,
    layers: run.layers,
    kernels: [...new Set(session.made.report.kernels.map((k) => k.variant))],
    dispatches,
    dispatches_per_layer: (dispatches - run.apart) / run.layers,
    submits: each("submits"),
    create_buffer: each("buffers"),
    create_bind_group: each("bindGroups"),
    ...{ bytes: run.bytes, copy },
    ...{ gpu_us, gpu_min_us, synced_us: median(synced), pipelined_us, ...checked },
  };
}
