import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { pathToFileURL } from "node:url";
import { build, transform } from "esbuild";
import { root, sourceFor } from "./exports.mjs";

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
  setup(b) {
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

/** Bundles a TypeScript entry for Node, npm packages left outside, into `.cache/` and returns the file. */
export async function bundleForNode(entry) {
  const { outputFiles } = await build({
    entryPoints: [entry],
    bundle: true,
    write: false,
    format: "esm",
    platform: "node",
    target: "node20",
    packages: "external",
    sourcemap: "inline",
    sourcesContent: false,
    outfile: join(root, ".cache", "run.mjs"),
    logLevel: "warning",
    plugins: [sinterFromSource("node"), sourceUrls],
  });
  const name = relative(root, entry).replace(/[^A-Za-z0-9]+/g, "-");
  const file = join(root, ".cache", `${name}.mjs`);
  mkdirSync(dirname(file), { recursive: true });
  const staged = `${file}.${process.pid}`;
  writeFileSync(staged, outputFiles[0].contents);
  renameSync(staged, file);
  return file;
}
