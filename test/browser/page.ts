import { openDevice } from "../../src/runtime/index.ts";
import type { Shipped } from "./programs.ts";
import { type Ran, runShipped } from "./run.ts";

/** What the test calls in the page. */
async function runAll(programs: readonly Shipped[]): Promise<Ran[]> {
  const gpu = await openDevice();
  const ran: Ran[] = [];
  for (const p of programs) ran.push(await runShipped(gpu, p));
  gpu.dispose();
  return ran;
}

Object.assign(globalThis, { runAll });
