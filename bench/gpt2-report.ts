import type { Overheads, StepTimes } from "./gpt2-measure.ts";
import type { Gpt2Sizes } from "./gpt2-model.ts";

interface What {
  readonly bench: "gpt2-train";
  readonly config: string;
  readonly sizes: Gpt2Sizes;
  readonly dtype: string;
}

/** Losses beside those of another implementation. */
export interface Comparison {
  readonly reference: string;
  readonly losses: readonly number[];
  readonly max_relative_difference: number;
  readonly tolerance: number;
}

/** What a run measured. Times are milliseconds, counts those of a step after the first, on average. */
export interface Figures extends What, StepTimes, Overheads {
  readonly adapter: string;
  /** GPU time of a step in one compute pass, copies left out; where the device has timestamps. */
  readonly gpu_ms?: number;
  readonly gpu_min_ms?: number;
  readonly steps: number;
  /** From tracing to the first loss: trace, compile, warm up, upload, run, read. */
  readonly first_step_ms: number;
  /** Compiling and priming every pipeline. */
  readonly warmup_ms: number;
  /** From the graph to WGSL and the plan. */
  readonly compile_ms: number;
  readonly dispatches: number;
  readonly submits: number;
  readonly create_buffer: number;
  readonly create_bind_group: number;
  /** Pipelines made outside the warm-up, in all. */
  readonly late_pipelines: number;
  /** All buffers of the plan, and the least that any plan of these steps needs. */
  readonly planned_bytes: number;
  readonly lower_bound_bytes: number;
  /** The most that the device's buffers held at the end of a step, staging and results included. */
  readonly peak_bytes: number;
  readonly check?: Comparison;
  readonly jax_js?: Comparison & StepTimes & { readonly first_step_ms: number };
  /** How many times faster than jax-js, synced. */
  readonly ratio?: number;
  readonly pipelined_ratio?: number;
}

/** What a plan says. */
export interface PlanFigures extends What {
  readonly profile: string;
  readonly graph_ops: number;
  readonly dispatches: number;
  readonly dispatches_by_family: Readonly<Record<string, number>>;
  /** Dispatches that run once, at load. */
  readonly setup_dispatches: number;
  /** Distinct kernels. */
  readonly pipelines: number;
  readonly planned_bytes: number;
  readonly lower_bound_bytes: number;
  readonly trace_ms: number;
  /** From the graph to WGSL and the plan: the first time, and the median of later times. */
  readonly first_compile_ms: number;
  readonly compile_ms: number;
}

export function figuresText(f: Figures): string {
  const { jax_js: jax } = f;
  return [
    `${title(f)} on ${f.adapter}`,
    `  step       ${ms(f.median_ms)} synced (least ${ms(f.min_ms)}), ${ms(f.pipelined_ms)} pipelined, ${f.steps} steps`,
    ...(f.gpu_ms === undefined
      ? []
      : [`  GPU        ${ms(f.gpu_ms)} in one pass (least ${ms(f.gpu_min_ms ?? f.gpu_ms)})`]),
    `  CPU        ${ms(f.encode_ms)} to encode and submit, ${(f.heap_bytes / 1024).toFixed(1)} KiB of heap a step, ${(100 * f.gc_share).toFixed(2)} % garbage collection`,
    `  first      ${ms(f.first_step_ms)} from tracing to the first loss: compile ${ms(f.compile_ms)}, warm up ${ms(f.warmup_ms)}`,
    `  each step  ${f.dispatches} dispatches, ${f.submits} submits, ${f.create_buffer} buffers, ${f.create_bind_group} bind groups and ${f.late_pipelines} pipelines made`,
    `  memory     ${mib(f.planned_bytes)} planned, at least ${mib(f.lower_bound_bytes)} needed, ${mib(f.peak_bytes)} held`,
    `  losses     ${losses(f.losses)}`,
    ...(f.check ? [`  PyTorch    ${losses(f.check.losses)}`, `             ${difference(f.check)}`] : []),
    ...(jax
      ? [
          `  jax-js     ${ms(jax.median_ms)} synced (least ${ms(jax.min_ms)}), ${ms(jax.pipelined_ms)} pipelined, ${ms(jax.first_step_ms)} to the first loss`,
          `             ${difference(jax)}`,
          `  ratio      ${f.ratio?.toFixed(2)} times faster synced, ${f.pipelined_ratio?.toFixed(2)} pipelined`,
        ]
      : []),
  ].join("\n");
}

export function planText(p: PlanFigures): string {
  const families = Object.entries(p.dispatches_by_family).sort(([, a], [, b]) => b - a);
  return [
    `${title(p)} for profile ${p.profile}`,
    `  dispatches  ${p.dispatches} a step (${families.map(([name, n]) => `${name} ${n}`).join(", ")}), ${p.setup_dispatches} at load`,
    `  pipelines   ${p.pipelines}`,
    `  memory      ${mib(p.planned_bytes)} planned, at least ${mib(p.lower_bound_bytes)} needed (${(p.planned_bytes / p.lower_bound_bytes).toFixed(3)} times)`,
    `  compile     ${p.graph_ops} ops: trace ${ms(p.trace_ms)}, graph to plan ${ms(p.compile_ms)}, the first time ${ms(p.first_compile_ms)}`,
  ].join("\n");
}

const title = ({ config, sizes: s, dtype }: What): string =>
  `gpt2-train ${config}: ${s.layers} layers, width ${s.width}, ${s.heads} heads, vocabulary ${s.vocab}, ${s.batch}x${s.seq} tokens, ${dtype}`;

const losses = (values: readonly number[]): string =>
  values.length > 8
    ? `${losses(values.slice(0, 7))} … ${losses(values.slice(-1))}`
    : values.map((x) => x.toFixed(6)).join(" ");

const difference = (c: Comparison): string =>
  `losses differ by ${c.max_relative_difference.toExponential(1)} at most, relatively (${c.tolerance} allowed)`;

const ms = (t: number): string => `${t >= 100 ? t.toFixed(0) : t.toPrecision(3)} ms`;
const mib = (bytes: number): string => `${(bytes / 2 ** 20).toPrecision(4)} MiB`;
