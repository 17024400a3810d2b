import { fail } from "./base/diagnostic.ts";
import {
  type ApartReport,
  type ExplainReport,
  evaluated,
  makeReport,
  opName,
  reportEdges,
  reportKernel,
} from "./fuse/explain.ts";
import { type FuseResult, fuse } from "./fuse/fuse.ts";
import type { FuseMode } from "./fuse/fuser.ts";
import { legalise } from "./fuse/legalise.ts";
import { isFewRows } from "./fuse/prologue.ts";
import { shapeOf } from "./fuse/pull.ts";
import type { Bundle, Region } from "./fuse/region.ts";
import { regionKey } from "./fuse/region-key.ts";
import { splitSetup } from "./fuse/setup.ts";
import { signatureOf } from "./fuse/signature.ts";
import { isConcrete, shapeText } from "./ir/dim.ts";
import type { Graph, Node } from "./ir/graph.ts";
import { phasesOf } from "./ir/phase.ts";
import type { Capabilities, Manifest } from "./manifest/manifest.ts";
import type { TuningTable } from "./manifest/tuning.ts";
import { alignRows } from "./passes/align-rows.ts";
import { halfProducts } from "./passes/half-products.ts";
import { halveOperands } from "./passes/halve-operands.ts";
import { optimise } from "./passes/pipeline.ts";
import { splitColumns } from "./passes/split-columns.ts";
import { splitProducts } from "./passes/split-products.ts";
import type { Bound, BoundRegion } from "./plan/bind.ts";
import { allowed, chooseBundles } from "./plan/bundles.ts";
import { manifestOf, type Plan, type PlanInput, plan, type Step } from "./plan/plan.ts";
import { bundleKernels } from "./wgsl/bundle.ts";
import type { Kernel } from "./wgsl/kernel.ts";
import { writeKernel } from "./wgsl/write.ts";

export interface CompileOptions {
  /** Default `profit`. */
  readonly fuse?: FuseMode | undefined;
  /** Let independent kernels share a dispatch where together they fill a GPU better. Default: with `profit`, but for CPU adapters. */
  readonly bundles?: boolean | undefined;
  /** False gives every tensor a buffer of its own, for measurements. */
  readonly arenas?: boolean;
  /** Measurements to choose kernels' variants and fusions by. */
  readonly tuning?: TuningTable | undefined;
  /** Gets what is planned, for measurements. */
  readonly inspect?: (planned: Inspected) => void;
  /** Bytes to leave free behind every tensor, so that a device that checks memory finds what writes there. */
  readonly guard?: number;
}

/** The kernels of a program before they are written, and the fusions that a tuning table can decide: was each made? */
export interface Inspected {
  readonly setup: readonly BoundRegion[];
  readonly main: readonly BoundRegion[];
  readonly fusions: ReadonlyMap<string, boolean>;
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
    halveOperands(
      splitProducts(
        alignRows(
          halfProducts(splitColumns(optimise(graph, { largestBinding }), capabilities), capabilities),
          capabilities,
        ),
        capabilities,
      ),
      capabilities,
    ),
    limit,
  );
  const split = splitSetup(legal, { readsOnce: (n) => mode !== "off" && isFewRows(n, capabilities) });
  const parts = { setup: split.setup, main: legalise(split.main, limit) };
  const once = parts.setup.outputs.length ? fuse(parts.setup, capabilities, mode, options.tuning) : undefined;
  const each = fuse(parts.main, capabilities, mode, options.tuning);
  const input: PlanInput = {
    graph: legal,
    parts,
    setup: once ? alone(withElements(once)) : [],
    main: alone(withElements(each)),
    capabilities,
    guard: options.guard ?? 0,
    arenas: options.arenas,
  };
  const write = writer(capabilities, options.tuning);
  const { planned, setup, main } = bundled(
    input,
    write,
    options.bundles ?? (mode === "profit" && !capabilities.software),
  );
  options.inspect?.({
    ...{ setup: planned.setup.flat(), main: planned.main.flat() },
    fusions: each.measured?.asked ?? new Map(),
  });
  const manifest = manifestOf(planned, setup, main);
  const phaseOf = phasesOf(parts.main);
  const names = (list: readonly Step[], prefix: string): string[] => list.map((_, i) => `${prefix}${i}`);
  const kernels = (list: readonly Step[], prefix: string) =>
    list.map((s, i) => reportKernel(s.bundle, `${prefix}${i}`, s.kernel, phaseOf));
  const report = makeReport({
    notes: [],
    graphOps: graph.nodes.filter((n) => n.op !== "input").length,
    kernels: kernels(main, "k"),
    setup: kernels(setup, "s"),
    edges: reportEdges(
      main.map((s) => s.bundle),
      names(main, "k"),
      each.refusals,
    ),
    apart: apartOf([once, each]),
  });
  return { manifest, report };
}

