import type { Node } from "../ir/graph.ts";
import { rowOf } from "../ir/ops.ts";
import type { Phase } from "../ir/phase.ts";
import type { Refusal } from "./fuser.ts";
import { bytesOf, isStored, storesOf } from "./pull.ts";
import type { Bundle, Region } from "./region.ts";
import { flopsOf, phaseOfBundle } from "./work.ts";

export interface TensorTraffic {
  readonly name: string;
  readonly bytes: number;
}

/** One kernel: what it computes, reads and writes. */
export interface KernelReport {
  readonly name: string;
  /** `bundle` where independent kernels of several families share the dispatch. */
  readonly family: string;
  /** Of a bundle, those of its parts with ` | ` between them. */
  readonly variant: string;
  /** Ops computed, in order; producers that were pulled in included. */
  readonly ops: readonly string[];
  /** The independent kernels that share the dispatch; absent for one that has it to itself. */
  readonly parts?: readonly KernelPart[];
  readonly reads: readonly TensorTraffic[];
  readonly writes: readonly TensorTraffic[];
  readonly bytesRead: number;
  readonly bytesWritten: number;
  /** Bytes that one kernel an op would move beyond these. */
  readonly bytesSaved: number;
  readonly workgroups: readonly number[];
  /** The part of a training step it belongs to; `forward` where there is no gradient. */
  readonly phase: Phase;
  /** Of its matrix products and attention: two a multiplication and addition; 0 for other kernels. */
  readonly flops: number;
  readonly place?: string;
}

/** One of several kernels in a dispatch. */
export type KernelPart = Pick<KernelReport, "family" | "variant" | "ops" | "workgroups" | "flops" | "phase">;

/** A tensor that goes through memory between two kernels, and why the reader was not fused into the writer. */
export interface EdgeReport {
  readonly from: string;
  readonly to: string;
  readonly op: string;
  readonly bytes: number;
  readonly reason: string;
  readonly detail: string;
}

/** A node that a kernel could compute, and does not because that was measured to be slower. */
export interface ApartReport {
  readonly op: string;
  readonly shape: readonly number[];
  readonly detail: string;
}

/** What a program becomes: its kernels, what passes between them and why they are several. */
export interface ExplainReport {
  /** Lines before the table: assumed sizes, for one. */
  readonly notes: readonly string[];
  readonly graphOps: number;
  /** Kernels that run every time. */
  readonly kernels: readonly KernelReport[];
  /** Kernels that run once at load. */
  readonly setup: readonly KernelReport[];
  readonly edges: readonly EdgeReport[];
  /** Fusions that a tuning table speaks against. */
  readonly apart: readonly ApartReport[];
  readonly totals: {
    /** Those that share a dispatch counted one by one. */
    readonly kernels: number;
    readonly dispatches: number;
    readonly setupKernels: number;
    readonly bytesMoved: number;
    readonly bytesSaved: number;
  };
  readonly text: string;
  toString(): string;
}

const computes = (n: Node): boolean => {
  const row = rowOf(n.op);
  return row.elementwise !== undefined || !["leaf", "view"].includes(row.kind) || n.op === "pad" || n.op === "concat";
};

/** Nodes a region evaluates: its members and what they pull in. */
export function evaluated(region: Region): Node[] {
  const inputs = new Set(region.inputs);
  const seen = new Set<Node>();
  const out: Node[] = [];
  const visit = (n: Node): void => {
    if (seen.has(n) || inputs.has(n) || isStored(n)) return;
    seen.add(n);
    n.args.forEach(visit);
    if (computes(n)) out.push(n);
  };
  region.outputs.forEach(visit);
  return out.sort((a, b) => a.id - b.id);
}

/** A kernel as the report shows it: what shares a dispatch has parts, in the order of the regions. */
interface Written {
  readonly variant: string;
  readonly workgroups: readonly number[];
  readonly parts?: readonly Written[];
}

export function reportKernel(bundle: Bundle, name: string, kernel: Written, phaseOf: (n: Node) => Phase): KernelReport {
  const nodes = bundle.flatMap(evaluated);
  const traffic = (n: Node): TensorTraffic => ({ name: nameOf(n), bytes: bytesOf(n) });
  const reads = [...new Set(bundle.flatMap((r) => r.inputs))].map(traffic);
  const writes = bundle.flatMap((r) => r.outputs).map(traffic);
  const sum = (list: readonly TensorTraffic[]): number => list.reduce((s, t) => s + t.bytes, 0);
  const apart = nodes.reduce(
    (s, n) => s + bytesOf(n) + n.args.reduce((p, a) => p + (a.op === "const" ? 0 : bytesOf(a)), 0),
    0,
  );
  const at = bundle.flatMap((r) => [...r.anchors, ...r.members]).find((n) => n.place)?.place;
  const families = new Set(bundle.map((r) => r.family));
  const part = (r: Region, { variant, workgroups }: Written): KernelPart => ({
    ...{ family: r.family, variant, workgroups },
    ...{ ops: evaluated(r).map(opName), flops: flopsOf(r), phase: phaseOfBundle([r], phaseOf) },
  });
  return {
    name,
    family: families.size === 1 ? (bundle[0] as Region).family : "bundle",
    variant: kernel.variant,
    ops: nodes.map(opName),
    ...(kernel.parts && { parts: kernel.parts.map((k, i) => part(bundle[i] as Region, k)) }),
    reads,
    writes,
    bytesRead: sum(reads),
    bytesWritten: sum(writes),
    bytesSaved: Math.max(0, apart - sum(reads) - sum(writes)),
    workgroups: kernel.workgroups,
    flops: bundle.reduce((n, r) => n + flopsOf(r), 0),
    phase: phaseOfBundle(bundle, phaseOf),
    ...(at ? { place: `${at.file}:${at.line}` } : {}),
  };
}

