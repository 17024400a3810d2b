// Writes docs/sizes.md, what each entry of the package weighs in a bundle: node scripts/sizes.mjs [--check]
// With --check nothing is written and the exit code is 1 when an entry is off by more than 2 %.
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";
import { sinterFromSource } from "./bundle.mjs";
import { expandedEntries, root } from "./exports.mjs";
import { shortKernels } from "./kernels.mjs";

const file = join(root, "docs/sizes.md");
const tolerance = 0.02;

/** What pages import of an entry, where that is little of it. */
const parts = [
  { path: "sinter/runtime", names: ["createRuntime"] },
  { path: "sinter/runtime", names: ["loadManifest", "openDevice"] },
];

const head = `# Sizes

What an entry brings into a bundle, in bytes: everything it exports, or what is named behind \`#\`, minified by esbuild. Packages from npm are not counted;
entries for pages reach none. \`on demand\` is what \`import()\` may load later. Written by \`npm run sizes\`; a test fails when an entry is off by more than 2 %.

| entry | minified | gzipped | on demand, minified |
|---|---:|---:|---:|
`;

const forNode = (source) => /^(?:src\/node|codegen)\//.test(source);

/** Bytes of an entry: what it needs at once, and what it may load later. */
async function sizeOf({ browser: source, path, names }) {
  const platform = forNode(source) ? "node" : "browser";
  const { outputFiles, metafile } = await build({
    stdin: {
      contents: `export ${names ? `{ ${names} }` : "*"} from ${JSON.stringify(path)};`,
      resolveDir: root,
      sourcefile: "entry.js",
    },
    bundle: true,
    splitting: true,
    write: false,
    metafile: true,
    minify: true,
    treeShaking: true,
    format: "esm",
    platform,
    target: "es2022",
    packages: "external",
    outdir: "out",
    entryNames: "entry",
    absWorkingDir: root,
    logLevel: "error",
    plugins: [sinterFromSource(platform), shortKernels],
  });
  const atOnce = new Set(["out/entry.js"]);
  for (const name of atOnce) {
    for (const i of metafile.outputs[name].imports) {
      if (i.kind === "import-statement" && !i.external) atOnce.add(i.path);
    }
  }
  const contents = Object.fromEntries(
    outputFiles.map((f) => [f.path.slice(root.length + 1).replaceAll("\\", "/"), f.contents]),
  );
  const total = (names, bytes) => names.reduce((sum, name) => sum + bytes(contents[name]), 0);
  const later = Object.keys(contents).filter((name) => !atOnce.has(name));
  return {
    path: names ? `${path}#${names}` : path,
    minified: total([...atOnce], (c) => c.length),
    gzipped: total([...atOnce], (c) => gzipSync(c, { level: 9 }).length),
    onDemand: total(later, (c) => c.length),
  };
}

/** The sizes of all entries that have a source. */
export async function sizes() {
  const wanted = expandedEntries()
    .filter((entry) => existsSync(join(root, entry.browser)))
    .flatMap((entry) => [entry, ...parts.filter((p) => p.path === entry.path).map((part) => ({ ...entry, ...part }))]);
  const list = new Array(wanted.length);
  let next = 0;
  const worker = async () => {
    while (next < wanted.length) {
      const i = next++;
      list[i] = await sizeOf(wanted[i]);
    }
  };
  await Promise.all([worker(), worker(), worker()]);
  return list;
}

const row = (s) => `| \`${s.path}\` | ${s.minified} | ${s.gzipped} | ${s.onDemand || ""} |\n`;

/** The rows of the page. */
export const ledger = () =>
  [...readFileSync(file, "utf8").matchAll(/^\| `(\S+)` \| (\d+) \| (\d+) \| (\d*) \|$/gm)].map(
    ([, path, ...numbers]) => {
      const [minified, gzipped, onDemand] = numbers.map(Number);
      return { path, minified, gzipped, onDemand };
    },
  );

/** What the page has wrong, one line each. */
export function differences(recorded, actual) {
  const byPath = new Map(recorded.map((s) => [s.path, s]));
  const off = actual.flatMap((now) => {
    const then = byPath.get(now.path);
    if (!then) return [`${now.path} is not listed`];
    return ["minified", "gzipped", "onDemand"]
      .filter((k) => Math.abs(now[k] - then[k]) > tolerance * then[k])
      .map((k) => `${now.path} was ${then[k]} bytes ${k} and is ${now[k]}`);
  });
  const present = new Set(actual.map((s) => s.path));
  return [...off, ...recorded.filter((s) => !present.has(s.path)).map((s) => `${s.path} is listed and is gone`)];
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) {
  const actual = await sizes();
  if (!process.argv.includes("--check")) writeFileSync(file, head + actual.map(row).join(""));
  else {
    const wrong = differences(existsSync(file) ? ledger() : [], actual);
    if (wrong.length > 0) {
      console.error(`docs/sizes.md is out of date: run npm run sizes\n  ${wrong.join("\n  ")}`);
      process.exitCode = 1;
    }
  }
}
