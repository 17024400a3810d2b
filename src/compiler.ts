import { fail } from "./base/diagnostic.ts";
import { type ExplainReport, evaluated, makeReport, opName, reportEdges, reportKernel } from "./fuse/explain.ts";
import { type FuseResult, fuse } from "./fuse/fuse.ts";
import type { FuseMode } from "./fuse/fuser.ts";
import { legalise } from "./fuse/legalise.ts";
import type { Region } from "./fuse/region.ts";
import { regionKey } from "./fuse/region-key.ts";
import { splitSetup } from "./fuse/setup.ts";
import { flopsOf, phaseOfRegion } from "./fuse/work.ts";
import { isConcrete, shapeText } from "./ir/dim.ts";
import type { Graph } from "./ir/graph.ts";
import { phasesOf } from "./ir/phase.ts";
import type { Capabilities, Manifest } from "./manifest/manifest.ts";
import { alignRows } from "./passes/align-rows.ts";
import { optimise } from "./passes/pipeline.ts";
import { splitProducts } from "./passes/split-products.ts";
import type { Bound } from "./plan/bind.ts";
import { manifestOf, plan, type Step } from "./plan/plan.ts";
import type { Kernel } from "./wgsl/kernel.ts";
import { writeKernel } from "./wgsl/write.ts";

export interface CompileOptions {
  /** Default `profit`. */
  readonly fuse?: FuseMode;
  /** Bytes to leave free behind every tensor, so that a device that checks memory finds what writes there. */
  readonly guard?: number;
}

export interface Compiled {
  readonly manifest: Manifest;
  readonly report: ExplainReport;
}

/**
 * Compiles a graph with concrete shapes for a device: rewrite, fuse, write kernels, plan.
 * @throws SinterError `unbound-dim` for a symbolic shape, `tensor-too-large` where a tensor exceeds a binding.
 */
export function compileGraph(graph: Graph, capabilities: Capabilities, options: CompileOptions = {}): Compiled {
  for (const n of graph.nodes) {
    if (!isConcrete(n.type.shape)) {
      fail("unbound-dim", `${n.op} has the shape ${shapeText(n.type.shape)}`, {
        ...(n.place ? { place: n.place } : {}),
        hint: "bind every dim before compiling: load(gpu, { dims: { … } })",
      });
    }
  }
  const mode = options.fuse ?? "profit";
  const limit = capabilities.limits.maxStorageBuffersPerShaderStage;
  const { maxStorageBufferBindingSize, maxBufferSize } = capabilities.limits;
  const largestBinding = Math.min(maxStorageBufferBindingSize, maxBufferSize);
  const legal = legalise(
    splitProducts(alignRows(optimise(graph, { largestBinding }), capabilities), capabilities),
    limit,
  );
  const split = splitSetup(legal);
  const parts = { setup: split.setup, main: legalise(split.main, limit) };
  const once = parts.setup.outputs.length ? fuse(parts.setup, capabilities, mode) : undefined;
  const each = fuse(parts.main, capabilities, mode);
  const planned = plan({
    graph: legal,
    parts,
    setup: once ? withElements(once) : [],
    main: withElements(each),
    capabilities,
    guard: options.guard ?? 0,
  });
  const setup = steps(planned.setup, capabilities);
  const main = steps(planned.main, capabilities);
  const manifest = manifestOf(planned, setup, main);
  const phaseOf = phasesOf(parts.main);
  const names = (list: readonly Step[], prefix: string): string[] => list.map((_, i) => `${prefix}${i}`);
  const kernels = (list: readonly Step[], prefix: string) =>
    list.map((s, i) => ({
      ...reportKernel(s.region, `${prefix}${i}`, s.kernel.variant, s.kernel.workgroups),
      phase: phaseOfRegion(s.region, phaseOf),
      flops: flopsOf(s.region),
    }));
  const report = makeReport({
    notes: [],
    graphOps: graph.nodes.filter((n) => n.op !== "input").length,
    kernels: kernels(main, "k"),
    setup: kernels(setup, "s"),
    edges: reportEdges(
      main.map((s) => s.region),
      names(main, "k"),
      each.refusals,
    ),
  });
  return { manifest, report };
}

const withElements = ({ regions }: FuseResult): Region[] =>
  regions.filter((r) => r.outputs.some((n) => n.type.shape.every((d) => d !== 0)));

function steps(list: readonly Bound[], capabilities: Capabilities): Step[] {
  const written = new Map<string, Kernel>();
  const write = (region: Region): Kernel => {
    const key = regionKey(region);
    const known = written.get(key);
    if (known) return known;
    const kernel = writeKernel(region, capabilities);
    written.set(key, kernel);
    return kernel;
  };
  return list.map((bound) => ({
    ...bound,
    kernel: write(bound.region),
    label: `${bound.region.family}: ${evaluated(bound.region).map(opName).join(" ")}`,
  }));
}
