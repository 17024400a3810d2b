import type { AblationRow } from "./ablations.ts";
import type { AttentionFigure } from "./attention.ts";
import type { DecodeRow } from "./decode.ts";
import type { Figures } from "./gpt2-report.ts";
import type { GraphRow } from "./graph.ts";
import { type ProductFigure, stepMs } from "./matmul.ts";
import type { PoolRow } from "./pool.ts";
import type { Row } from "./report.ts";
import type { RowsFigure } from "./rows.ts";
import type { Entry, Saved } from "./saved.ts";
import type { SubmitsRow } from "./submits.ts";

/** A table of the page: the head, and a line for each figure of a result. */
interface Table {
  /** The benchmark whose results it shows. */
  readonly bench: string;
  readonly head: readonly string[];
  lines(result: never, entry: Entry): readonly (readonly string[])[];
  /** What is to be said of a result as a whole. */
  note?(result: never): string;
}

const table = <R>(
  bench: string,
  head: readonly string[],
  lines: (result: R, entry: Entry) => readonly (readonly string[])[],
  note?: (result: R) => string,
): Table => ({ bench, head, lines: lines as Table["lines"], ...(note && { note: note as Table["note"] & {} }) });

/** Three digits, and no more than a measurement knows. */
const digits = (x: number): string =>
  !Number.isFinite(x) ? "" : x >= 100 || x === 0 ? x.toFixed(0) : x >= 10 ? x.toFixed(1) : x.toPrecision(3);
const percent = (x: number): string => `${(100 * x).toFixed(x < 0.01 ? 2 : 0)} %`;
const gib = (bytes: number): string =>
  bytes >= 2 ** 30 ? `${(bytes / 2 ** 30).toFixed(2)} GiB` : `${digits(bytes / 2 ** 20)} MiB`;
const tiny = (x: number | undefined): string => (x === undefined ? "" : x === 0 ? "0" : x.toExponential(0));
const inner = (f: { readonly sizes: { readonly batch: number; readonly seq: number } }): string =>
  `${f.sizes.batch}×${f.sizes.seq}`;
const times = (text: string): string => text.replace(/(?<=\d)x(?=\d)/g, "×");

const stepHead = [
  "step",
  "synced",
  "pipelined",
  "GPU",
  "encode",
  "heap a step",
  "garbage collection",
  "dispatches, submits",
];
const stepLine = (f: Figures): string[] => [
  `${f.config} ${inner(f)}, ${f.dtype}`,
  ...[f.median_ms, f.pipelined_ms, f.gpu_ms ?? Number.NaN, f.encode_ms].map((t) =>
    Number.isFinite(t) ? `${digits(t)} ms` : "",
  ),
  ...[`${digits(f.heap_bytes / 1024)} KiB`, percent(f.gc_share), `${f.dispatches}, ${f.submits}`],
];

const products = (dtype: string): Table =>
  table<{ readonly products: readonly ProductFigure[] }>(
    "matmul",
    ["M×N×K", "stored", "µs", "TFLOP/s", "cuBLAS µs", "its part", "off by √K ×", "kernels"],
    ({ products }) =>
      products
        .filter((p) => p.dtype === dtype)
        .map((p) => [
          ...[times(p.shape), p.form, digits(p.us), digits(p.tflop_per_s), p.cublas_us ? digits(p.cublas_us) : ""],
          ...[
            p.cublas_us ? percent(p.cublas_us / p.us) : "",
            tiny(p.difference),
            p.kernels.map((k) => `\`${k}\``).join(" "),
          ],
        ]),
    ({ products }) => {
      const ms = stepMs(products, dtype);
      return ms === undefined ? "" : `The products of a step at 1×512, one by one: ${digits(ms)} ms.`;
    },
  );

interface Rows<T> {
  readonly rows: readonly T[];
}

