import type { KernelReport } from "./fuse/explain.ts";
import { type Phase, phases } from "./ir/phase.ts";
import type { Profiled } from "./runtime/profile.ts";
import { chromeTrace, type Span } from "./runtime/timeline.ts";
import type { Stamp } from "./runtime/timestamps.ts";

/** GPU time of one kernel in one phase: the median of its runs, summed over its dispatches. */
export interface ProfileRow {
  readonly phase: Phase;
  /** The family and ops, as the kernel's label has them. */
  readonly kernel: string;
  readonly variant: string;
  readonly place?: string;
  /** Its dispatches by number, as in `explain()`: 3 is k3. */
  readonly dispatches: readonly number[];
  readonly count: number;
  readonly totalUs: number;
  readonly averageUs: number;
  /** Of the sum over all rows, 0 to 1. */
  readonly share: number;
  /** Over all of its dispatches: each tensor once a dispatch. */
  readonly bytesRead: number;
  readonly bytesWritten: number;
  /** Of matrix products and attention. */
  readonly flops: number;
  readonly bytesPerSecond: number;
  readonly flopsPerSecond: number;
  /** What copying as many bytes would take. */
  readonly floorUs: number;
}

/** Rows of one phase, summed. */
export type ProfileSum = Omit<ProfileRow, "kernel" | "variant" | "place" | "dispatches">;

/** Where the GPU time of a program goes. `String(report)` is a table. */
export interface ProfileReport {
  readonly adapter: string;
  /** Runs that the medians are of. */
  readonly runs: number;
  /** Most time first. Every dispatch is in one row. */
  readonly rows: readonly ProfileRow[];
  /** Phases that have rows, in order. */
  readonly phases: readonly ProfileSum[];
  /** Sum over all dispatches. */
  readonly totalUs: number;
  /** GPU time of a whole run in one compute pass: median and least. Dispatches of one pass may overlap, and between them the device drains. */
  readonly passUs: number;
  readonly passMinUs: number;
  /** Bytes a second that a plain copy reads and writes on this device, measured in the same call. */
  readonly copyBytesPerSecond: number;
  /** What happened when. */
  readonly spans: readonly Span[];
  /** {@link spans} as JSON in the Trace Event Format, for ui.perfetto.dev. */
  trace(): string;
  toString(): string;
}

interface Source {
  readonly adapter: string;
  /** By dispatch. */
  readonly kernels: readonly KernelReport[];
  /** Labels of the kernels, by dispatch. */
  readonly labels: readonly string[];
  /** The same number for the same pipeline, by dispatch. */
  readonly pipelines: readonly number[];
  readonly profiled: Profiled;
  /** Before the runs. */
  readonly spans: readonly Span[];
}

export function profileReport(s: Source): ProfileReport {
  const { times, whole, runs, copySpeed } = s.profiled;
  const groups = new Map<string, number[]>();
  times.forEach((t, i) => {
    const key = `${s.kernels[i]?.phase} ${s.pipelines[i]}`;
    if (t) groups.set(key, [...(groups.get(key) ?? []), i]);
  });
  const us = times.map((t) => (t ? median(t) / 1000 : 0));
  const totalUs = sum(us);
  const figures = (dispatches: readonly number[]) => {
    const of = (pick: (k: KernelReport) => number): number =>
      sum(dispatches.map((i) => pick(s.kernels[i] as KernelReport)));
    const own = sum(dispatches.map((i) => us[i] as number));
    const [bytesRead, bytesWritten, flops] = [of((k) => k.bytesRead), of((k) => k.bytesWritten), of((k) => k.flops)];
    const rate = (n: number): number => (own > 0 ? n / (own * 1e-6) : 0);
    return {
      phase: (s.kernels[dispatches[0] as number] as KernelReport).phase,
      count: dispatches.length,
      totalUs: own,
      averageUs: own / dispatches.length,
      share: totalUs > 0 ? own / totalUs : 0,
      ...{ bytesRead, bytesWritten, flops },
      bytesPerSecond: rate(bytesRead + bytesWritten),
      flopsPerSecond: rate(flops),
      floorUs: ((bytesRead + bytesWritten) / copySpeed) * 1e6,
    };
  };
  const rows = [...groups.values()].map((dispatches): ProfileRow => {
    const first = dispatches[0] as number;
    const { variant, place } = s.kernels[first] as KernelReport;
    return { kernel: s.labels[first] as string, variant, ...(place && { place }), dispatches, ...figures(dispatches) };
  });
  rows.sort((a, b) => b.totalUs - a.totalUs);
  const sums = phases.flatMap((phase) => {
    const dispatches = rows.flatMap((r) => (r.phase === phase ? r.dispatches : []));
    return dispatches.length ? [figures(dispatches)] : [];
  });
  const spans = [...s.spans, ...runSpans(s)];
  const report = {
    adapter: s.adapter,
    runs: runs.length,
    rows,
    phases: sums,
    totalUs,
    passUs: median(whole) / 1000,
    passMinUs: Math.min(...whole) / 1000,
    copyBytesPerSecond: copySpeed,
    spans,
  };
  return { ...report, trace: () => JSON.stringify(chromeTrace(spans)), toString: () => render(report) };
}

