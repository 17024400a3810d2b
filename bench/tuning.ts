import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { type Gpu, openDevice, type Program, type TuningTable } from "sinter";
import { checkTuningTable, shippedTable } from "sinter/tuning";
import { trialOf } from "../src/trial.ts";
import { Clock } from "../src/tune/clock.ts";
import { timeAll } from "../src/tune/contest.ts";
import { Course } from "../src/tune/course.ts";
import { type Job, jobsOf, type Measuring, prepare, type Variant } from "../src/tune/kernels.ts";
import { openTimer } from "../src/tune/timer.ts";
import { Workbench } from "../src/tune/workbench.ts";
import { deliver } from "./deliver.ts";
import { median } from "./measure.ts";
import {
  command,
  count,
  flag,
  type PlainOptions,
  parsed,
  plain,
  plainHelp,
  plainOptions,
  string,
  tried,
} from "./options.ts";
import { deviceOf } from "./saved.ts";
import { tableText } from "./table.ts";

const help = `usage: npm run bench -- tuning [options]

What a tuning table gains: every kernel that it knows, in the variant taken without it beside the one it names. Without a table an
adapter is one that nobody measured, so the ratio is what unknown adapters lose. By default the figures in the table.

  --table FILE    a table of yours; by default the one that is shipped for the adapter
  --measure       time both variants again, of the kernels of bench/tuning/gpu.ts or software.ts, in turns
  --seconds N     begin no kernel after this time; default 120
${plainHelp}

SINTER_ADAPTER=gpu|lavapipe|swiftshader chooses the adapter.`;

interface TuningOptions extends PlainOptions {
  readonly table: string | undefined;
  readonly measure: boolean;
  readonly seconds: number;
}

/** One kernel in both variants, microseconds; `count` dispatches of it in a run. */
interface Pair {
  readonly name: string;
  readonly count: number;
  readonly usual: string;
  readonly usual_us: number;
  readonly variant: string;
  readonly us: number;
}

const parse = (args: readonly string[]): TuningOptions | string =>
  parsed(() => {
    const options = { table: string, seconds: string, measure: flag, ...plainOptions };
    const { values: v } = parseArgs({ args: [...args], options });
    return {
      ...{ ...plain(v, args), table: v.table, measure: v.measure },
      seconds: v.seconds === undefined ? 120 : count("seconds", v.seconds, 3600),
    };
  });

export const tuning = (args: readonly string[]): Promise<number> => command("tuning", help, parse(args), run);

const readTable = (file: string): TuningTable =>
  tried(`${file} is no tuning table`, () => checkTuningTable(JSON.parse(readFileSync(file, "utf8"))));

async function run(options: TuningOptions): Promise<number> {
  const gpu = await openDevice({ tuning: "off" });
  try {
    const table = options.table ? readTable(options.table) : await shippedTable(gpu);
    const device = deviceOf(gpu);
    if (!table) {
      console.error(`bench: there is no table for ${device.text}: give one with --table`);
      return 1;
    }
    const pairs = options.measure ? await measured(gpu, table, options.seconds) : recorded(table);
    const figures = sums(pairs);
    const lost = Object.values(table.fusions).filter((f) => f.apart < 0.97 * f.fused).length;
    const result = { bench: "tuning", adapter: device.text, measured: options.measure, ...figures, lost, pairs };
    return deliver(options, {
      bench: "tuning",
      device,
      result,
      text: text(device.text, pairs, figures, lost),
      wrong: [],
    });
  } finally {
    gpu.dispose();
  }
}

const recorded = (table: TuningTable): Pair[] =>
  Object.entries(table.kernels).map(([name, k]) => ({
    ...{ name, count: 1, usual: k.usual, usual_us: k.usualTime, variant: k.variant, us: k.time },
  }));