/** What people call what a node does. */
export const opName = (n: Node): string => (n.op === "wgsl" ? `wgsl:${n.attrs.name}` : n.op);

const nameOf = (n: Node): string => (n.op === "input" ? (n.attrs.name as string) : `%${n.id}`);

const starts: Readonly<Record<string, string>> = {
  contraction: "a contraction reads whole rows and columns of its operands: they must be complete before it starts",
  attention: "attention reads every key and value for each query: they must be complete before it starts",
  row: "a reduction reads whole rows of its operand: they must be complete before it starts",
  scan: "a scan reads a whole line of its operand: it must be complete before it starts",
  scatter: "a scatter reads every update for each element: they must be complete before it starts",
  opaque: "a kernel in WGSL of your own reads whole tensors: they must be complete before it starts",
  pointwise: "stored for several readers: computing it again would move more bytes",
};

export function reportEdges(
  bundles: readonly Bundle[],
  names: readonly string[],
  refusals: ReadonlyMap<Node, Refusal>,
): EdgeReport[] {
  const writer = new Map<Node, number>();
  const regions = bundles.flatMap((bundle, i) => bundle.map((r) => [r, i] as const));
  for (const [r, i] of regions) for (const n of r.outputs) writer.set(n, i);
  return regions.flatMap(([r, i]) =>
    r.inputs.flatMap((n) => {
      const writers = new Set((writer.has(n) ? [n] : storesOf(n)).flatMap((s) => writer.get(s) ?? []));
      writers.delete(i);
      if (writers.size === 0) return [];
      const reader = firstReader(r, n);
      const refusal = r.family === "opaque" ? undefined : (refusals.get(reader) ?? refusals.get(n));
      return [...writers].map((from) => ({
        from: names[from] as string,
        to: names[i] as string,
        op: opName(reader),
        bytes: bytesOf(n),
        reason: refusal?.reason ?? (r.family === "pointwise" ? "shared" : "whole-operand"),
        detail: refusal?.detail ?? (starts[r.family] as string),
      }));
    }),
  );
}

/** The node of the region that reads `n`, through views where it does. */
function firstReader(region: Region, n: Node): Node {
  const nodes = evaluated(region);
  const reaches = (a: Node): boolean => a === n || (rowOf(a.op).kind === "view" && a.args.some(reaches));
  return nodes.find((m) => m.args.some(reaches)) ?? (region.members[0] as Node);
}

export function makeReport(data: Omit<ExplainReport, "totals" | "text" | "toString">): ExplainReport {
  const all = [...data.setup, ...data.kernels];
  const totals = {
    kernels: data.kernels.reduce((n, k) => n + (k.parts?.length ?? 1), 0),
    dispatches: data.kernels.length,
    setupKernels: data.setup.length,
    bytesMoved: data.kernels.reduce((s, k) => s + k.bytesRead + k.bytesWritten, 0),
    bytesSaved: all.reduce((s, k) => s + k.bytesSaved, 0),
  };
  const text = render(data, totals);
  return { ...data, totals, text, toString: () => text };
}

const size = (n: number): string =>
  n < 1024 ? `${n} B` : n < 1024 ** 2 ? `${(n / 1024).toFixed(1)} KiB` : `${(n / 1024 ** 2).toFixed(1)} MiB`;

function render(data: Omit<ExplainReport, "totals" | "text" | "toString">, totals: ExplainReport["totals"]): string {
  const header = ["kernel", "family", "ops", "reads", "writes", "saved"];
  const row = (k: KernelReport): string[] => [
    k.name,
    k.variant,
    (k.parts ?? [k]).map((part) => shorten(part.ops)).join(" | "),
    size(k.bytesRead),
    size(k.bytesWritten),
    size(k.bytesSaved),
  ];
  const body = [...data.setup.map((k) => row(k)), ...data.kernels.map((k) => row(k))];
  const widths = header.map((h, c) => Math.max(h.length, ...body.map((r) => (r[c] as string).length)));
  const line = (cells: readonly string[]): string =>
    cells
      .map((t, c) => (c < 3 ? t.padEnd(widths[c] as number) : t.padStart(widths[c] as number)))
      .join("  ")
      .trimEnd();
  const shared = totals.dispatches < totals.kernels ? ` in ${totals.dispatches} dispatches` : "";
  const once = data.setup.length ? ` and ${data.setup.length} once at load` : "";
  return [
    ...data.notes,
    `${data.graphOps} ops → ${totals.kernels} ${totals.kernels === 1 ? "kernel" : "kernels"}${shared} a run${once}; ${size(totals.bytesMoved)} moved, ${size(totals.bytesSaved)} saved`,
    "",
    line(header),
    ...body.map(line),
    ...(data.edges.length ? ["", "not fused:"] : []),
    ...data.edges.map((e) => `  ${e.from} → ${e.to} (${size(e.bytes)}, at ${e.op}) ${e.reason}: ${e.detail}`),
    ...(data.apart.length ? ["", "not fused, as measured:"] : []),
    ...data.apart.map((a) => `  ${a.op} [${a.shape.join(", ")}]: ${a.detail}`),
    "",
  ].join("\n");
}

function shorten(ops: readonly string[]): string {
  const runs: { op: string; n: number }[] = [];
  for (const op of ops) {
    const last = runs[runs.length - 1];
    if (last?.op === op) last.n++;
    else runs.push({ op, n: 1 });
  }
  const text = runs.map((r) => (r.n > 1 ? `${r.op}×${r.n}` : r.op)).join(" ");
  return text.length > 72 ? `${text.slice(0, 69)}…` : text;
}
