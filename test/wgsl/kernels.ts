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

/** Compiles programs for a device one after the other; `failed` hears of those that do not compile. */
export function* compiledFor(
  capabilities: Capabilities,
  options: {
    readonly cases?: readonly GraphCase[];
    readonly modes?: readonly FuseMode[];
    readonly failed?: (problem: string) => void;
  } = {},
): Generator<CompiledCase> {
  const { cases = everyCase, modes = ["profit"], failed } = options;
  for (const { name, graph } of cases) {
    for (const fuse of modes) {
      const title = `${name} (${fuse})`;
      let manifest: Manifest;
      try {
        manifest = compileGraph(graph, capabilities, { fuse }).manifest;
      } catch (e) {
        if (!failed) throw e;
        failed(`${title}: ${(e as Error).stack}`);
        continue;
      }
      yield { name: title, graph, manifest };
    }
  }
}
