import { parentPort } from "node:worker_threads";
import type { KernelDType } from "../../src/frontend/define-kernel.ts";
import type { Bundle } from "./bundle.ts";
import { type Compiled, compileKernel, type Opened, openKernels } from "./compile.ts";

/** One kernel of a file, for a worker. */
export interface Job {
  readonly file: string;
  readonly bundle: Bundle;
  readonly index: number;
  readonly dtypes: readonly KernelDType[] | undefined;
}

/** What a worker answers: nothing where the job is better done by who asked. */
export type Answer = { readonly compiled: Compiled } | { readonly failed: string };

let last: Opened | undefined;

async function done({ file, bundle, index, dtypes }: Job): Promise<Answer> {
  try {
    if (last?.bundle.code !== bundle.code || last.file !== file) last = (await openKernels(file, bundle)).opened;
    return last ? { compiled: await compileKernel(last, index, dtypes) } : { failed: "the file cannot be run" };
  } catch (e) {
    return { failed: String(e) };
  }
}

parentPort?.on("message", async (job: Job) => {
  parentPort?.postMessage(await done(job));
});
