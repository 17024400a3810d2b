import { compileGraph } from "../../src/compiler.ts";
import type { FuseMode } from "../../src/fuse/fuser.ts";
import type { Graph } from "../../src/ir/graph.ts";
import { type NDArray, ndarray } from "../../src/ir/ndarray.ts";
import type { Manifest } from "../../src/manifest/manifest.ts";
import type { Gpu } from "../../src/runtime/gpu.ts";
import { loadManifest } from "../../src/runtime/session.ts";
import { type Bounded, errorBounds, outside } from "../support/error-bounds.ts";
import { hostData } from "../support/gpu.ts";
import { runPoisoned } from "../support/poisoned-run.ts";

export type Inputs = Readonly<Record<string, NDArray>>;

/** Loads a compiled graph and runs it `times` times on the same inputs. */
export async function runManifest(
  gpu: Gpu,
  manifest: Manifest,
  inputs: Inputs,
  times = 1,
): Promise<Record<string, NDArray>[]> {
  const given = (ports: Manifest["inputs"]) =>
    Object.fromEntries(ports.map((p) => [p.name, hostData(p.dtype, (inputs[p.name] as NDArray).data)]));
  const session = await loadManifest(gpu, manifest, { weights: given(manifest.weights), state: given(manifest.state) });
  try {
    const runs: Record<string, NDArray>[] = [];
    for (let i = 0; i < times; i++) {
      const out = await session.run(given(manifest.inputs), { read: true });
      const values: Record<string, NDArray> = {};
      for (const [name, t] of Object.entries(out)) {
        values[name] = ndarray(t.dtype, t.shape, await t.data());
        t.dispose();
      }
      runs.push(values);
    }
    return runs;
  } finally {
    session.dispose();
  }
}

/** One way of compiling a graph for the device at hand. */
export interface Build {
  readonly fuse: FuseMode;
  /** Kernels as for a GPU on a software adapter, and the reverse: they differ in their use of workgroup memory. */
  readonly otherKind?: boolean;
}
const everyBuild: readonly Build[] = [{ fuse: "legal" }, { fuse: "legal", otherKind: true }, { fuse: "off" }];

function compiledFor(gpu: Gpu, graph: Graph, { fuse, otherKind = false }: Build): Manifest {
  const own = gpu.capabilities;
  const software = own.software !== otherKind;
  // Independent kernels share dispatches where they can.
  return compileGraph(graph, { ...own, software }, { fuse, bundles: !software && fuse !== "off" }).manifest;
}

export interface CheckOptions {
  /** Compare with this instead of the interpreter's value of the graph itself. */
  readonly bounds?: Readonly<Record<string, Bounded>>;
  readonly builds?: readonly Build[];
  /** Also run twice and in poisoned memory, and ask for the same bits. */
  readonly bits?: boolean;
}

/**
 * Runs a graph fused and unfused and holds each result against the interpreter: within the ops' accumulated error, and to the bit
 * where every evaluation order gives the same number. Gives what is wrong, or undefined.
 */
export async function wrongResult(
  gpu: Gpu,
  graph: Graph,
  inputs: Inputs,
  options: CheckOptions = {},
): Promise<string | undefined> {
  const { bounds = errorBounds(graph, inputs), builds = everyBuild, bits = true } = options;
  for (const build of builds) {
    const manifest = compiledFor(gpu, graph, build);
    const how = `fuse ${build.fuse}${build.otherKind ? ", kernels of the other kind of adapter" : ""}`;
    const [first, second] = await runManifest(gpu, manifest, inputs, bits ? 2 : 1);
    for (const [name, bound] of Object.entries(bounds)) {
      const wrong = outside(first?.[name] as NDArray, bound);
      if (wrong) return `${how}: ${name}: ${wrong}`;
    }
    if (!bits) continue;
    const poisoned = await runPoisoned(gpu, manifest, inputs);
    for (const name of Object.keys(bounds)) {
      const once = first?.[name] as NDArray;
      const again = differing(once, second?.[name] as NDArray);
      if (again !== undefined) return `${how}: ${name}: element ${again} differs from run to run`;
      const guarded = differing(once, poisoned[name] as NDArray);
      if (guarded !== undefined) {
        return `${how}: ${name}: element ${guarded} differs in poisoned memory: something reads what nobody wrote`;
      }
    }
  }
  return undefined;
}

/** The first element that differs, NaNs being all alike. */
function differing(a: NDArray, b: NDArray): number | undefined {
  const at = a.data.findIndex((x, i) => !Object.is(x, b.data[i]));
  return at < 0 ? undefined : at;
}
