import type { Node } from "../ir/graph.ts";
import type { Access } from "../manifest/manifest.ts";

export type Family = "pointwise" | "row" | "contraction" | "attention" | "scan" | "scatter" | "opaque";

/** How one tensor reaches a kernel: through one binding, or consecutive ones where it is larger than a binding may be. */
export interface Slot {
  /** Loaded through the binding. */
  readonly input?: Node;
  /**
   * Stored through it. Together with `input`: in its place, where each element is written by the invocation that reads
   * it, after it has read it.
   */
  readonly output?: Node;
  readonly access: Access;
  /** Elements of each part but the last, a multiple of 64, where the tensor takes several bindings. */
  readonly part?: number;
  /** It may begin at any element, so that no vectors are loaded from it. */
  readonly anywhere?: boolean;
}

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
  /** How its tensors are bound, once that is planned; inputs then outputs, each by itself, before. */
  readonly slots?: readonly Slot[];
  /**
   * The text is to hold for other sizes too, as numbers in it are replaced: structure may not follow from how sizes divide.
   * Scalar inputs are words of the argument block, and tensors may begin anywhere in their bindings.
   */
  readonly uniform?: Agreement;
}

/** Regions that one dispatch computes, mostly one: none of them needs what another computes. */
export type Bundle = readonly Region[];

/** How the texts of one kernel at several sizes come to one structure. */
export interface Agreement {
  /** Whether it holds at all of the sizes. */
  always(holds: boolean): boolean;
  /** The least of the sizes' numbers. */
  least(n: number): number;
  /** What the sizes that the schedule is for have under this key. */
  settled<T>(key: string, value: T): T;
}

/** The bindings of a region: as planned, or inputs then outputs, each by itself. */
export const slotsOf = (r: Region): readonly Slot[] =>
  r.slots ?? [
    ...r.inputs.map((input) => ({ input, access: "read" as const })),
    ...r.outputs.map((output) => ({ output, access: "read_write" as const })),
  ];
