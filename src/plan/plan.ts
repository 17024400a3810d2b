import { fail } from "../base/diagnostic.ts";
import { bytesOf, shapeOf, storedRoot } from "../fuse/pull.ts";
import type { Region } from "../fuse/region.ts";
import type { Parts } from "../fuse/setup.ts";
import type { Graph, Node } from "../ir/graph.ts";
import { kernelKey } from "../manifest/key.ts";
import type {
  BufferSpec,
  Capabilities,
  DispatchSpec,
  KernelSpec,
  Manifest,
  PortSpec,
  Window,
} from "../manifest/manifest.ts";
import type { Kernel } from "../wgsl/kernel.ts";
import { encodeWords } from "./words.ts";

/** A region with its kernel, in execution order. */
export interface Step {
  readonly region: Region;
  readonly kernel: Kernel;
  readonly label: string;
}

export interface PlanInput {
  /** The graph before it was split: its inputs and outputs are the program's ports. */
  readonly graph: Graph;
  readonly parts: Parts;
  readonly setup: readonly Step[];
  readonly main: readonly Step[];
  readonly capabilities: Capabilities;
}

/** Lays out buffers and dispatches: the data a runtime needs to run the program. */
export function plan(input: PlanInput): Manifest {
  const { graph, parts, capabilities } = input;
  const pool = new Pool(capabilities);
  const windows = new Map<Node, Window>();
  const ports = (role: string): PortSpec[] =>
    graph.inputs
      .filter((n) => n.attrs.role === role)
      .map((n) => port(n.attrs.name as string, n, windows.get(n) as Window));

  const roleOf = { data: "input", weight: "weight", state: "state" } as const;
  for (const n of graph.inputs) windows.set(n, pool.own(roleOf[n.attrs.role as keyof typeof roleOf], n));
  for (const g of [parts.setup, parts.main]) {
    for (const n of g.nodes) {
      if (n.op !== "literal" || windows.has(n)) continue;
      windows.set(n, pool.own("const", n, encodeWords(n.type.dtype, n.attrs.data as ArrayLike<number>)));
    }
  }
  const prepared = new Map(
    parts.setup.outputs.map((o) => {
      const w = pool.own("const", o.node);
      windows.set(storedRoot(o.node), w);
      return [o.name, w] as const;
    }),
  );
  const setup = schedule(input.setup, pool, windows);
  for (const n of parts.main.inputs) {
    const w = prepared.get(n.attrs.name as string);
    if (w && !windows.has(n)) windows.set(n, w);
  }
  for (const o of parts.main.outputs) {
    const root = storedRoot(o.node);
    if (!windows.has(root)) windows.set(root, pool.own("output", root));
  }
  const main = schedule(input.main, pool, windows);
  const kernels = new KernelTable();
  const dispatches = (list: readonly Dispatch[]): DispatchSpec[] =>
    list.map((d) => ({ kernel: kernels.add(d.step), bindings: d.bindings, workgroups: d.step.kernel.workgroups }));
  const outputs = parts.main.outputs.map((o) => port(o.name, o.node, windows.get(storedRoot(o.node)) as Window));
  const state = ports("state").map((p) => ({
    ...p,
    next:
      outputs.find((o) => o.name === p.name)?.window ??
      fail("state-output", `state ${p.name} has no output of its name`),
  }));
  return {
    version: 1,
    capabilities,
    setup: dispatches(setup),
    dispatches: dispatches(main),
    kernels: kernels.list,
    buffers: pool.buffers,
    inputs: ports("data"),
    weights: ports("weight"),
    state,
    outputs,
  };
}

const port = (name: string, n: Node, window: Window): PortSpec => ({
  name,
  dtype: n.type.dtype,
  shape: shapeOf(n),
  window,
});

interface Dispatch {
  readonly step: Step;
  readonly bindings: readonly Window[];
}

/** Gives every intermediate a buffer that no other tensor uses while it is needed. */
function schedule(steps: readonly Step[], pool: Pool, windows: Map<Node, Window>): Dispatch[] {
  const lastUse = new Map<Node, number>();
  steps.forEach((s, i) => {
    for (const n of s.region.inputs) lastUse.set(n, i);
  });
  const scratch = new Set<Node>();
  return steps.map((step, i) => {
    // An input without a window has no elements: the kernel that would have written it does not run.
    for (const n of [...step.region.inputs, ...step.region.outputs]) {
      if (windows.has(n)) continue;
      windows.set(n, pool.take(n));
      scratch.add(n);
    }
    const bindings = [...step.region.inputs, ...step.region.outputs].map((n) => windows.get(n) as Window);
    for (const n of [...step.region.inputs, ...step.region.outputs]) {
      if (scratch.has(n) && (lastUse.get(n) ?? -1) <= i) {
        scratch.delete(n);
        pool.give((windows.get(n) as Window).buffer);
      }
    }
    return { step, bindings };
  });
}

/** Buffers of the plan; scratch ones are taken and given back, and grow to the largest tensor they ever hold. */
class Pool {
  readonly buffers: BufferSpec[] = [];
  private readonly free: number[] = [];
  private readonly capabilities: Capabilities;

  constructor(capabilities: Capabilities) {
    this.capabilities = capabilities;
  }

  own(role: BufferSpec["role"], n: Node, init?: Uint32Array): Window {
    const size = this.check(n);
    this.buffers.push({ role, size, ...(init ? { init } : {}) });
    return { buffer: this.buffers.length - 1, offset: 0, size };
  }

  take(n: Node): Window {
    const size = this.check(n);
    const waste = (b: number): number => Math.abs((this.buffers[b] as BufferSpec).size - size);
    const fits = this.free.filter((b) => {
      const have = (this.buffers[b] as BufferSpec).size;
      return have >= size ? have <= 4 * size : have * 4 >= size;
    });
    const [best] = fits.sort((a, b) => waste(a) - waste(b));
    if (best === undefined) return this.own("scratch", n);
    this.free.splice(this.free.indexOf(best), 1);
    const have = this.buffers[best] as BufferSpec;
    if (have.size < size) this.buffers[best] = { ...have, size };
    return { buffer: best, offset: 0, size };
  }

  give(buffer: number): void {
    this.free.push(buffer);
  }

  private check(n: Node): number {
    const size = bytesOf(n);
    const { limits } = this.capabilities;
    const limit = Math.min(limits.maxStorageBufferBindingSize, limits.maxBufferSize);
    if (size > limit) {
      fail(
        "tensor-too-large",
        `a ${n.type.dtype}[${shapeOf(n).join(", ")}] tensor has ${size} bytes, one binding holds ${limit}`,
        {
          ...(n.place ? { place: n.place } : {}),
          hint: "split the tensor along an axis, store it as f16, or use a device with larger bindings",
        },
      );
    }
    return size;
  }
}

/** Kernels of one text and layout are one entry. */
class KernelTable {
  readonly list: KernelSpec[] = [];
  private readonly byKey = new Map<string, number>();

  add(step: Step): number {
    const { region, kernel } = step;
    const spec: Omit<KernelSpec, "key"> = {
      label: step.label,
      ...(place(region) ? { place: place(region) as string } : {}),
      wgsl: kernel.wgsl,
      entryPoint: "main",
      bindings: kernel.bindings,
      workgroupSize: kernel.workgroupSize,
      requires: kernel.requires,
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
