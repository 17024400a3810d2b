// Writes docs/kernels from the kernel library: node scripts/kernel-docs.mjs [--check]
// With --check nothing is written and the exit code is 1 when a page is out of date. Run `npm run sinter -- build kernels` before it.
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { bundleForNode, root } from "./bundle.mjs";

const kernelsDir = join(root, "kernels");
const target = join(root, "docs/kernels");
/** What the example of the index page prints. */
const exampleOutput = existsSync(join(target, "README.md"))
  ? (readFileSync(join(target, "README.md"), "utf8").match(/```text output\n([\s\S]*?)```/)?.[1] ?? "")
  : "";

/** Sources with the TSDoc of each export, in the order of the file. */
const sources = readdirSync(kernelsDir)
  .filter((f) => f.endsWith(".kernel.ts"))
  .map((file) => {
    const text = readFileSync(join(kernelsDir, file), "utf8");
    const exports = [...text.matchAll(/\/\*\*((?:(?!\*\/)[\s\S])*)\*\/\nexport const (\w+)/g)].map(([, doc, name]) => ({
      name,
      doc: doc
        .split("\n")
        .map((l) => l.replace(/^\s*\* ?/, "").trimEnd())
        .join("\n")
        .trim(),
    }));
    return { file, exports };
  });

// One module that has the definitions and the page writers.
const entry = join(root, ".cache", "kernel-docs-entry.ts");
mkdirSync(join(root, ".cache"), { recursive: true });
writeFileSync(
  entry,
  [
    ...sources.map(({ file, exports }) => `export { ${exports.map((e) => e.name)} } from "../kernels/${file}";`),
    'export { kernelPage as $kernelPage } from "../codegen/docs/kernel-page.ts";',
    'export { indexPage as $indexPage } from "../codegen/docs/index-page.ts";',
  ].join("\n"),
);
const all = await import(pathToFileURL(await bundleForNode(entry)).href);

const manifest = JSON.parse(readFileSync(join(kernelsDir, "generated/manifest.json"), "utf8"));
const built = new Map(manifest.kernels.map((k) => [k.name, k.kernel]));
const documented = sources.flatMap(({ file, exports }) =>
  exports.map(({ name, doc }) => {
    const kernel = built.get(name);
    if (!kernel) throw new Error(`kernel-docs: ${name} is not in kernels/generated: build the kernels first`);
    return { definition: all[name], kernel, doc, source: file };
  }),
);

const pages = new Map([
  ["README.md", all.$indexPage(documented, exampleOutput)],
  ...documented.map((k) => [`${k.kernel.name}.md`, all.$kernelPage(k)]),
]);
const present = existsSync(target) ? readdirSync(target).filter((f) => f.endsWith(".md")) : [];
const stray = present.filter((f) => !pages.has(f));
if (process.argv.includes("--check")) {
  const old = [...pages].filter(([f, text]) => !present.includes(f) || readFileSync(join(target, f), "utf8") !== text);
  const wrong = [...old.map(([f]) => f), ...stray];
  if (wrong.length) {
    console.error(
      `docs/kernels is out of date (${wrong.slice(0, 3).join(", ")}${wrong.length > 3 ? ", …" : ""}): run node scripts/kernel-docs.mjs`,
    );
    process.exitCode = 1;
  }
} else {
  mkdirSync(target, { recursive: true });
  for (const f of stray) rmSync(join(target, f));
  for (const [f, text] of pages) writeFileSync(join(target, f), text);
}
