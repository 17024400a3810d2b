// Writes docs/ops.md from the op table and docs/errors.md from the error catalogue: node scripts/docs.mjs [--check]
// With --check nothing is written and the exit code is 1 when a file is out of date.
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { bundleForNode, root } from "./bundle.mjs";

const kinds = {
  leaf: "Leaves",
  elementwise: "Elementwise",
  view: "Views",
  reduction: "Reductions",
  scan: "Scans",
  contraction: "Contractions",
  indexed: "Indexed",
  random: "Random",
  composite: "Composites",
  opaque: "Own kernels",
};

const intro = `# Ops

Every op of the tensor language and of the graph's text form is a row of one table (\`src/ir/ops\`), which this page is
generated from by \`node scripts/docs.mjs\`. In TypeScript each row is a function and a method: \`softmax(x, { axis: -1 })\` and
\`x.softmax({ axis: -1 })\`; there axes may be negative, numbers stand for scalars of the dtype beside them, and \`min\` and \`max\` of
one tensor are the rows \`reduceMin\` and \`reduceMax\`. In the graph, as below, attributes are in their normal form.

Elementwise rows broadcast as NumPy does and never promote dtypes. f16 results are rounded to binary16; integers wrap.
Composites are defined by simpler rows. Accuracy is the largest difference from the exact result, in units in the last place (ULP)
of the result's dtype; *n* is the number of elements combined.
`;

const code = (text) => `\`${text}\``;

function attribute([name, spec]) {
  const allowed = spec.oneOf ? ` (${spec.oneOf.map((v) => code(JSON.stringify(v))).join(", ")})` : "";
  const fallback =
    spec.default === undefined
      ? ""
      : spec.default === null
        ? ", optional"
        : `, default ${code(JSON.stringify(spec.default))}`;
  return `- ${code(name)} (${spec.type}${fallback}): ${spec.doc}${allowed}`;
}

function accuracy({ ulp, atol }) {
  const parts = [];
  if (typeof ulp === "number") parts.push(ulp === 0 ? "exact" : `${ulp} ULP`);
  if (typeof ulp === "function") parts.push(`${ulp(1)} ULP for n = 1, ${ulp(1024)} for n = 1024`);
  if (atol !== undefined) parts.push(`${atol.toPrecision(3)} absolute`);
  return `Accuracy: ${parts.join("; ")}.`;
}

function section(row) {
  const attrs = Object.entries(row.attrs ?? {});
  const signature = `${row.name}(${row.params.join(", ")})${attrs.length ? ` {${attrs.map(([n]) => n).join(", ")}}` : ""}`;
  return [
    `### ${row.name}`,
    "",
    code(signature),
    "",
    row.doc,
    "",
    ...(attrs.length ? [...attrs.map(attribute), ""] : []),
    ...(row.accuracy ? [accuracy(row.accuracy), ""] : []),
  ].join("\n");
}

function document(rows) {
  const present = Object.entries(kinds).filter(([kind]) => rows.some((r) => r.kind === kind));
  const of = (kind) => rows.filter((r) => r.kind === kind).sort((a, b) => (a.name < b.name ? -1 : 1));
  const parts = present.map(([kind, title]) => `## ${title}\n\n${of(kind).map(section).join("\n")}`);
  return `${[intro, ...parts].join("\n")}`.trimEnd() + "\n";
}

const load = async (entry) => import(pathToFileURL(await bundleForNode(join(root, entry))).href);

const { rows } = await load("src/ir/ops.ts");
const unknown = rows.filter((r) => !(r.kind in kinds));
if (unknown.length) throw new Error(`docs: no heading for the kind of ${unknown.map((r) => r.name).join(", ")}`);
const { errorsPage } = await load("codegen/catalogue/page.ts");
const pages = { "docs/ops.md": document(rows), "docs/errors.md": errorsPage() };

for (const [page, text] of Object.entries(pages)) {
  const file = join(root, page);
  if (!process.argv.includes("--check")) writeFileSync(file, text);
  else if (!existsSync(file) || readFileSync(file, "utf8") !== text) {
    console.error(`${page} is out of date: run node scripts/docs.mjs`);
    process.exitCode = 1;
  }
}