/** The tables of docs/performance.md, by the name in their markers. */
export const tables: Readonly<Record<string, Table>> = {
  "gpt2-train": table<Figures>("gpt2-train", stepHead, (f) => [stepLine(f)]),
  "gpt2-memory": table<Figures>(
    "gpt2-train",
    [
      "step",
      "first step",
      "of it compile, warm-up",
      "made a step: buffers, bind groups",
      "planned",
      "held",
      "losses off by (allowed)",
    ],
    (f) => [
      [
        `${f.config} ${inner(f)}, ${f.dtype}`,
        ...[`${digits(f.first_step_ms)} ms`, `${digits(f.compile_ms)}, ${digits(f.warmup_ms)} ms`],
        ...[`${f.create_buffer}, ${f.create_bind_group}`, gib(f.planned_bytes), gib(f.peak_bytes)],
        f.check ? `${tiny(f.check.max_relative_difference)} (${f.check.tolerance})` : "",
      ],
    ],
  ),
  ablations: table<Rows<AblationRow>>(
    "ablations",
    ["way", "pipelined ms", "times", "GPU ms", "times", "dispatches", "losses off by"],
    (r, e) =>
      r.rows.map((x) => [
        ...[`${x.name}${e.command.includes("f16") ? " (f16)" : ""}`, digits(x.ms), x.ratio.toFixed(2)],
        ...[x.gpu_ms ? digits(x.gpu_ms) : "", x.gpu_ratio?.toFixed(2) ?? "", `${x.dispatches}`, tiny(x.difference)],
      ]),
  ),
  "matmul-f32": products("f32"),
  "matmul-f16": products("f16"),
  "matmul-f16x3": products("f16x3"),
  "matmul-jax": table<Rows<Row>>("matmul", ["product", "Sinter", "jax-js", "ratio", "range"], (r) => compared(r.rows)),
  attention: table<{ readonly attention: readonly AttentionFigure[] }>(
    "attention",
    ["shape", "dtype", "pass", "µs", "TFLOP/s", "its products alone", "times", "off by"],
    (r) =>
      r.attention.map((a) => [
        ...[times(a.shape), a.dtype, `${a.pass}${a.causal ? ", causal" : ""}`, digits(a.us), digits(a.tflop_per_s)],
        ...[digits(a.products_us), a.ratio.toFixed(2), tiny(a.difference)],
      ]),
  ),
  rows: table<Rows<RowsFigure> & { readonly copy_tb_per_s: number }>(
    "rows",
    ["what", "MiB", "µs", "TB/s", "of a copy", "kernels"],
    (r) =>
      r.rows.map((x) => [
        ...[times(x.name), digits(x.bytes / 2 ** 20), digits(x.us), digits(x.tb_per_s), percent(x.of_copy)],
        x.kernels.map((k) => `\`${k}\``).join(" "),
      ]),
    (r) => `A copy reads and writes ${digits(r.copy_tb_per_s)} TB/s in the same run.`,
  ),
  decode: table<Rows<DecodeRow> & { readonly copy_tb_per_s: number }>(
    "decode",
    [
      "program",
      "GPU µs a token",
      "floor",
      "floor / GPU",
      "synced",
      "pipelined",
      "dispatches (a layer)",
      "submits",
      "off by",
    ],
    (r) =>
      r.rows.map((x) => [
        ...[
          times(x.name),
          digits(x.gpu_us),
          digits(x.floor_us),
          x.ratio.toFixed(2),
          digits(x.synced_us),
          digits(x.pipelined_us),
        ],
        ...[`${x.dispatches} (${digits(x.dispatches_per_layer)})`, `${x.submits}`, tiny(x.difference)],
      ]),
    (r) => `A copy reads and writes ${digits(r.copy_tb_per_s)} TB/s in the same run.`,
  ),
  warmup: table<Readonly<Record<string, number | string>>>(
    "warmup",
    [
      "step",
      "pipelines",
      "several at a time",
      "one after the other",
      "first step without",
      "first step after",
      "later ones",
      "first / later",
    ],
    (f) => [
      [
        ...[`${f.config}, ${f.dtype}`, `${f.pipelines}`],
        ...["concurrent_ms", "sequential_ms", "lazy_first_step_ms", "first_step_ms", "steady_ms"].map(
          (k) => `${digits(f[k] as number)} ms`,
        ),
        digits(f.first_over_steady as number),
      ],
    ],
  ),
  submits: table<Rows<SubmitsRow>>(
    "submits",
    ["step", "submits", "passes", "to encode", "1 in flight", "2", "3", "4"],
    (r) =>
      r.rows
        .filter((x) => x.in_flight === 1)
        .map((x) => {
          const same = r.rows.filter((y) => y.fused === x.fused && y.submits === x.submits && y.passes === x.passes);
          const encode = same.map((y) => y.encode_ms);
          return [
            ...[
              x.fused ? "fused" : `unfused, ${x.dispatches} dispatches`,
              `${x.submits}`,
              x.passes === "one" ? "one a submit" : "one a dispatch",
            ],
            `${digits(Math.min(...encode))} to ${digits(Math.max(...encode))}`,
            ...same.map((y) => y.ms.toFixed(2)),
          ];
        }),
  ),
  pool: table<Rows<PoolRow>>("pool", ["user", "sizes", "found", "created a step", "in the second half", "held"], (r) =>
    r.rows.map((x) => [
      ...[
        x.user,
        x.sizing,
        percent(x.hit_rate),
        x.create_buffer.toFixed(2),
        x.create_buffer_later.toFixed(2),
        gib(x.bytes_held),
      ],
    ]),
  ),
  graph: table<Rows<GraphRow>>(
    "graph",
    [
      "program",
      "ops",
      "kernels",
      "trace: first",
      "later",
      "compile: first",
      "later",
      "again",
      "found",
      "kernels found by a second trace",
    ],
    (r) =>
      r.rows.map((x) => [
        ...[x.program, `${x.ops}`, `${x.kernels}`],
        ...[x.first_trace_ms, x.trace_ms, x.first_compile_ms, x.compile_ms, x.cached_ms].map((t) => `${digits(t)} ms`),
        ...[`${x.hits} of ${x.asked_again}`, `${x.kernel_hits} of ${x.kernels_again}`],
      ]),
  ),
  tuning: table<Readonly<Record<string, number>>>(
    "tuning",
    ["kernels", "without the table", "with it", "times", "worst kernel", "above 1.5", "fusions that lose"],
    (t) => [
      [
        ...[
          `${t.kernels}`,
          `${digits((t.usual_us ?? 0) / 1000)} ms`,
          `${digits((t.us ?? 0) / 1000)} ms`,
          digits(t.total ?? 0),
        ],
        ...[digits(t.worst ?? 0), `${t.above}`, `${t.lost}`],
      ],
    ],
  ),
  compile: table<Rows<Row>>("compile", ["program", "ops", "kernels", "first", "later"], (r) =>
    r.rows.map(({ name, shape, figures: f = {} }) => [
      ...[`${name}, ${times(shape)}`, `${f.graph_ops}`, `${f.kernels}`],
      ...[`${digits(f.first_ms ?? 0)} ms`, `${digits(f.median_ms ?? 0)} ms`],
    ]),
  ),
  ops: table<Rows<Row>>("ops", ["program", "kernels", "fused", "unfused", "ratio", "range"], (r) =>
    compared(r.rows).map((line, i) => {
      const f = r.rows[i]?.figures ?? {};
      return [line[0] as string, `${f.fused_kernels} for ${f.unfused_kernels}`, ...line.slice(1)];
    }),
  ),
};

