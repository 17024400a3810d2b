import { expect } from "vitest";
import { halfRound } from "../../src/base/half.ts";
import { compileGraph } from "../../src/compiler.ts";
import { fuse } from "../../src/fuse/fuse.ts";
import type { FuseMode } from "../../src/fuse/fuser.ts";
import { legalise } from "../../src/fuse/legalise.ts";
import type { Region } from "../../src/fuse/region.ts";
import type { Graph } from "../../src/ir/graph.ts";
import { interpret } from "../../src/ir/interpret.ts";
import { count, type NDArray, ndarray } from "../../src/ir/ndarray.ts";
import { kernelKey } from "../../src/manifest/key.ts";
import type { Capabilities, KernelSpec, Manifest } from "../../src/manifest/manifest.ts";
import { optimise } from "../../src/passes/pipeline.ts";
import type { Gpu } from "../../src/runtime/gpu.ts";
import { profiles } from "../../src/runtime/profiles.ts";
import { loadManifest } from "../../src/runtime/session.ts";
import { writeRow } from "../../src/wgsl/row.ts";
import type { RowSchedule } from "../../src/wgsl/row-schedule.ts";
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

/**
 * Compiles a program for a device of these capabilities, expects exactly these kernel variants, and holds the results
 * against the interpreter, and to the bit against those of a second run in poisoned memory.
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
  const first = await runOnce(gpu, manifest, inputs);
  const again = await runPoisoned(gpu, manifest, inputs);
  if (tolerance === undefined) {
    for (const [name, bound] of Object.entries(errorBounds(graph, inputs))) {
      expect(knownShare(bound), `${name}: share of elements of which a bound is known`).toBe(1);
      expect(outside(first[name] as NDArray, bound), name).toBeUndefined();
    }
  } else {
    for (const [name, expected] of Object.entries(interpret(graph, inputs))) {
      expect(relativeError(first[name] as NDArray, expected), name).toBeLessThanOrEqual(tolerance);
    }
  }
  expect(again, "a second run, in poisoned memory").toEqual(first);
}

async function runOnce(gpu: Gpu, manifest: Manifest, inputs: Inputs): Promise<Record<string, NDArray>> {
  const given = (ports: Manifest["inputs"]) =>
    Object.fromEntries(ports.map((p) => [p.name, hostData(p.dtype, (inputs[p.name] as NDArray).data)]));
  const session = await loadManifest(gpu, manifest, { weights: given(manifest.weights), state: given(manifest.state) });
  try {
    const values: Record<string, NDArray> = {};
    for (const [name, t] of Object.entries(await session.run(given(manifest.inputs), { read: true }))) {
      values[name] = ndarray(t.dtype, t.shape, await t.data());
      t.dispose();
    }
    return values;
  } finally {
    session.dispose();
  }
}

/** The program's only kernel, a row kernel, written for another schedule than the device would get. */
export function withRowSchedule(graph: Graph, capabilities: Capabilities, schedule: RowSchedule): Manifest {
  const { manifest } = compileGraph(graph, capabilities, { fuse: "legal" });
  const legal = legalise(optimise(graph), capabilities.limits.maxStorageBuffersPerShaderStage);
  const { regions } = fuse(legal, capabilities, "legal");
  expect([regions.length, manifest.kernels.length, manifest.dispatches.length]).toEqual([1, 1, 1]);
  const { wgsl, workgroupSize, workgroups, requires } = writeRow(regions[0] as Region, capabilities, schedule);
  const spec = { ...(manifest.kernels[0] as KernelSpec), wgsl, workgroupSize, requires };
  return {
    ...manifest,
    kernels: [{ ...spec, key: kernelKey(spec) }],
    dispatches: manifest.dispatches.map((d) => ({ ...d, workgroups })),
  };
}
