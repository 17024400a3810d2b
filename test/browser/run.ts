import { type Gpu, loadManifest, manifestFromJson, type WarmupEvent } from "../../src/runtime/index.ts";
import type { Shipped } from "./programs.ts";

export interface Ran {
  readonly results: Readonly<Record<string, readonly number[]>>;
  readonly lastEvent: string | undefined;
  readonly createdInSteadyState: number;
}

/** Loads and runs one program in strict mode, the same in Node and in a page. */
export async function runShipped(gpu: Gpu, program: Shipped): Promise<Ran> {
  const events: WarmupEvent[] = [];
  using session = await loadManifest(gpu, manifestFromJson(program.manifest), {
    weights: program.weights,
    state: program.state,
    strict: true,
    onProgress: (e) => events.push(e),
  });
  const results: Record<string, readonly number[]> = {};
  let createdInSteadyState = 0;
  for (let i = 0; i < program.runs; i++) {
    if (i > 0) gpu.counters.reset();
    for (const [name, tensor] of Object.entries(await session.run(program.inputs))) {
      results[name] = Array.from(await tensor.data());
      tensor.dispose();
    }
    const { buffers, bindGroups, pipelines } = gpu.counters;
    if (i > 0) createdInSteadyState += buffers + bindGroups + pipelines;
  }
  for (const [name, tensor] of Object.entries(session.state))
    results[`state ${name}`] = Array.from(await tensor.data());
  return { results, lastEvent: events.at(-1)?.status, createdInSteadyState };
}
