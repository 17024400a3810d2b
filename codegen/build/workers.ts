import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Worker } from "node:worker_threads";
import type { Compiled, Opened } from "./compile.ts";
import type { SourceOptions } from "./source.ts";
import { packageFolder, toolchainHash } from "./toolchain.ts";
import type { Answer, Job } from "./worker.ts";

/** One kernel of an opened file. */
export interface Task {
  readonly opened: Opened;
  readonly index: number;
}

/** Jobs that a thread has at a time: while this one compiles, it gives out no other. */
const ahead = 3;

/** Compiles kernels in this thread and, when that takes long, in others beside it. */
export interface Workers {
  /** @param onDone gets what each task gave, in the order of completion */
  compile(
    tasks: readonly Task[],
    o: SourceOptions & { readonly signal?: AbortSignal | undefined },
    onDone: (task: Task, compiled: Compiled) => void,
  ): Promise<void>;
  dispose(): Promise<void>;
}

/**
 * @param patience milliseconds of compiling after which threads are started for what is left: starting one costs as much as a few
 * kernels
 * @param threads how many beside this one
 */
export function createWorkers(patience = 700, threads = Math.min(3, availableParallelism() - 1)): Workers {
  const started: Worker[] = [];
  let starting: Promise<readonly Worker[]> | undefined;
  return {
    async compile(tasks, { dtypes, minify, signal }, onDone) {
      if (tasks.length === 0) return;
      const { compileKernel } = await import("./compile.ts");
      const options = { dtypes, minify };
      let next = 0;
      const here = async (at: number): Promise<void> => {
        const task = tasks[at] as Task;
        onDone(task, await compileKernel(task.opened, task.index, options));
      };
      const there = async (worker: Worker): Promise<void> => {
        while (next < tasks.length && !signal?.aborted) {
          const at = next++;
          const task = tasks[at] as Task;
          const { opened, index } = task;
          const answer = await ask(worker, { file: opened.file, bundle: opened.bundle, index, options });
          if ("failed" in answer) return here(at);
          onDone(task, answer.compiled);
        }
      };
      const queue = (worker: Worker): Promise<void>[] => {
        worker.ref();
        return Array.from({ length: ahead }, () => there(worker));
      };
      const others: Promise<void>[] = started.flatMap(queue);
      const since = performance.now();
      try {
        while (next < tasks.length) {
          signal?.throwIfAborted();
          if (others.length === 0 && threads > 0 && performance.now() - since > patience && tasks.length - next > 3) {
            // Not beside a kernel: compiling one leaves no time to others in this thread.
            starting ??= startWorkers(threads, started);
            others.push(...(await starting).flatMap(queue));
          }
          if (next < tasks.length) await here(next++);
          // Lets answers of the others in.
          await new Promise((r) => setImmediate(r));
        }
        await Promise.all(others);
      } finally {
        next = tasks.length;
        await Promise.allSettled(others);
        for (const w of started) w.unref();
      }
      signal?.throwIfAborted();
    },
    async dispose() {
      starting = undefined;
      await Promise.all(started.splice(0).map((w) => w.terminate()));
    },
  };
}

let asked = 0;

function ask(worker: Worker, question: Omit<Job, "id">): Promise<Answer> {
  // Several compilations may ask one worker at a time.
  const id = ++asked;
  return new Promise((resolve) => {
    const end = (answer: Answer): void => {
      if (answer.id !== id) return;
      worker.off("message", end);
      worker.off("error", failed);
      worker.off("exit", exited);
      resolve(answer);
    };
    const failed = (e: unknown): void => end({ id, failed: String(e) });
    const exited = (): void => end({ id, failed: "it has ended" });
    worker.on("message", end).on("error", failed).on("exit", exited);
    worker.postMessage({ ...question, id });
  });
}

/** None where they cannot be started: this thread does the work then. */
async function startWorkers(count: number, started: Worker[]): Promise<readonly Worker[]> {
  try {
    const script = await workerScript();
    for (let i = 0; i < count; i++) {
      const worker = new Worker(script);
      worker.on("error", () => {});
      worker.unref();
      started.push(worker);
    }
  } catch {
    // Nothing is lost but time.
  }
  return started;
}

/** The worker's module; where it is TypeScript, bundled once for this state of the sources. */
export async function workerScript(): Promise<string> {
  const own = fileURLToPath(new URL("./worker", import.meta.url));
  if (existsSync(`${own}.js`)) return `${own}.js`;
  const folder = join(packageFolder(), "node_modules", ".cache", "sinter");
  const script = join(folder, `worker-${toolchainHash().slice(0, 16)}.mjs`);
  if (existsSync(script)) return script;
  const esbuild = await import("esbuild");
  const { outputFiles } = await esbuild.build({
    entryPoints: [`${own}.ts`],
    bundle: true,
    write: false,
    format: "esm",
    platform: "node",
    target: "node20",
    packages: "external",
    logLevel: "silent",
  });
  mkdirSync(folder, { recursive: true });
  for (const f of readdirSync(folder)) if (/^worker-\w+\.mjs$/.test(f)) rmSync(join(folder, f), { force: true });
  writeFileSync(`${script}.${process.pid}`, outputFiles[0]?.contents ?? "");
  renameSync(`${script}.${process.pid}`, script);
  return script;
}
