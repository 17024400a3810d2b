import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { median } from "./measure.ts";
import { command, count, parsed, plainOptions, string, Wrong } from "./options.ts";
import { tableText } from "./table.ts";

const help = `usage: npm run bench -- against DIR [options] -- NAME [options of that benchmark]

Runs a benchmark of this tree and of the one in DIR, in turns, and compares every time that both report: how many times as long it takes
here. Whatever slows the machine slows both. DIR is a checkout of another commit with its own node_modules, or a link to these:

  git worktree add ../before COMMIT && ln -s $PWD/node_modules ../before/node_modules
  npm run bench -- against ../before -- ops

  --rounds N      runs of each, 3 by default; ratios are of medians
  --allow X       exit code 1 where a median takes more than X times as long here; default 1.1
  --json          stdout holds one JSON object alone
  -h, --help      print this`;

interface AgainstOptions {
  readonly dir: string;
  readonly rest: readonly string[];
  readonly rounds: number;
  readonly allow: number;
  readonly json: boolean;
  readonly help: boolean;
}

const parse = (args: readonly string[]): AgainstOptions | string =>
  parsed(() => {
    const { json, help } = plainOptions;
    const end = args.indexOf("--");
    const own = end < 0 ? [...args] : args.slice(0, end);
    const options = { rounds: string, allow: string, json, help };
    const { values: v, positionals } = parseArgs({ args: own, options, allowPositionals: true });
    const [dir = ""] = positionals;
    const rest = end < 0 ? [] : args.slice(end + 1);
    if (!v.help && (positionals.length !== 1 || rest.length === 0))
      throw new Wrong("give one folder, --, and a benchmark");
    if (!v.help && !existsSync(join(dir, "bench/main.ts"))) throw new Wrong(`there is no bench/main.ts in ${dir}`);
    const allow = Number(v.allow ?? "1.1");
    if (!(allow > 0)) throw new Wrong(`--allow is ${JSON.stringify(v.allow)}, but must be a number above 0`);
    return { dir, rest, rounds: count("rounds", v.rounds ?? "3"), allow, json: v.json, help: v.help };
  });

export const against = (args: readonly string[]): Promise<number> => command("against", help, parse(args), run);

/** A time that both trees report. */
export interface AgainstRow {
  readonly name: string;
  readonly ms: number;
  readonly other_ms: number;
  /** How many times as long it takes here: of the medians, and the least and the greatest of the rounds. */
  readonly ratio: number;
  readonly spread: readonly [number, number];
}

async function run({ dir, rest, rounds, allow, json }: AgainstOptions): Promise<number> {
  const trees = [process.cwd(), resolve(dir)] as const;
  const found: [Times, Times][] = [];
  for (let i = 0; i < rounds; i++) {
    const order = i % 2 ? [1, 0] : [0, 1];
    const pair: Times[] = [];
    for (const t of order) pair[t] = timesOf(JSON.parse(bench(trees[t] as string, rest)));
    found.push(pair as [Times, Times]);
  }
  const rows = compared(found);
  if (json) console.log(JSON.stringify({ bench: "against", command: rest.join(" "), rounds, rows }, null, 2));
  else console.log(`${rest.join(" ")}, here and in ${dir}, ${rounds} runs each\n${text(rows)}`);
  const slow = rows.filter((r) => r.ratio > allow);
  for (const r of slow)
    console.error(`bench against: ${r.name} takes ${r.ratio.toFixed(2)} times as long, more than ${allow}`);
  return slow.length ? 1 : 0;
}

const bench = (tree: string, args: readonly string[]): string =>
  execFileSync(process.execPath, ["scripts/run.mjs", "bench/main.ts", ...args, "--json"], {
    cwd: tree,
    encoding: "utf8",
    maxBuffer: 2 ** 28,
    stdio: ["ignore", "pipe", "inherit"],
  });

type Times = ReadonlyMap<string, number>;

/** Steady times of a result, by what they are of: first steps and compilations meet caches and the rest of the machine. */
const steady = ["median_ms", "min_ms", "pipelined_ms", "gpu_ms", "us"];

/** Times of a result by name: of rows by theirs, of contenders by their labels. */
export function timesOf(result: unknown, path = ""): Times {
  const out = new Map<string, number>();
  const visit = (value: unknown, at: string): void => {
    if (Array.isArray(value)) {
      for (const [i, v] of value.entries()) visit(v, `${at} ${rowName(v) ?? i}`);
    } else if (typeof value === "object" && value !== null) {
      const { label } = value as { label?: string };
      for (const [key, v] of Object.entries(value)) {
        if (typeof v === "number" && steady.includes(key))
          out.set(`${at} ${label ?? ""} ${key}`.replace(/\s+/g, " ").trim(), v);
        else if (typeof v === "object" && key !== "figures" && key !== "check") visit(v, at);
      }
    }
  };
  visit(result, path);
  return out;
}

const rowName = (v: unknown): string | undefined => {
  const { name, shape } = (v ?? {}) as { name?: string; shape?: string };
  return name === undefined ? undefined : [name, shape].filter(Boolean).join(" ");
};

/** What both report in every round. */
export function compared(found: readonly (readonly [Times, Times])[]): AgainstRow[] {
  const names = [...(found[0]?.[0].keys() ?? [])].filter((n) => found.every((pair) => pair.every((t) => t.has(n))));
  return names.map((name) => {
    const of = (side: 0 | 1): number[] => found.map((pair) => pair[side].get(name) as number);
    const ratios = found.map(([here, there]) => (here.get(name) as number) / (there.get(name) as number));
    const [ms, other_ms] = [median(of(0)), median(of(1))];
    return { name, ms, other_ms, ratio: ms / other_ms, spread: [Math.min(...ratios), Math.max(...ratios)] };
  });
}

function text(rows: readonly AgainstRow[]): string {
  const lines = rows.map((r) => [
    ...[r.name, r.ms.toPrecision(4), r.other_ms.toPrecision(4), r.ratio.toFixed(2)],
    `${r.spread[0].toFixed(2)} to ${r.spread[1].toFixed(2)}`,
  ]);
  return tableText(["", "here", "there", "ratio", "range"], lines, 1);
}
