import { compileGraph, type Inspected } from "./compiler.ts";
import type { Graph } from "./ir/graph.ts";
import type { Capabilities } from "./manifest/manifest.ts";
import type { TuningTable } from "./manifest/tuning.ts";
import type { Trial } from "./tune/fusions.ts";

/** What a table makes of a program, each kernel a dispatch of its own. */
export function trialOf(graph: Graph, capabilities: Capabilities, tuning: TuningTable): Trial {
  let seen: Inspected | undefined;
  const inspect = (planned: Inspected): void => {
    seen = planned;
  };
  const { manifest } = compileGraph(graph, capabilities, { tuning, inspect, bundles: false });
  const { setup, main, fusions } = seen as unknown as Inspected;
  return { manifest, bound: [...setup, ...main], fusions };
}
