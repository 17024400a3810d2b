import { existsSync, readFileSync } from "node:fs";
import { basename, join, relative, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { root, sourceFor } from "./exports.mjs";
import { isCurrent, writeBundle } from "./kept-bundle.mjs";

export { root } from "./exports.mjs";

/** `sinter` and `sinter/x` as the sources they are built from, so that scripts, examples and tests need no build. */
export const sinterFromSource = (platform = "node") => ({
  name: "sinter-from-source",
  setup(b) {
    b.onResolve({ filter: /^sinter(\/.*)?$/ }, ({ path }) => {
      const source = sourceFor(path, platform);
      const file = source && join(root, source);
      return file && existsSync(file)
        ? { path: file }
        : {
            errors: [
              { text: source ? `${path} has no source: there is no ${source}` : `package.json exports no ${path}` },
            ],
          };
    });
  },
});

/** A bundle lies elsewhere than its sources, so `import.meta.url` must go on naming the source. */
const sourceUrls = {
  name: "source-urls",
  async setup(b) {
    const { transform } = await import("esbuild");
    b.onLoad({ filter: /\.(ts|mjs|js)$/ }, async ({ path }) => {
      if (path.includes("/node_modules/")) return undefined;
      const text = readFileSync(path, "utf8");
      if (!text.includes("import.meta.url")) return undefined;
      const { code } = await transform(text, {
        define: { "import.meta.url": JSON.stringify(pathToFileURL(path).href) },
        loader: path.endsWith(".ts") ? "ts" : "js",
        target: "node20",
        sourcemap: "inline",
        sourcefile: path,
      });
      return { contents: code, loader: "js" };
    });
  },
};

/** How sources become modules that Node runs. */
const forNode = {
  absWorkingDir: root,
  bundle: true,
  splitting: true,
  format: "esm",
  platform: "node",
  target: "node20",
  packages: "external",
  sourcemap: "inline",
  sourcesContent: false,
  outExtension: { ".js": ".mjs" },
  logLevel: "warning",
  plugins: [sinterFromSource("node"), sourceUrls],
};

/** Bundles several entries in one go into a folder, and returns the files to run. What entries share lies in chunks beside them. */
export async function bundleAllForNode(entries, outdir) {
  const { build } = await import("esbuild");
  await build({ ...forNode, entryPoints: entries, outdir, entryNames: "[name]", chunkNames: "chunks/[hash]" });
  return entries.map((e) => join(outdir, `${basename(e, ".ts")}.mjs`));
}

/**
 * Bundles a TypeScript entry for Node, npm packages left outside, into `.cache/` and returns the file to run. What it imports
 * with `import()` lies in chunks beside it and is loaded when it is needed. A bundle that is there and would not change is returned as it is.
 */
export async function bundleForNode(entry) {
  const name = relative(root, entry).replace(/[^A-Za-z0-9]+/g, "-");
  const file = join(root, ".cache", `${name}.mjs`);
  if (isCurrent(file, entry)) return file;
  const since = Date.now();
  const { build } = await import("esbuild");
  const { outputFiles, metafile } = await build({
    ...forNode,
    entryPoints: [entry],
    write: false,
    metafile: true,
    outdir: join(root, ".cache"),
    entryNames: name,
    chunkNames: `${name}/[hash]`,
  });
  const inputs = Object.keys(metafile.inputs).map((f) => resolve(root, f));
  const chunks = outputFiles.filter((f) => f.path !== file);
  writeBundle(
    outputFiles.find((f) => f.path === file),
    chunks,
    entry,
    inputs,
    since,
  );
  return file;
}
