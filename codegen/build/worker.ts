import { parentPort } from "node:worker_threads";
import type { Bundle } from "./bundle.ts";
import { type Compiled, compileKernel, type Opened, openKernels } from "./compile.ts";
import type { CompileOptions } from "./types.ts";

/** One kernel of a file, for a worker. */
export interface Job {
  /** Its answer has the same. */
  readonly id: number;
  readonly file: string;
  readonly bundle: Bundle;
  readonly index: number;
  readonly options: Pick<CompileOptions, "dtypes" | "minify">;
}

/** What a worker answers: nothing where the job is better done by who asked. */
export type Answer = { readonly id: number } & ({ readonly compiled: Compiled } | { readonly failed: string });

let last: Opened | undefined;

async function done({ id, file, bundle, index, options }: Job): Promise<Answer> {
  try {
    if (last?.bundle.code !== bundle.code || last.file !== file) last = (await openKernels(file, bundle)).opened;
    return last
      ? { id, compiled: await compileKernel(last, index, options) }
      : { id, failed: "the file cannot be run" };
  } catch (e) {
    return { id, failed: String(e) };
  }
}

parentPort?.on("message", async (job: Job) => {
  parentPort?.postMessage(await done(job));
});
