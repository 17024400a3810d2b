import { fail } from "../base/diagnostic.ts";
import { bytesOf, shapeOf } from "../fuse/pull.ts";
import type { Bundle, Region } from "../fuse/region.ts";
import type { Parts } from "../fuse/setup.ts";
import type { Graph, Node } from "../ir/graph.ts";
import { kernelKey } from "../manifest/key.ts";
import type {
  Capabilities,
  DispatchSpec,
  KernelSpec,
  Manifest,
  PortSpec,
  SpanSpec,
  Window,
} from "../manifest/manifest.ts";
import type { Kernel } from "../wgsl/kernel.ts";
import { type Bound, bindBundle, readTwice } from "./bind.ts";
import { type Buffers, type Lodging, lodge } from "./buffers.ts";
import { type Block, type Layout, lasts, layOut } from "./layout.ts";
import { orderBundles } from "./order.ts";
import { sidesOf } from "./sides.ts";

export interface PlanInput {
  /** The graph before it was split: its inputs and outputs are the program's ports. */
  readonly graph: Graph;
  readonly parts: Parts;
  readonly setup: readonly Bundle[];
  readonly main: readonly Bundle[];
  readonly capabilities: Capabilities;
  /** Bytes to leave free behind every tensor, a multiple of 256. */
  readonly guard?: number;
  /** Tensors that are not needed all the time share memory: the default. Else each has a buffer, for measurements. */
  readonly arenas?: boolean | undefined;
}

/** Where everything lies and in which order it is computed; kernels are written for its regions. */
export interface Plan {
  readonly input: PlanInput;
  readonly layout: Layout;
  readonly buffers: Buffers;
  readonly setup: readonly Bound[];
  readonly main: readonly Bound[];
}

/** A dispatch: what it computes, by which kernel, on which windows. In execution order. */
export interface Step {
  readonly bundle: Bundle;
  readonly kernel: Kernel;
  readonly windows: readonly Window[];
  readonly label: string;
}

/**
 * Orders bundles, lays their tensors out in memory and plans their bindings. The memory of tensors in `apart` is shared with
 * nothing that a dispatch writes while it reads them.
 */
export function plan(input: PlanInput, apart: Iterable<Node> = []): Plan {
  const { graph, parts, capabilities } = input;
  const setup = orderBundles(input.setup, parts.setup);
  const main = orderBundles(input.main, parts.main);
  for (const r of [...setup, ...main].flat()) for (const n of r.outputs) checkSize(n, capabilities);
  for (const n of graph.inputs) checkSize(n, capabilities);
  const layout = layOut({ graph, parts, setup, main });
  const lonely = input.arenas === false ? new Set(layout.blocks) : readTwice([...setup, ...main], layout);
  for (const n of apart) lonely.add(layout.place(n).block);
  const sides = sidesOf([...setup, ...main], layout, capabilities);
  const buffers = lodge(layout.blocks, lonely, sides, capabilities, input.guard ?? 0);
  const limit = capabilities.limits.maxStorageBufferBindingSize;
  const bind = (b: Bundle): Bound => bindBundle(b, layout, buffers.lodging, limit);
  return { input, layout, buffers, setup: setup.map(bind), main: main.map(bind) };
}

function checkSize(n: Node, { limits }: Capabilities): void {
  if (bytesOf(n) <= limits.maxBufferSize) return;
  fail(
    "tensor-too-large",
    `a ${n.type.dtype}[${shapeOf(n).join(", ")}] tensor has ${bytesOf(n)} bytes, a buffer holds ${limits.maxBufferSize}`,
    {
      ...(n.place ? { place: n.place } : {}),
      hint: "split the tensor along an axis, store it as f16, or use a device with larger buffers",
    },
  );
}

/** The plan with its kernels as the data a runtime needs to run the program. */
export function manifestOf(p: Plan, setup: readonly Step[], main: readonly Step[]): Manifest {
  const { graph, parts, capabilities } = p.input;
  const window = (n: Node): Window => {
    const { block, offset } = p.layout.place(n);
    const { buffer, offset: base } = p.buffers.lodging.get(block) as Lodging;
    return { buffer, offset: base + offset, size: bytesOf(n) };
  };
  const port = (name: string, n: Node): PortSpec => ({
    name,
    dtype: n.type.dtype,
    shape: shapeOf(n),
    window: window(n),
  });
  const ports = (role: string): PortSpec[] =>
    graph.inputs.filter((n) => n.attrs.role === role).map((n) => port(n.attrs.name as string, n));
  const kernels = new KernelTable();
  const dispatches = (list: readonly Step[]): DispatchSpec[] =>
    list.map((s) => ({ kernel: kernels.add(s), bindings: s.windows, workgroups: s.kernel.workgroups }));
  const outputs = parts.main.outputs.map((o) => port(o.name, o.node));
  const state = ports("state").map((s) => ({
    ...s,
    next:
      outputs.find((o) => o.name === s.name)?.window ??
      fail("state-output", `state ${s.name} has no output of its name`),
  }));
  return {
    version: 1,
    capabilities,
    setup: dispatches(setup),
    dispatches: dispatches(main),
    kernels: kernels.list,
    buffers: p.buffers.specs,
    spans: p.layout.blocks.filter((b) => !lasts(b)).map((b) => spanOf(b, p)),
    leastBytes: p.buffers.leastBytes,
    guard: p.input.guard ?? 0,
    inputs: ports("data"),
    weights: ports("weight"),
    state,
    outputs,
  };
}

function spanOf(b: Block, p: Plan): SpanSpec {
  const { buffer, offset } = p.buffers.lodging.get(b) as Lodging;
  const label = b.nodes.map((n) => `${n.op} ${n.type.dtype}[${shapeOf(n).join(", ")}]`).join(", then ");
  return { label, window: { buffer, offset, size: b.bytes }, first: b.first, last: b.last };
}

/** Kernels of one text and layout are one entry. */
class KernelTable {
  readonly list: KernelSpec[] = [];
  private readonly byKey = new Map<string, number>();
  /** Equal regions share a kernel, whose key is then known. */
  private readonly byKernel = new Map<Kernel, number>();

  add(step: Step): number {
    const known = this.byKernel.get(step.kernel) ?? this.find(step);
    this.byKernel.set(step.kernel, known);
    return known;
  }

  private find({ bundle, kernel, label }: Step): number {
    const at = place(bundle[0] as Region);
    const spec: Omit<KernelSpec, "key"> = {
      label,
      ...(at ? { place: at } : {}),
      wgsl: kernel.wgsl,
      entryPoint: "main",
      bindings: kernel.bindings,
      workgroupSize: kernel.workgroupSize,
      requires: kernel.requires,
      ...(kernel.own ? { own: true } : {}),
    };
    const key = kernelKey(spec);
    const known = this.byKey.get(key);
    if (known !== undefined) return known;
    this.byKey.set(key, this.list.length);
    return this.list.push({ key, ...spec }) - 1;
  }
}

function place(region: Region): string | undefined {
  const at = [...region.anchors, ...region.members].find((n) => n.place)?.place;
  return at ? `${at.file}:${at.line}` : undefined;
}
