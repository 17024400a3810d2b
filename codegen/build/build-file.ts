import { basename } from "node:path";
import { type EmittedFile, kernelModules } from "../emit/index.ts";
import type { CompileCache } from "./cache.ts";
import { inOrder, withSeverity } from "./diagnostics.ts";
import { nameClashes } from "./names.ts";
import type { SourceResult } from "./source.ts";
import { compileSources } from "./sources.ts";
import { toolVersion } from "./toolchain.ts";
import type { BuildFileOptions, BuiltSource, CompiledKernel } from "./types.ts";
import type { Workers } from "./workers.ts";

/** A kernel file as modules in memory. */
export async function buildSource(
  file: string,
  o: BuildFileOptions,
  cache: CompileCache,
  workers: Workers,
): Promise<BuiltSource> {
  const [r] = (await compileSources([file], o, cache, workers)) as [SourceResult];
  const name = basename(file);
  const places = r.kernels.map((k) => ({ name: k.kernel.name, source: name, place: k.place }));
  const errors = [...r.diagnostics, ...nameClashes(places)];
  const none = r.kernels.length === 0 && errors.length === 0;
  const diagnostics = none
    ? withSeverity("warning", [
        {
          code: "no-kernels",
          message: `${name} exports no kernel`,
          hint: "export what defineKernel, elementwise or reduction returns",
          place: { file, line: 1, column: 1 },
        },
      ])
    : inOrder(withSeverity("error", errors));
  const kernels = errors.length ? [] : r.kernels;
  const extension = o.importExtension ?? ".js";
  const origin = { source: name, version: toolVersion(), importExtension: extension };
  return {
    main: { name, contents: kernels.map((k) => exported(k, extension)).join("") || "export {};\n" },
    modules: kernels.flatMap((k): EmittedFile[] =>
      kernelModules(k.kernel, {
        ...origin,
        exports: k.exports,
        ...(k.short ? { short: k.short } : {}),
        ...(k.doc ? { doc: k.doc } : {}),
      }),
    ),
    kernels,
    diagnostics,
    inputs: r.inputs,
  };
}

const exported = (k: CompiledKernel, extension: string): string =>
  `export { ${k.exports.join(", ")} } from "./${k.kernel.name}${extension}";\n`;