/** What a tuning table kept apart, equal ones once. */
function apartOf(list: readonly (FuseResult | undefined)[]): ApartReport[] {
  const nodes = list.flatMap((r) => [...(r?.measured?.apart ?? [])]);
  const all = nodes.map(([n, { refusal }]) => ({ op: opName(n), shape: shapeOf(n), detail: refusal.detail }));
  return [...new Map(all.map((a) => [JSON.stringify(a), a])).values()];
}

const withElements = ({ regions }: FuseResult): Region[] =>
  regions.filter((r) => r.outputs.some((n) => n.type.shape.every((d) => d !== 0)));

const alone = (regions: readonly Region[]): Bundle[] => regions.map((r) => [r]);

type Writer = (region: Region) => Kernel;

/** Equal regions, such as the layers of a model, are written once. */
function writer(capabilities: Capabilities, tuning: TuningTable | undefined): Writer {
  const written = new Map<string, Kernel>();
  return (region) => {
    const key = regionKey(region);
    const known = written.get(key);
    if (known) return known;
    const kernel = writeKernel(region, capabilities, tuning?.kernels[signatureOf(region)]?.variant);
    written.set(key, kernel);
    return kernel;
  };
}

interface PlannedSteps {
  readonly planned: Plan;
  readonly setup: readonly Step[];
  readonly main: readonly Step[];
}

/**
 * Plans, and plans again where kernels share dispatches: with a buffer of its own for what they read as arrays of different
 * types, which must not be in one that is bound for writing, or where that takes too much memory, without what needs it.
 */
function bundled(input: PlanInput, write: Writer, share: boolean): PlannedSteps {
  const { capabilities } = input;
  const stepsOf = (bounds: readonly Bound[]): Step[] => bounds.flatMap((b) => stepOf(b, write, capabilities) ?? []);
  const planned = plan(input);
  const [setup, main] = [stepsOf(planned.setup), stepsOf(planned.main)];
  if (share) {
    const kernels = main.map((s) => ({ region: s.bundle[0] as Region, kernel: s.kernel, windows: s.windows }));
    const chosen = chooseBundles(kernels, input.parts.main, capabilities);
    const most = allowed(bytesOf(planned));
    for (const separate of [true, false]) {
      const made = chosen.length < main.length && planBundles(input, chosen, write, separate);
      if (made && bytesOf(made.planned) <= most)
        return { planned: made.planned, setup: stepsOf(made.planned.setup), main: made.main };
    }
  }
  return { planned, setup, main };
}

/** What turns out not to go together is taken apart. */
function planBundles(
  input: PlanInput,
  chosen: readonly Bundle[],
  write: Writer,
  separate: boolean,
): Omit<PlannedSteps, "setup"> {
  const apart = new Set<Node>();
  for (let bundles = chosen; ; ) {
    const planned = plan({ ...input, main: bundles }, apart);
    const main = planned.main.map((b) => stepOf(b, write, input.capabilities));
    if (main.every((s) => s !== undefined)) return { planned, main };
    bundles = main.flatMap((s, i) => {
      if (s) return [s.bundle];
      const regions = (planned.main[i] as Bound).map((x) => x.region);
      const shared = separate ? sharedBy(regions).filter((n) => !apart.has(n)) : [];
      for (const n of shared) apart.add(n);
      return shared.length ? [regions] : alone(regions);
    });
  }
}

/** What several of these read. */
const sharedBy = (regions: readonly Region[]): Node[] =>
  [...new Set(regions.flatMap((r) => r.inputs))].filter((n) => regions.filter((r) => r.inputs.includes(n)).length > 1);

const bytesOf = (p: Plan): number => p.buffers.specs.reduce((n, b) => n + b.size, 0);

function stepOf(bound: Bound, write: Writer, capabilities: Capabilities): Step | undefined {
  const bundle = bound.map((b) => b.region);
  const label = bundle.map((r) => `${r.family}: ${evaluated(r).map(opName).join(" ")}`).join(" | ");
  const parts = bound.map((b) => ({ kernel: write(b.region), windows: b.windows }));
  const [first] = parts;
  const made = parts.length === 1 ? first : bundleKernels(parts, capabilities);
  return made && { bundle, label, ...made };
}