const compared = (rows: readonly Row[]): string[][] =>
  rows.flatMap(({ name, shape, comparison: c }) =>
    c
      ? [
          [
            ...[`${name} ${times(shape)}`, `${digits(c.a.median_ms)} ms`, `${digits(c.b.median_ms)} ms`],
            ...[c.ratio.toFixed(2), `${c.spread[0].toFixed(2)} to ${c.spread[1].toFixed(2)}`],
          ],
        ]
      : [],
  );

/** A table in Markdown, with what it was measured by. */
export function markdown(name: string, saved: Saved | undefined): string {
  const t = tables[name] as Table;
  const entries = (saved?.entries ?? [])
    .map((e) => ({ e, lines: t.lines(e.result as never, e) }))
    .filter(({ lines }) => lines.length);
  const [first] = entries;
  if (!first) return `Not measured yet: \`npm run bench -- ${t.bench} --save\`.`;
  const row = (cells: readonly string[]): string => `| ${cells.join(" | ")} |`;
  const dates = [...new Set(entries.map(({ e }) => e.date))].sort();
  const when = dates.length > 1 ? `${dates[0]} to ${dates.at(-1)}` : (dates[0] ?? "");
  const { device, versions } = first.e;
  const with_ = Object.entries(versions).map(([k, v]) => `${k} ${v.replace(/^v/, "")}`);
  return [
    row(t.head),
    row(t.head.map(() => "---")),
    ...entries.flatMap(({ lines }) => lines.map(row)),
    "",
    ...entries.slice(0, 1).flatMap(({ e }) => (t.note ? [t.note(e.result as never), ""] : [])),
    `${device}, ${when}, ${with_.join(", ")}: ${entries.map(({ e }) => `\`${e.command}\``).join(", ")}`,
  ].join("\n");
}
