import { compile, dim, type Gpu, i32, openDevice, type Program } from "sinter";
import { encode, specs } from "../examples/encoder/model.ts";
import { deliver } from "./deliver.ts";
import { stepProgram } from "./gpt2-step.ts";
import { median } from "./measure.ts";
import { command } from "./options.ts";
import { Probe } from "./probe.ts";
import { profileStep } from "./profile-step.ts";
import { deviceOf } from "./saved.ts";
import { parseStep, type StepOptions, stepOptionsHelp } from "./step-options.ts";
import { tableText } from "./table.ts";

const help = `usage: npm run bench -- graph [options]

What it costs to call compile again and again: tracing, compiling from the graph to kernels and plan, and asking once more
for what a program has compiled before; and which kernels of a second program, traced anew, the device already has.

${stepOptionsHelp(5, { rounds: false })}

SINTER_ADAPTER=gpu|lavapipe|swiftshader chooses the adapter.`;

/** Times are milliseconds: the first, which meets code that the JavaScript engine has not optimised, and the median of later ones. */
export interface GraphRow {
  readonly program: string;
  readonly ops: number;
  readonly kernels: number;
  readonly first_trace_ms: number;
  readonly trace_ms: number;
  readonly first_compile_ms: number;
  readonly compile_ms: number;
  /** Asked again for sizes that were compiled before. */
  readonly cached_ms: number;
  readonly asked_again: number;
  readonly hits: number;
  /** Kernels of a program that was traced anew, and how many of them the first one has too. */
  readonly kernels_again: number;
  readonly kernel_hits: number;
}

interface Case {
  make(): Pick<Program, "graph" | "compiled">;
  /** Sets of sizes that are asked for in turn. */
  readonly dims: readonly Readonly<Record<string, number>>[];
}

export const graph = (args: readonly string[]): Promise<number> =>
  command("graph", help, parseStep(args, 5, { rounds: false }), run);

async function run(options: StepOptions): Promise<number> {
  const { config, sizes, dtype, steps } = options;
  const T = dim("T");
  const lengths = Array.from({ length: 16 }, (_, i) => ({ T: 8 * (i + 1) }));
  const cases: Readonly<Record<string, Case>> = {
    "sum of two": { make: () => compile({ x: i32(4), y: i32(4) }, ({ x, y }) => x.add(y)) as never, dims: [{}] },
    "sum of two, 16 sizes": {
      make: () => compile({ x: i32(T), y: i32(T) }, ({ x, y }) => x.add(y)) as never,
      dims: lengths,
    },
    encoder: { make: () => compile(specs, encode, { weights: ["params"] }) as never, dims: [{ B: 12, T: 16 }] },
    [`training step, ${config}${dtype === "f32" ? "" : `, ${dtype}`}`]: {
      make: () => stepProgram(sizes, dtype),
      dims: [{}],
    },
  };
  const gpu = await openDevice();
  try {
    const rows = Object.entries(cases).map(([name, c]) => measure(gpu, name, c, steps));
    const probe = new Probe(options);
    await profileStep(probe, sizes, dtype);
    const device = deviceOf(gpu);
    const result = { bench: "graph", adapter: device.text, config, sizes, dtype, rows };
    return deliver(options, { bench: "graph", device, result, text: `graph on ${device.text}\n${text(rows)}` }, probe);
  } finally {
    gpu.dispose();
  }
}

function timed<T>(times: number[], body: () => T): T {
  const began = performance.now();
  const value = body();
  times.push(performance.now() - began);
  return value;
}

function measure({ capabilities }: Gpu, name: string, c: Case, rounds: number): GraphRow {
  const [traces, compiles, again] = [[], [], []] as [number[], number[], number[]];
  let hits = 0;
  let programs = 0;
  const keys: Set<string>[] = [];
  let program: ReturnType<Case["make"]> | undefined;
  for (let i = 0; i < Math.max(2, rounds); i++) {
    const made = timed(traces, c.make);
    program = made;
    programs++;
    const first = c.dims.map((d) => timed(compiles, () => made.compiled(d, capabilities).manifest));
    c.dims.forEach((d, n) => {
      if (timed(again, () => made.compiled(d, capabilities).manifest) === first[n]) hits++;
    });
    keys.push(new Set(first.flatMap((m) => m.kernels.map((k) => k.key))));
  }
  const [one, other] = keys as [Set<string>, Set<string>];
  const later = (times: readonly number[]): number => median(times.slice(1));
  return {
    program: name,
    ops: (program as ReturnType<Case["make"]>).graph.nodes.filter((n) => n.op !== "input").length,
    kernels: (program as ReturnType<Case["make"]>).compiled(c.dims[0] ?? {}, capabilities).manifest.dispatches.length,
    first_trace_ms: traces[0] as number,
    trace_ms: later(traces),
    first_compile_ms: compiles[0] as number,
    compile_ms: later(compiles),
    cached_ms: median(again),
    asked_again: programs * c.dims.length,
    hits,
    kernels_again: other.size,
    kernel_hits: [...other].filter((k) => one.has(k)).length,
  };
}

function text(rows: readonly GraphRow[]): string {
  const head = [
    "program",
    "ops",
    "kernels",
    "trace: first",
    "later",
    "compile: first",
    "later",
    "again",
    "found",
    "kernels found",
  ];
  const ms = (t: number): string => (t < 1 ? t.toPrecision(2) : t.toFixed(1));
  const lines = rows.map((r) => [
    ...[r.program, `${r.ops}`, `${r.kernels}`],
    ...[r.first_trace_ms, r.trace_ms, r.first_compile_ms, r.compile_ms, r.cached_ms].map(ms),
    ...[`${r.hits} of ${r.asked_again}`, `${r.kernel_hits} of ${r.kernels_again}`],
  ]);
  return `milliseconds\n${tableText(head, lines, 1)}`;
}
