import type { CompileCache } from "./cache.ts";
import type { Compiled } from "./compile.ts";
import { finishSource, type Ready, readSource, type SourceOptions, type SourceResult, unchanged } from "./source.ts";
import type { Task, Workers } from "./workers.ts";

export interface SourcesOptions extends SourceOptions {
  readonly signal?: AbortSignal | undefined;
  /** Told of each file when it is compiled, or was found unchanged. */
  readonly onFile?: ((file: string, done: number) => void) | undefined;
}

type Opened = Exclude<Ready, { readonly result: SourceResult }>;

/** Compiles kernel files, those that changed. Results are in the order of the files, whoever compiled them when. */
export async function compileSources(
  files: readonly string[],
  o: SourcesOptions,
  cache: CompileCache,
  workers: Workers,
): Promise<SourceResult[]> {
  const results = new Map<string, SourceResult>();
  const finish = (r: SourceResult): void => {
    results.set(r.file, r);
    o.onFile?.(r.file, results.size);
  };
  const opened: Opened[] = [];
  for (const file of files) {
    o.signal?.throwIfAborted();
    const kept = unchanged(file, o, cache);
    const ready: Ready = kept ? { result: kept } : await readSource(file, o);
    if ("result" in ready) finish(ready.result);
    else opened.push(ready);
  }
  const compiled = new Map<Task, Compiled>();
  const tasks = new Map(
    opened.map((r) => [r, r.opened.kernels.map((_, index): Task => ({ opened: r.opened, index }))]),
  );
  const finishIfDone = (r: Opened): void => {
    const list = (tasks.get(r) as Task[]).map((t) => compiled.get(t));
    if (list.every((c) => c !== undefined)) finish(finishSource(r, list, o, cache));
  };
  const byTask = new Map([...tasks].flatMap(([r, list]) => list.map((t) => [t, r] as const)));
  for (const [r, list] of tasks) if (list.length === 0) finishIfDone(r);
  await workers.compile([...byTask.keys()], o, (task, c) => {
    compiled.set(task, c);
    finishIfDone(byTask.get(task) as Opened);
  });
  return files.map((f) => results.get(f) as SourceResult);
}
