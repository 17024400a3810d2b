import { tensorBytes } from "../../src/base/dtype.ts";
import type { ExplainReport, KernelReport } from "../../src/fuse/explain.ts";
import type { Graph } from "../../src/ir/graph.ts";

/** Bytes that a run moves against the least that any kernels must: every input read once, every output written once. */
export interface Traffic {
  readonly moved: number;
  readonly floor: number;
}

/** @param graph with concrete shapes */
export function trafficOf(graph: Graph, report: ExplainReport): Traffic {
  const bytes = (n: Graph["inputs"][number]): number =>
    tensorBytes(
      n.type.dtype,
      (n.type.shape as readonly number[]).reduce((a, b) => a * b, 1),
    );
  const outputs = new Set(graph.outputs.map((o) => o.node));
  const floor = [...graph.inputs, ...outputs].reduce((sum, n) => sum + bytes(n), 0);
  return { moved: report.totals.bytesMoved, floor };
}

/** `6.0 MiB moved, 1.00 × the floor of 6.0 MiB` */
export function trafficText({ moved, floor }: Traffic): string {
  const times = floor === 0 ? "" : `${(moved / floor).toFixed(2)} × `;
  return `${bytesText(moved)} moved, ${times}the floor of ${bytesText(floor)}`;
}

const units = ["B", "KiB", "MiB", "GiB", "TiB"];

/** `1.5 MiB` */
export function bytesText(n: number): string {
  const unit = n < 1024 ? 0 : Math.min(units.length - 1, Math.floor(Math.log2(n) / 10));
  return `${unit === 0 ? n : (n / 1024 ** unit).toFixed(1)} ${units[unit]}`;
}

/** A report as data: without its text. */
export function reportData(report: ExplainReport): object {
  const { graphOps, kernels, setup, edges, totals } = report;
  const plain = (list: readonly KernelReport[]): object[] => list.map((k) => ({ ...k }));
  return { graphOps, kernels: plain(kernels), setup: plain(setup), edges, totals };
}
