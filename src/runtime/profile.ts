import { fail } from "../base/diagnostic.ts";
import type { Gpu, WaitOptions } from "./gpu.ts";
import { bindInputs, type InputValue } from "./inputs.ts";
import { type EncodePasses, makeCall, startCalls } from "./run.ts";
import type { Session } from "./session.ts";
import { encodeSteps } from "./storage.ts";
import { mapModeRead, usage } from "./usage.ts";

/** GPU time of one dispatch. */
export interface DispatchTime {
  readonly kernel: string;
  readonly place: string | undefined;
  readonly workgroups: readonly [number, number, number];
  /** Median over the runs. */
  readonly microseconds: number;
}

/** Options of {@link profile}. */
export interface ProfileOptions extends WaitOptions {
  /** How often the program runs, state and all. Default 5. */
  readonly runs?: number | undefined;
}

/** Dawn and the specification allow 4096 queries a set; a dispatch takes two. */
const mostDispatches = 2048;

/**
 * GPU time of every dispatch of a program, by timestamps around one compute pass each: passes of their own cost some
 * time between dispatches, which is not counted. Fails with `no-timestamps` where the device cannot.
 */
export async function profile(
  session: Session,
  inputs: Readonly<Record<string, InputValue>> = {},
  options: ProfileOptions = {},
): Promise<DispatchTime[]> {
  const { gpu } = session;
  gpu.check();
  if (!gpu.device.features.has("timestamp-query")) {
    fail("no-timestamps", "this device has no timestamp queries", {
      hint: "measure whole runs with gpu.idle() instead",
    });
  }
  const { storage } = session.loaded;
  const steps = storage.steps.filter((s) => !s.workgroups.includes(0));
  if (steps.length > mostDispatches) {
    fail("too-many-dispatches", `the program has ${steps.length} dispatches, and ${mostDispatches} can be timed`, {
      hint: "time a part of the program",
    });
  }
  if (steps.length === 0) return [];
  const runs = Math.max(1, options.runs ?? 5);
  const times: number[][] = steps.map(() => []);
  for (let run = 0; run < runs; run++) {
    const measured = await timeOnce(gpu, session, inputs, steps.length, options);
    for (const [i, t] of measured.entries()) times[i]!.push(t);
  }
  return steps.map((s, i) => ({
    kernel: s.pipeline.kernel.label,
    place: s.pipeline.kernel.place,
    workgroups: s.workgroups,
    microseconds: times[i]!.sort((a, b) => a - b)[runs >> 1]! / 1000,
  }));
}

/** Nanoseconds of every dispatch of one run. */
async function timeOnce(
  gpu: Gpu,
  session: Session,
  inputs: object,
  count: number,
  options: WaitOptions,
): Promise<number[]> {
  const bytes = count * 16;
  const queries = gpu.guard("make timestamp queries", () =>
    gpu.device.createQuerySet({ type: "timestamp", count: count * 2 }),
  );
  const [resolved, staging] = await makeBuffers(gpu, bytes, options);
  try {
    const passes: EncodePasses = (encoder, steps, groupOf) => {
      let next = 0;
      for (const step of steps.filter((s) => !s.workgroups.includes(0))) {
        const pass = encoder.beginComputePass({
          timestampWrites: { querySet: queries, beginningOfPassWriteIndex: next++, endOfPassWriteIndex: next++ },
        });
        encodeSteps(pass, [step], groupOf);
        pass.end();
      }
      encoder.resolveQuerySet(queries, 0, count * 2, resolved, 0);
      encoder.copyBufferToBuffer(resolved, 0, staging, 0, bytes);
      return next / 2;
    };
    const { rebindable } = session.loaded.storage;
    const call = makeCall(session, bindInputs(gpu, "input", session.inputs, inputs, rebindable));
    const { epoch } = gpu;
    const [results] = await startCalls(gpu, [call], { ...options, passes });
    for (const tensor of Object.values(results!)) tensor.dispose();
    await gpu.wait("reading timestamps", staging.mapAsync(mapModeRead), options);
    const error = gpu.errorSince(epoch);
    if (error) throw error;
    const stamps = new BigUint64Array(staging.getMappedRange());
    return Array.from({ length: count }, (_, i) => Number(stamps[2 * i + 1]! - stamps[2 * i]!));
  } finally {
    queries.destroy();
    resolved.destroy();
    staging.destroy();
  }
}

async function makeBuffers(gpu: Gpu, size: number, options: WaitOptions): Promise<[GPUBuffer, GPUBuffer]> {
  return gpu.scoped(
    "make buffers for timestamps",
    () => [
      gpu.device.createBuffer({ size, usage: usage.queryResolve | usage.copySrc }),
      gpu.device.createBuffer({ size, usage: usage.mapRead | usage.copyDst }),
    ],
    options,
  );
}
