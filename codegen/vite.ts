/**
 * The plugin for Vite: importing a kernel file gives its kernels, built ahead.
 *
 * @module
 */

import { basename } from "node:path";
import { type KernelModules, type KernelSources, kernelSources } from "./plugin/kernel-sources.ts";
import { noSuchPart, type RollupMessage, rollupMessage } from "./plugin/messages.ts";
import { checkPluginOptions, type SinterPluginOptions } from "./plugin/options.ts";

export type { SinterPluginOptions };

/** What the hooks use of the context that Vite calls them with. */
interface Context {
  addWatchFile(file: string): void;
  warn(message: RollupMessage): void;
  error(message: RollupMessage): never;
  resolve(id: string, importer?: string): Promise<{ readonly id: string } | null>;
}

/** What the hooks use of Vite's graph of modules. */
interface ModuleGraph<M> {
  getModulesByFile(file: string): Set<M> | undefined;
}

interface Loaded {
  readonly code: string;
  readonly map: string;
  readonly moduleSideEffects: false;
}

/** A plugin for Vite 6.3 and later, written down here so that the types of Vite are not needed for it. */
export interface SinterVitePlugin {
  readonly name: "sinter";
  readonly enforce: "pre";
  configResolved(config: ResolvedConfig): void;
  readonly resolveId: {
    readonly filter: { readonly id: RegExp };
    handler(this: Context, id: string, importer: string | undefined): Promise<string | undefined>;
  };
  readonly load: {
    readonly filter: { readonly id: RegExp };
    handler(this: Context, id: string): Promise<Loaded | undefined>;
  };
  hotUpdate: {
    handler<M>(
      this: { readonly environment: { readonly moduleGraph: ModuleGraph<M> } },
      change: { readonly file: string; readonly modules: M[] },
    ): M[] | undefined;
  };
  closeBundle(): Promise<void>;
}

interface ResolvedConfig {
  readonly root: string;
  readonly command: "build" | "serve";
  readonly build: { readonly minify: unknown };
}

/** Between the path of a kernel file and the name of a part of it. What follows a `?` belongs, to Vite, to the same file. */
const mark = "?sinter/";

/**
 * Turns `import { layerNorm } from "./norm.kernel.ts"` into the built kernel: WGSL inlined, minified when the bundle is.
 * Texts for f16 and subgroups are chunks of their own. Fails with `unknown-option` or `bad-option`.
 */
export function sinter(options: SinterPluginOptions = {}): SinterVitePlugin {
  checkPluginOptions(options);
  let sources: KernelSources | undefined;
  const known = (): KernelSources => {
    sources ??= kernelSources({ ...options, root: process.cwd(), specifier });
    return sources;
  };
  return {
    name: "sinter",
    enforce: "pre",
    configResolved({ root, command, build }) {
      const minify = options.minify ?? (command === "build" && build.minify !== false);
      sources = kernelSources({ ...options, root, minify, specifier });
    },
    resolveId: {
      filter: { id: /\?sinter\// },
      async handler(id, importer) {
        // What modules write, or the URL that a page asks for.
        const [path, name] = split(id);
        const file = name === undefined ? null : await this.resolve(path, importer && split(importer)[0]);
        return file ? `${file.id}${mark}${name}` : undefined;
      },
    },
    load: {
      filter: { id: /\.kernel\.[cm]?[jt]sx?(?:\?sinter\/|$)/ },
      async handler(id) {
        const [file, name] = split(id);
        const modules = await (name === undefined ? known().load(file) : known().latest(file));
        if (!modules) return undefined;
        report(modules, this);
        const code = name === undefined ? modules.main : modules.parts.get(name);
        return javaScript(code ?? this.error(rollupMessage(noSuchPart(file, name))), file);
      },
    },
    hotUpdate: {
      handler({ file, modules }) {
        const { moduleGraph } = this.environment;
        const made = known()
          .changed(file)
          .flatMap((kernel) => [...(moduleGraph.getModulesByFile(kernel) ?? [])]);
        return made.length > 0 ? [...new Set([...modules, ...made])] : undefined;
      },
    },
    async closeBundle() {
      await sources?.dispose();
    },
  };
}

const specifier = (file: string, part: string): string => `./${basename(file)}${mark}${part}`;

/** A kernel file and, of the id of a part, its name. */
function split(id: string): readonly [file: string, part?: string] {
  const at = id.indexOf(mark);
  return at < 0 ? [id] : [id.slice(0, at), id.slice(at + mark.length)];
}

function report({ diagnostics, inputs }: KernelModules, context: Context): void {
  for (const input of inputs) context.addWatchFile(input);
  const first = diagnostics.find((d) => d.severity === "error");
  for (const d of diagnostics) if (d !== first) context.warn(rollupMessage(d));
  if (first) context.error(rollupMessage(first));
}

/** Without types: not every version of Vite takes them in modules that are no files. */
async function javaScript(typeScript: string, file: string): Promise<Loaded> {
  const { transform } = await import("esbuild");
  const { code, map } = await transform(typeScript, { loader: "ts", target: "esnext", sourcemap: "external" });
  return { code, map: JSON.stringify({ ...JSON.parse(map), sources: [file] }), moduleSideEffects: false };
}
