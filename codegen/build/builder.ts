import { resolve } from "node:path";
import { type Diagnostic, SinterError } from "../../src/base/diagnostic.ts";
import { buildAll } from "./build.ts";
import { buildSource } from "./build-file.ts";
import { type CompileCache, compileCache, defaultCacheFolder } from "./cache.ts";
import { realRoot } from "./paths.ts";
import type { Builder, BuilderOptions, BuildResult } from "./types.ts";
import { createWorkers } from "./workers.ts";

/** A builder keeps what it compiled, in memory and in the cache's folder, and compiles again only what changed. */
export function createBuilder(options: BuilderOptions = {}): Builder {
  const workers = createWorkers();
  let opened: { readonly root: string; readonly cache: CompileCache } | undefined;
  const open = () => {
    if (opened) return opened;
    const root = realRoot(options.root ?? ".");
    const folder = options.cache === false ? undefined : (options.cache ?? defaultCacheFolder(root));
    opened = { root, cache: compileCache(folder && resolve(root, folder), root) };
    return opened;
  };
  return {
    async build(o = {}) {
      const started = performance.now();
      try {
        const { root, cache } = open();
        return await buildAll(root, o, cache, workers, started);
      } catch (e) {
        if (!(e instanceof SinterError)) throw e;
        return refused(e.diagnostic, performance.now() - started);
      }
    },
    async buildFile(file, o = {}) {
      return buildSource(resolve(file), o, open().cache, workers);
    },
    dispose: () => workers.dispose(),
  };
}

const refused = (d: Diagnostic, elapsedMs: number): BuildResult => ({
  ok: false,
  files: [],
  kernels: [],
  diagnostics: [{ ...d, severity: "error" }],
  built: 0,
  skipped: 0,
  inputs: [],
  elapsedMs,
});