async function measured(gpu: Gpu, table: TuningTable, seconds: number): Promise<Pair[]> {
  const programs: Readonly<Record<string, Program>> = gpu.capabilities.software
    ? ((await import("./tuning/software.ts")) as never)
    : ((await import("./tuning/gpu.ts")) as never);
  const bench = new Workbench(gpu);
  const timer = await openTimer(gpu, {});
  const now = () => performance.now();
  const clock = new Clock({ gpu, timer, now });
  const m = { gpu, bench, timer, clock, now, deadline: now() + 1000 * seconds };
  const pairs: Pair[] = [];
  const seen = new Set<string>();
  try {
    for (const program of Object.values(programs)) {
      if (now() > m.deadline) break;
      const { manifest, bound } = trialOf(program.bind({}), gpu.capabilities, table);
      const jobs = jobsOf(bound).filter(
        (j) => Object.hasOwn(table.kernels, j.signature) && !seen.has(j.signature) && seen.add(j.signature),
      );
      if (jobs.length === 0) continue;
      const course = await Course.load(gpu, manifest, {});
      try {
        // Software adapters take long for one: none is begun after the time.
        const some = clock.inRuns ? jobs.length : 1;
        for (let i = 0; i < jobs.length && now() < m.deadline; i += some)
          pairs.push(...(await timed(m, course, jobs.slice(i, i + some), table)));
      } finally {
        course.release();
      }
    }
    return pairs;
  } finally {
    bench.dispose();
    clock.dispose();
    timer.dispose();
  }
}

async function timed(m: Measuring, course: Course, jobs: readonly Job[], table: TuningTable): Promise<Pair[]> {
  const entrants = await prepare(m, course, jobs, (job) => [table.kernels[job.signature]?.variant]);
  if (!(await timeAll(m, course, entrants))) return [];
  return entrants.map(({ job, variants }) => {
    const [usual, tuned = usual] = variants as [Variant, Variant?];
    const us = (v: Variant): number => (m.clock.inRuns ? median(v.samples) : Math.min(...v.samples));
    return {
      ...{ name: job.signature, count: job.count, usual: usual.name, usual_us: us(usual) },
      ...{ variant: tuned.name, us: us(tuned) },
    };
  });
}

interface Sums {
  readonly kernels: number;
  readonly usual_us: number;
  readonly us: number;
  /** Time without the table over time with it: of all together, the geometric mean, the largest, and how many are above 1.5. */
  readonly total: number;
  readonly mean: number;
  readonly worst: number;
  readonly above: number;
}

function sums(pairs: readonly Pair[]): Sums {
  const add = (of: (p: Pair) => number): number => pairs.reduce((n, p) => n + p.count * of(p), 0);
  const [usual_us, us] = [add((p) => p.usual_us), add((p) => p.us)];
  const ratios = pairs.map((p) => p.usual_us / p.us);
  return {
    ...{ kernels: pairs.length, usual_us, us, total: usual_us / us },
    mean: Math.exp(ratios.reduce((n, r) => n + Math.log(r), 0) / Math.max(1, ratios.length)),
    worst: Math.max(1, ...ratios),
    above: ratios.filter((r) => r > 1.5).length,
  };
}

function text(adapter: string, pairs: readonly Pair[], s: Sums, lost: number): string {
  const worst = pairs.toSorted((a, b) => b.usual_us / b.us - a.usual_us / a.us).slice(0, 20);
  const rows = worst.map((p) => [
    `${(p.usual_us / p.us).toFixed(2)}`,
    `${p.usual} ${p.usual_us.toPrecision(4)}`,
    `${p.variant} ${p.us.toPrecision(4)}`,
    p.name.length > 100 ? `${p.name.slice(0, 99)}…` : p.name,
  ]);
  return [
    `tuning on ${adapter}`,
    `${s.kernels} kernels: ${s.usual_us.toPrecision(5)} µs without the table, ${s.us.toPrecision(5)} with it: ${s.total.toFixed(3)} times;`,
    `mean of the ratios ${s.mean.toFixed(3)}, worst ${s.worst.toFixed(2)}, ${s.above} above 1.5; ${lost} fusions that lose`,
    "",
    tableText(["without / with", "without, µs", "with, µs", "kernel"], rows, 4),
  ].join("\n");
}
