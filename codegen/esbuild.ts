/**
 * The plugin for esbuild: importing a kernel file gives its kernels, built ahead.
 *
 * @module
 */
import { isAbsolute, relative, resolve } from "node:path";
import type { BuildOptions, OnLoadResult, Plugin } from "esbuild";
import { kernelFile, kernelSources } from "./plugin/kernel-sources.ts";
import { esbuildMessage, noSuchPart } from "./plugin/messages.ts";
import { checkPluginOptions, type SinterPluginOptions } from "./plugin/options.ts";
import { removeUnusedChunks } from "./plugin/unused-chunks.ts";

export type { SinterPluginOptions };

const namespace = "sinter-kernel";

/** Which part of which kernel file a module is. */
interface Part {
  readonly file: string;
  readonly name: string;
}

/**
 * Turns `import { layerNorm } from "./norm.kernel.ts"` into the built kernel: WGSL inlined, minified when the bundle is.
 * Texts for f16 and subgroups are modules of their own, chunks with `splitting`. Fails with `unknown-option` or `bad-option`.
 */
export function sinter(options: SinterPluginOptions = {}): Plugin {
  checkPluginOptions(options);
  return {
    name: "sinter",
    setup(build) {
      const { initialOptions } = build;
      const root = resolve(initialOptions.absWorkingDir ?? process.cwd());
      const minify = options.minify ?? isMinified(initialOptions);
      const sources = kernelSources({ ...options, root, minify, specifier: (_, part) => `${namespace}:${part}` });

      build.onLoad({ filter: kernelFile }, async ({ path }): Promise<OnLoadResult | undefined> => {
        const modules = await sources.load(path);
        if (!modules) return undefined;
        const { main, diagnostics, inputs } = modules;
        const found = (severity: string) =>
          diagnostics.filter((d) => d.severity === severity).map((d) => esbuildMessage(d, root));
        const [errors, warnings] = [found("error"), found("warning")];
        const watchFiles = [...inputs];
        if (errors.length > 0) return { errors, warnings, watchFiles };
        return { contents: main, loader: "ts", warnings, watchFiles, pluginData: { file: path, name: "" } };
      });

      build.onResolve({ filter: /^sinter-kernel:/ }, ({ path, pluginData }) => {
        const { file } = pluginData as Part;
        const name = path.slice(namespace.length + 1);
        // Relative, so that outputs are the same wherever the project lies.
        return { path: `${shown(file, root)}/${name}`, namespace, pluginData: { file, name }, sideEffects: false };
      });
      build.onLoad({ filter: /.*/, namespace }, async ({ pluginData }): Promise<OnLoadResult> => {
        const { file, name } = pluginData as Part;
        const contents = (await sources.latest(file))?.parts.get(name);
        if (contents === undefined) return { errors: [esbuildMessage(noSuchPart(file, name), root)] };
        return { contents, loader: "ts", pluginData };
      });
      if (initialOptions.splitting) {
        initialOptions.metafile ??= true;
        build.onEnd((result) => removeUnusedChunks(result, root, (input) => input.startsWith(`${namespace}:`)));
      }
      build.onDispose(() => void sources.dispose());
    },
  };
}

const isMinified = ({ minify, minifyWhitespace }: BuildOptions): boolean => minify ?? minifyWhitespace ?? false;

function shown(file: string, root: string): string {
  const near = relative(root, file);
  return (isAbsolute(near) ? file : near).replaceAll("\\", "/");
}
