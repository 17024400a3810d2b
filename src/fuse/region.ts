import type { Node } from "../ir/graph.ts";

export type Family = "pointwise" | "row" | "contraction" | "attention" | "scan" | "scatter";

/**
 * What becomes one kernel: the nodes computed in it, what it reads from memory and what it writes. Producers that are
 * in no region (views, constants, cheap elementwise nodes) are computed again wherever they are read.
 */
export interface Region {
  readonly id: number;
  readonly family: Family;
  /** Iteration space: the result's shape, or the operand's shape for the row family. */
  readonly space: readonly number[];
  /** Row family: reduced axes of `space`, ascending. */
  readonly axes: readonly number[];
  /** Reductions, or the contraction, attention, scan or scatter that the region is built around; topological order. */
  readonly anchors: readonly Node[];
  /** Every node computed here, anchors included, pulled producers excluded. */
  readonly members: readonly Node[];
  /** Nodes stored, in topological order. */
  readonly outputs: readonly Node[];
  /** Nodes loaded from buffers: graph inputs, literals and outputs of other regions. */
  readonly inputs: readonly Node[];
}
