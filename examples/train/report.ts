import type { ExplainReport } from "sinter";
import { lossChart } from "./chart.ts";
import type { Evaluation, History } from "./history.ts";
import { style } from "./report-style.ts";
import { count, type Figures, minutes, percent } from "./summary.ts";

export interface ReportData {
  readonly figures: Figures;
  readonly history: History;
  readonly explained: Pick<ExplainReport, "kernels" | "totals">;
  readonly memory: { readonly plannedBytes: number; readonly lowerBoundBytes: number; svg(): string };
  /** Whether a sample is a word of the list. */
  isWord(sample: string): boolean;
}

/** The report of a run: one HTML page that needs nothing else. */
export function reportPage(data: ReportData): string {
  const { figures: f, history } = data;
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Learning English words: ${f.loss.toFixed(3)} nats a character</title>
<style>${style}</style>
</head>
<body>
<main>
<header>
<h1>Learning English words</h1>
<p>A GPT of ${count(f.parameters)} parameters (${plural(f.recipe.layers, "layer")}, width ${f.recipe.width}, ${f.recipe.heads} heads) read
${count(f.characters)} characters on <em>${escaped(f.adapter)}</em>, and makes up words now.</p>
</header>
${tiles(f)}
<section><h2>Loss</h2>
<p>Nats a character. <span class="key raw">each batch</span> <span class="key smooth">moving average</span>
<span class="key held">words held out</span></p>
${lossChart(history, f.bigram_loss)}
</section>
<section><h2>Words it made up</h2>
<p>Drawn on the GPU by a second program that reads the parameters where they are trained. <span class="word known">Real words</span> stand out.</p>
${samplesTable(history.evaluations, data)}
</section>
<section><h2>Kernels of a step</h2>
${kernelTable(data.explained)}
</section>
<section><h2>Memory of a step</h2>
<p>${mib(data.memory.plannedBytes)} MiB planned; any plan of these kernels takes at least ${mib(data.memory.lowerBoundBytes)} MiB.
Point at a box to see what it is.</p>
<div class="memory"><template shadowrootmode="open">${data.memory.svg()}</template></div>
</section>
<section><h2>The checkpoint</h2>
<pre>${escaped(python(f))}</pre>
</section>
</main>
</body>
</html>
`;
}

function tiles(f: Figures): string {
  const all: readonly (readonly [string, string, string])[] = [
    [
      f.loss.toFixed(3),
      "nats a character",
      `of ${count(f.words.held_out)} words it never saw; a bigram model has ${f.bigram_loss.toFixed(3)}`,
    ],
    [percent(f.trigram_share), "of letter trigrams", "in its words occur in the word list"],
    [percent(f.word_share), "real words", "among those that it makes up"],
    [
      minutes(f.train_s),
      "minutes",
      `for ${count(f.recipe.steps)} steps, after ${f.compile_s.toFixed(1)} s of compilation`,
    ],
    [count(Math.round(f.tokens_per_s)), "tokens a second", "evaluations included"],
    [String(f.dispatches), "dispatches", `of ${f.pipelines} pipelines in one submit a step`],
  ];
  const tile = ([value, unit, note]: readonly [string, string, string]): string =>
    `<div class="tile"><b>${value}</b><span>${unit}</span><small>${note}</small></div>`;
  return `<div class="tiles">${all.map(tile).join("")}</div>`;
}

function samplesTable(evaluations: readonly Evaluation[], { isWord }: ReportData): string {
  const row = (e: Evaluation): string =>
    `<tr><td class="n">${count(e.step)}</td><td class="n">${minutes(e.seconds)}</td><td class="n">${e.heldOut.toFixed(3)}</td>` +
    `<td class="n">${percent(e.trigrams)}</td><td>${e.samples.map((s) => `<span class="word${isWord(s) ? " known" : ""}">${escaped(s)}</span>`).join(" ")}</td></tr>`;
  return `<div class="scroll"><table><thead><tr><th class="n">step</th><th class="n">time</th><th class="n">held out</th><th class="n">trigrams</th><th>samples</th></tr></thead>
<tbody>${evaluations.map(row).join("\n")}</tbody></table></div>`;
}

/** Kernels that do the same things to the same amount of data are one row. */
function kernelTable({ kernels, totals }: ReportData["explained"]): string {
  const groups = new Map<string, { readonly first: (typeof kernels)[number]; times: number }>();
  for (const k of kernels) {
    const key = [k.variant, k.ops.join(" "), k.bytesRead, k.bytesWritten].join("|");
    const known = groups.get(key) ?? { first: k, times: 0 };
    known.times++;
    groups.set(key, known);
  }
  const bytes = ({ first, times }: { first: (typeof kernels)[number]; times: number }): number =>
    times * (first.bytesRead + first.bytesWritten);
  const rows = [...groups.values()].sort((a, b) => bytes(b) - bytes(a));
  const most = Math.max(1, ...rows.map(bytes));
  const row = (g: (typeof rows)[number]): string =>
    `<tr><td class="n">${g.times}×</td><td><code>${escaped(g.first.variant)}</code></td><td class="ops">${escaped(runs(g.first.ops))}</td>` +
    `<td class="n">${kib(g.first.bytesRead)}</td><td class="n">${kib(g.first.bytesWritten)}</td>` +
    `<td class="bar"><i style="width:${((100 * bytes(g)) / most).toFixed(1)}%"></i></td></tr>`;
  return `<p>${totals.kernels} kernels move ${mib(totals.bytesMoved)} MiB; one kernel an operation would move ${mib(totals.bytesMoved + totals.bytesSaved)} MiB.</p>
<div class="scroll tall"><table><thead><tr><th></th><th>kernel</th><th>operations</th><th class="n">reads KiB</th><th class="n">writes KiB</th><th>share of all bytes</th></tr></thead>
<tbody>${rows.map(row).join("\n")}</tbody></table></div>`;
}

/** Operations in a row that are the same count once: `mul ×3`. */
function runs(ops: readonly string[]): string {
  const out: { op: string; n: number }[] = [];
  for (const op of ops) {
    const last = out.at(-1);
    if (last?.op === op) last.n++;
    else out.push({ op, n: 1 });
  }
  return out.map(({ op, n }) => (n > 1 ? `${op} ×${n}` : op)).join(" ");
}

const python = (f: Figures): string =>
  [
    "from safetensors import safe_open",
    `with safe_open(${JSON.stringify(f.checkpoint)}, "np") as f:`,
    '    print(f.metadata()["recipe"])',
    '    print(f.get_tensor("transformer.wte.weight").shape)  # AdamW\'s state is under opt.',
    "",
    `# a run that was stopped goes on with: npm run demo:train -- --resume ${f.checkpoint}`,
  ].join("\n");

const escaped = (text: string): string => text.replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);
const plural = (n: number, what: string): string => `${n} ${what}${n === 1 ? "" : "s"}`;
const mib = (bytes: number): string => (bytes / 2 ** 20).toFixed(1);
const kib = (bytes: number): string => (bytes / 2 ** 10).toFixed(1);
