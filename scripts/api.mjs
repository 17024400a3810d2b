// Writes docs/api from the sources' TSDoc, a page for each entry of the package: node scripts/api.mjs [--check]
// With --check nothing is written and the exit code is 1 when a page is out of date.
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { exportsOf, moduleDoc, programOf } from "./api/declarations.mjs";
import { page, placeSections } from "./api/page.mjs";
import { entries, root } from "./exports.mjs";

/** The pages by file name, and what is exported without TSDoc. */
export function api() {
  // Kernels have pages of their own.
  const present = entries.filter((e) => !e.path.includes("*") && existsSync(join(root, e.browser)));
  const program = programOf(present.map((e) => e.browser));
  const read = present.map(({ path, browser }) => ({
    path,
    file: `${path.replaceAll("/", "-")}.md`,
    intro: moduleDoc(program, browser),
    exports: exportsOf(program, browser),
  }));
  const places = placeSections(read);
  const pages = new Map(read.map((entry, i) => [entry.file, page(entry, read.slice(0, i), places)]));
  const list = read.map((e) => `- [\`${e.path}\`](${e.file}): ${e.intro.replace(/\s*\n\s*/g, " ")}`);
  pages.set("README.md", `${head}${list.join("\n")}\n`);
  const undocumented = read.flatMap((entry) => [
    ...(entry.intro ? [] : [`${entry.path}: the entry itself`]),
    ...entry.exports
      .filter((e) => places.get(e.id).file === entry.file && !e.doc?.text)
      .map((e) => `${entry.path}: ${e.name}`),
  ]);
  return { pages, undocumented };
}

const head = `# API

What each entry of the package exports, generated from the sources by \`npm run docs\`. Ops in detail: [ops.md](../ops.md).

`;

/** The files under docs/api that are missing, out of date or nobody's. */
export function stale(pages, folder = join(root, "docs/api")) {
  const present = existsSync(folder) ? readdirSync(folder) : [];
  const differs = (file) => !present.includes(file) || readFileSync(join(folder, file), "utf8") !== pages.get(file);
  return [...[...pages.keys()].filter(differs), ...present.filter((f) => !pages.has(f))].sort();
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) {
  const { pages, undocumented } = api();
  const folder = join(root, "docs/api");
  if (undocumented.length > 0) {
    console.error(`exported without TSDoc:\n  ${undocumented.join("\n  ")}`);
    process.exitCode = 1;
  }
  const files = stale(pages, folder);
  if (process.argv.includes("--check")) {
    if (files.length > 0) {
      console.error(`docs/api is out of date (${files.join(", ")}): run npm run docs`);
      process.exitCode = 1;
    }
  } else {
    mkdirSync(folder, { recursive: true });
    for (const file of files) {
      if (pages.has(file)) writeFileSync(join(folder, file), pages.get(file));
      else rmSync(join(folder, file));
    }
  }
}
