import { once } from "node:events";
import { Worker } from "node:worker_threads";
import { expect, test } from "vitest";
import { bundleKernels } from "../../../codegen/build/bundle.ts";
import { type Compiled, type Opened, openKernels } from "../../../codegen/build/compile.ts";
import { createWorkers, type Task, workerScript } from "../../../codegen/build/workers.ts";
import { kernelFile, project } from "./project.ts";

async function opened(file: string): Promise<Opened> {
  const made = await bundleKernels(file);
  if ("diagnostics" in made) throw new Error(made.diagnostics[0]?.message);
  return (await openKernels(file, made.bundle)).opened as Opened;
}

test("other threads give what this one gives, errors with their places included", async () => {
  const names = Array.from({ length: 12 }, (_, i) => `k${i}`);
  const p = project({
    "a.kernel.ts": kernelFile(...names),
    "b.kernel.ts": kernelFile("good", "bad").replace(/x\.mul\(2\)(?=[^\n]*\n$)/, "x.reshape(3, 5)"),
  });
  const files = [await opened(p.path("a.kernel.ts")), await opened(p.path("b.kernel.ts"))];
  const tasks = files.flatMap((o) => o.kernels.map((_, index): Task => ({ opened: o, index })));
  const run = async (patience: number, threads: number): Promise<Compiled[]> => {
    const workers = createWorkers(patience, threads);
    const results = new Map<Task, Compiled>();
    for (let i = 0; i < 2; i++) await workers.compile(tasks, {}, (task, c) => void results.set(task, c));
    await workers.dispose();
    return tasks.map((t) => results.get(t) as Compiled);
  };
  const alone = await run(Number.POSITIVE_INFINITY, 0);
  expect(await run(-1, 2)).toEqual(alone);
  const bad = alone.flatMap((c) => c.diagnostics);
  expect(bad).toMatchObject([{ place: { file: p.path("b.kernel.ts"), line: 3 } }]);
});

test("compilations at the same time get their own kernels back", async () => {
  const lists = ["a", "b", "c"].map((f) => Array.from({ length: 6 }, (_, i) => `${f}${i}`));
  const p = project(Object.fromEntries(lists.map((names, i) => [`${i}.kernel.ts`, kernelFile(...names)])));
  const files = await Promise.all(lists.map((_, i) => opened(p.path(`${i}.kernel.ts`))));
  const workers = createWorkers(-1, 1);
  for (let round = 0; round < 2; round++) {
    await Promise.all(
      files.map(async (o, i) => {
        const tasks = o.kernels.map((_, index): Task => ({ opened: o, index }));
        const got: string[] = [];
        await workers.compile(tasks, {}, (_, c) => void got.push(...c.kernels.map((k) => k.kernel.name)));
        expect(got.sort()).toEqual(lists[i]);
      }),
    );
  }
  await workers.dispose();
});

test("a worker compiles one kernel of a file", async () => {
  const file = project({ "a.kernel.ts": kernelFile("a", "b") }).path("a.kernel.ts");
  const { bundle } = await opened(file);
  const worker = new Worker(await workerScript());
  worker.postMessage({ file, bundle, index: 1, dtypes: undefined });
  const [answer] = await once(worker, "message");
  expect(answer).toMatchObject({ compiled: { diagnostics: [], kernels: [{ exports: ["b"], kernel: { name: "b" } }] } });
  await worker.terminate();
});

test("an aborted compilation ends with the signal's reason", async () => {
  const o = await opened(project({ "a.kernel.ts": kernelFile("a", "b", "c") }).path("a.kernel.ts"));
  const abort = new AbortController();
  const workers = createWorkers(-1, 1);
  const tasks = o.kernels.map((_, index): Task => ({ opened: o, index }));
  const run = workers.compile(tasks, { signal: abort.signal }, () => abort.abort(new Error("enough")));
  await expect(run).rejects.toThrow("enough");
  await workers.dispose();
});