/** The timeline of the runs. The GPU has a clock of its own: no run can have ended there after the CPU heard of it. */
function runSpans({ kernels, labels, profiled: { runs, times } }: Source): Span[] {
  const busy = times.flatMap((t, i) => (t ? [i] : []));
  const last = (stamps: readonly Stamp[]): number => Math.max(...stamps.map((x) => x.end)) / 1e6;
  const offset = Math.min(...runs.filter((r) => r.stamps.length).map((r) => r.done - last(r.stamps)));
  return runs.flatMap((r, n) => [
    { lane: "encode" as const, name: `run ${n}`, began: r.began, ended: r.submitted },
    ...r.stamps.map((stamp, i) => {
      const { phase, variant, bytesRead, bytesWritten, flops } = kernels[busy[i] as number] as KernelReport;
      const [began, ended] = [stamp.begin / 1e6 + offset, stamp.end / 1e6 + offset];
      const details = { dispatch: busy[i] as number, phase, variant, bytesRead, bytesWritten, flops };
      return { lane: "GPU" as const, name: labels[busy[i] as number] as string, began, ended, details };
    }),
    { lane: "readback" as const, name: `run ${n}`, began: r.done, ended: r.read },
  ]);
}

const sum = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0);

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  const high = sorted[middle] ?? 0;
  return sorted.length % 2 ? high : ((sorted[middle - 1] ?? 0) + high) / 2;
}

type Figures = Omit<ProfileReport, "trace" | "toString">;

function render(r: Figures): string {
  // What suits a GPU leaves zeros alone on a CPU.
  const [unit, letter] = r.copyBytesPerSecond >= 1e11 ? [1e12, "T"] : [1e9, "G"];
  const header = ["us", "share", "count", "average", "floor", `${letter}B/s`, `${letter}FLOP/s`, "read", "written"];
  const left = header.length;
  header.push("variant", "kernel");
  const cells = (x: ProfileSum | ProfileRow, variant: string, kernel: string): string[] => [
    x.totalUs.toFixed(1),
    `${(100 * x.share).toFixed(1)}%`,
    String(x.count),
    x.averageUs.toFixed(1),
    x.floorUs.toFixed(1),
    digits(x.bytesPerSecond / unit),
    x.flops ? digits(x.flopsPerSecond / unit) : "",
    mib(x.bytesRead),
    mib(x.bytesWritten),
    variant,
    kernel.length > 60 ? `${kernel.slice(0, 59)}…` : kernel,
  ];
  const blocks = r.phases.map((p) => [
    cells(p, "", p.phase),
    ...r.rows.filter((x) => x.phase === p.phase).map((x) => cells(x, x.variant, `  ${x.kernel}`)),
  ]);
  const all = [header, ...blocks.flat()];
  const widths = header.map((_, c) => Math.max(...all.map((row) => (row[c] as string).length)));
  const line = (row: readonly string[]): string =>
    row
      .map((t, c) => (c < left ? t.padStart(widths[c] as number) : t.padEnd(widths[c] as number)))
      .join("  ")
      .trimEnd();
  return [
    `GPU time on ${r.adapter}, median of ${r.runs} runs with one compute pass a dispatch: ${ms(r.totalUs)} in ${sum(r.phases.map((p) => p.count))} dispatches`,
    `in one pass ${ms(r.passUs)} (least ${ms(r.passMinUs)}); a copy reads and writes ${digits(r.copyBytesPerSecond / unit)} ${letter}B/s, which floors are by`,
    "",
    line(header),
    ...blocks.flatMap((b) => b.map(line)),
  ].join("\n");
}

const ms = (us: number): string => `${(us / 1000).toFixed(3)} ms`;
const mib = (bytes: number): string => `${(bytes / 2 ** 20).toFixed(bytes < 2 ** 20 ? 3 : 1)} MiB`;
const digits = (x: number): string => (x >= 100 ? x.toFixed(0) : x.toPrecision(3));
