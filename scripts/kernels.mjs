// The kernel library as the package ships it: with short WGSL. In the repository it is written to be read.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { bundleForNode } from "./bundle.mjs";
import { root } from "./exports.mjs";

const { minifyWgsl } = await import(pathToFileURL(await bundleForNode(join(root, "codegen/emit/minify-wgsl.ts"))).href);

/** A generated module, TypeScript or JavaScript, with each WGSL text without comments and blanks. */
export const withShortWgsl = (module) =>
  module.replace(/^(const w\d+ = `)([^`\\$]*)(`;)$/gm, (_, before, wgsl, after) => before + minifyWgsl(wgsl) + after);

/** Loads generated modules that way, for esbuild. */
export const shortKernels = {
  name: "short-kernels",
  setup(b) {
    b.onLoad({ filter: /[\\/]kernels[\\/]generated[\\/][^\\/]+\.ts$/ }, ({ path }) => ({
      contents: withShortWgsl(readFileSync(path, "utf8")),
      loader: "ts",
    }));
  },
};
