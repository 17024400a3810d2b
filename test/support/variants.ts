import { expect } from "vitest";
import { halfRound } from "../../src/base/half.ts";
import { compileGraph } from "../../src/compiler.ts";
import type { FuseMode } from "../../src/fuse/fuse.ts";
import type { Graph } from "../../src/ir/graph.ts";
import { interpret } from "../../src/ir/interpret.ts";
import { count, type NDArray, ndarray } from "../../src/ir/ndarray.ts";
import type { Capabilities, Manifest } from "../../src/manifest/manifest.ts";
import type { Gpu } from "../../src/runtime/gpu.ts";
import { profiles } from "../../src/runtime/profiles.ts";
import { loadManifest } from "../../src/runtime/session.ts";
import { errorBounds, knownShare, outside } from "./error-bounds.ts";
import { hostData } from "./gpu.ts";
import { runPoisoned } from "./poisoned-run.ts";
import { randomOf } from "./values.ts";

export type Inputs = Readonly<Record<string, NDArray>>;

export interface Hardware {
  /** Use this feature where the device has it; by default neither is used. */
  readonly f16?: boolean;
  readonly subgroups?: boolean;
  readonly limits?: Partial<Capabilities["limits"]>;
}

/**
 * Capabilities for which the kernel writer takes the variants of real GPUs, though this device is a software adapter:
 * WebGPU's default limits, so that the kernels are the same on every adapter.
 */
export function hardware(gpu: Gpu, { f16 = false, subgroups = false, limits = {} }: Hardware = {}): Capabilities {
  const { features, subgroupMinSize, subgroupMaxSize } = gpu.capabilities;
  return {
    name: "as a GPU",
    features: { f16: f16 && features.f16, subgroups: subgroups && features.subgroups },
    subgroupMinSize,
    subgroupMaxSize,
    software: false,
    limits: { ...profiles.base.limits, ...limits },
  };
}

const ranges = { f32: [-1, 1], f16: [-1, 1], i32: [-8, 9], u32: [0, 16], bool: [0, 2] } as const;

/** Values for every input of a graph, the same ones each time; `ranges` of [low, high) by name. */
export function variantInputs(graph: Graph, own: Readonly<Record<string, readonly [number, number]>> = {}): Inputs {
  const random = randomOf(graph.nodes.length);
  return Object.fromEntries(
    graph.inputs.map((n) => {
      const { dtype } = n.type;
      const shape = n.type.shape as readonly number[];
      const [low, high] = own[n.attrs.name as string] ?? ranges[dtype];
      const data = Float64Array.from({ length: count(shape) }, () => {
        const x = low + random() * (high - low);
        return dtype === "f32" ? Math.fround(x) : dtype === "f16" ? halfRound(x) : Math.floor(x);
      });
      return [n.attrs.name as string, { dtype, shape, data }] as const;
    }),
  );
}

/**
 * Largest difference, relative to 1 or the value where that is larger; NaN and the infinities must be the same. For
 * programs whose error analysis knows too little.
 */
function relativeError(actual: NDArray, expected: NDArray): number {
  expect([actual.dtype, actual.shape]).toEqual([expected.dtype, expected.shape]);
  let worst = 0;
  expected.data.forEach((e, i) => {
    const a = actual.data[i] as number;
    if (Object.is(a, e) || a === e) return;
    const d = Math.abs(a - e) / Math.max(1, Math.abs(e));
    worst = d <= worst ? worst : Number.isNaN(d) ? Number.POSITIVE_INFINITY : d;
  });
  return worst;
}

export interface VariantCheck {
  readonly graph: Graph;
  readonly inputs?: Inputs;
  readonly fuse?: FuseMode;
  /** Instead of the bounds that the error analysis of the graph gives. */
  readonly tolerance?: number;
}

/** The variants of a compiled program's kernels, in order. */
export function variantsOf(graph: Graph, capabilities: Capabilities, fuse: FuseMode = "profit"): string[] {
  return compileGraph(graph, capabilities, { fuse }).report.kernels.map((k) => k.variant);
}

/**
 * Compiles a program for a device of these capabilities, expects exactly these kernel variants, and holds the results of
 * a run, of a second one and of one in poisoned memory against the interpreter and against each other.
 */
export async function checkVariants(
  gpu: Gpu,
  capabilities: Capabilities,
  variants: readonly string[],
  check: VariantCheck,
): Promise<Manifest> {
  const { manifest, report } = compileGraph(check.graph, capabilities, { fuse: check.fuse ?? "profit" });
  expect(report.kernels.map((k) => k.variant)).toEqual(variants);
  await checkManifest(gpu, manifest, check);
  return manifest;
}

/** The second half of {@link checkVariants}, for a manifest made in another way. */
export async function checkManifest(gpu: Gpu, manifest: Manifest, check: VariantCheck): Promise<void> {
  const { graph, tolerance, inputs = variantInputs(graph) } = check;
  const [first, second] = await runTwice(gpu, manifest, inputs);
  const poisoned = await runPoisoned(gpu, manifest, inputs);
  if (tolerance === undefined) {
    for (const [name, bound] of Object.entries(errorBounds(graph, inputs))) {
      expect(knownShare(bound), `${name}: share of elements of which a bound is known`).toBe(1);
      expect(outside(first?.[name] as NDArray, bound), name).toBeUndefined();
    }
  } else {
    for (const [name, expected] of Object.entries(interpret(graph, inputs))) {
      expect(relativeError(first?.[name] as NDArray, expected), name).toBeLessThanOrEqual(tolerance);
    }
  }
  expect(second, "a second run").toEqual(first);
  expect(poisoned, "a run in poisoned memory").toEqual(first);
}

async function runTwice(gpu: Gpu, manifest: Manifest, inputs: Inputs): Promise<Record<string, NDArray>[]> {
  const given = (ports: Manifest["inputs"]) =>
    Object.fromEntries(ports.map((p) => [p.name, hostData(p.dtype, (inputs[p.name] as NDArray).data)]));
  const session = await loadManifest(gpu, manifest, { weights: given(manifest.weights), state: given(manifest.state) });
  try {
    const runs: Record<string, NDArray>[] = [];
    for (let i = 0; i < 2; i++) {
      const values: Record<string, NDArray> = {};
      for (const [name, t] of Object.entries(await session.run(given(manifest.inputs), { read: true }))) {
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
