import { compileGraph } from "../../src/compiler.ts";
import type { Graph } from "../../src/ir/graph.ts";
import { rows } from "../../src/ir/ops.ts";
import type { Capabilities, Manifest } from "../../src/manifest/manifest.ts";
import { programs } from "../support/programs.ts";
import { rowGraphs } from "../support/row-graphs.ts";

export interface GraphCase {
  readonly name: string;
  readonly graph: Graph;
}

/** A small program for every row of the op table and every dtype it takes. */
export const rowCases: readonly GraphCase[] = rows.flatMap((row) =>
  rowGraphs(row).map((graph) => ({
    name: `${row.name}(${graph.inputs.map((n) => `${n.type.dtype}[${n.type.shape}]`).join(", ")})`,
    graph,
  })),
);

/** Every program whose kernels the tests of this folder look at. */
export const everyCase: readonly GraphCase[] = [...programs, ...rowCases];

export type FuseMode = "profit" | "legal" | "off";

export interface CompiledCase {
  /** The program's name, with the mode. */
  readonly name: string;
  readonly graph: Graph;
  readonly manifest: Manifest;
}

/** Compiles programs for a device; nothing is kept, so that a run over all of them stays small. */
export function* compiledFor(
  capabilities: Capabilities,
  cases: readonly GraphCase[] = everyCase,
  modes: readonly FuseMode[] = ["profit"],
): Generator<CompiledCase> {
  for (const { name, graph } of cases) {
    for (const fuse of modes) {
      yield { name: `${name} (${fuse})`, graph, manifest: compileGraph(graph, capabilities, { fuse }).manifest };
    }
  }
}
