import { rmSync } from "node:fs";
import { resolve } from "node:path";
import type { BuildResult, Metafile } from "esbuild";

/**
 * Takes away chunks that nothing loads: esbuild writes one for every `import()` that it reads, also for those of kernels
 * that it then finds unused. Only chunks made of nothing but parts of kernels.
 * @param isPart of inputs of the metafile
 */
export function removeUnusedChunks(result: BuildResult, root: string, isPart: (input: string) => boolean): void {
  const { metafile, outputFiles } = result;
  if (!metafile) return;
  const unused = unusedOutputs(metafile, isPart);
  for (const path of unused) delete metafile.outputs[path];
  const files = new Set([...unused].map((path) => resolve(root, path)));
  if (!outputFiles) for (const file of files) rmSync(file, { force: true });
  else outputFiles.splice(0, outputFiles.length, ...outputFiles.filter((f) => !files.has(resolve(root, f.path))));
}

function unusedOutputs({ outputs }: Metafile, isPart: (input: string) => boolean): ReadonlySet<string> {
  const isOurs = (path: string): boolean => {
    const inputs = Object.keys(outputs[path]?.inputs ?? {});
    return inputs.length > 0 && inputs.every(isPart);
  };
  const scripts = Object.keys(outputs).filter((path) => !path.endsWith(".map"));
  const used = new Set(scripts.filter((path) => !isOurs(path)));
  for (const path of used) for (const i of outputs[path]?.imports ?? []) used.add(i.path);
  const unused = scripts.filter((path) => !used.has(path));
  return new Set(unused.flatMap((path) => [path, ...(outputs[`${path}.map`] ? [`${path}.map`] : [])]));
}
