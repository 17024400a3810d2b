import { readFileSync, writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { command, flag, parsed, plainOptions, resultsFolder, string, tried } from "./options.ts";
import { faults, filesIn, readSaved, type Saved } from "./saved.ts";
import { markdown, tables } from "./tables.ts";

const help = `usage: npm run bench -- report [options]

Writes the tables of docs/performance.md anew from the results that benchmarks kept with --save. A table stands between
<!-- results: NAME ADAPTER --> and <!-- /results -->; all else on the page is left as it is.

  --check         write nothing; exit code 1 where the page and the results disagree
  --results DIR   where the results are; default ${resultsFolder}
  --page FILE     default docs/performance.md
  -h, --help      print this

Tables: ${Object.keys(tables).join(", ")}.`;

interface PageOptions {
  readonly check: boolean;
  readonly results: string;
  readonly page: string;
  readonly help: boolean;
}

const parse = (args: readonly string[]): PageOptions | string =>
  parsed(() => {
    const { help } = plainOptions;
    const { values: v } = parseArgs({ args: [...args], options: { check: flag, results: string, page: string, help } });
    const { results = resultsFolder, page = "docs/performance.md" } = v;
    return { check: v.check, help: v.help, results, page };
  });

export const report = (args: readonly string[]): Promise<number> => command("report", help, parse(args), run);

async function run({ check, results, page }: PageOptions): Promise<number> {
  const files = filesIn(results).map((file) => ({ file, saved: readSaved(file) }));
  const saved = files.map((f) => f.saved);
  const bad = files.flatMap(({ file, saved }) => faults(saved).map((f) => `${file}: ${f}`));
  const old = tried(`${page} cannot be read`, () => readFileSync(page, "utf8"));
  const { text, wrong } = bad.length ? { text: old, wrong: bad } : regenerated(old, saved);
  const problems = [
    ...wrong,
    ...(check && !wrong.length && text !== old
      ? [`${page} is not what ${results} gives: npm run bench -- report`]
      : []),
  ];
  for (const p of problems) console.error(`bench report: ${p}`);
  if (problems.length) return 1;
  if (!check && text !== old) tried(`${page} cannot be written`, () => writeFileSync(page, text));
  console.log(check ? `${page} agrees with ${results}` : text === old ? `${page} is up to date` : `wrote ${page}`);
  return 0;
}

const opening = /^<!-- results: (\S+) (\S+) -->$/;
const closing = "<!-- /results -->";

/** A page with its tables made anew, and what is wrong with its markers. */
export function regenerated(
  page: string,
  saved: readonly Saved[],
): { readonly text: string; readonly wrong: readonly string[] } {
  const out: string[] = [];
  const wrong: string[] = [];
  const lines = page.split("\n");
  for (let i = 0; i < lines.length; i++) {
    const line = lines[i] as string;
    out.push(line);
    const [, name, adapter] = opening.exec(line) ?? [];
    if (name === undefined) continue;
    const end = lines.indexOf(closing, i);
    const next = lines.findIndex((l, k) => k > i && opening.test(l));
    if (!Object.hasOwn(tables, name)) wrong.push(`line ${i + 1}: there is no table ${name}`);
    else if (end < 0 || (next >= 0 && next < end)) wrong.push(`line ${i + 1}: the table is not closed by ${closing}`);
    else {
      out.push(
        "",
        markdown(
          name,
          saved.find((s) => s.bench === tables[name]?.bench && s.adapter === adapter),
        ),
        "",
        closing,
      );
      i = end;
    }
  }
  return { text: out.join("\n"), wrong };
}
