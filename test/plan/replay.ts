import { tensorBytes } from "../../src/base/dtype.ts";
import { fuse } from "../../src/fuse/fuse.ts";
import { legalise } from "../../src/fuse/legalise.ts";
import { countOf, storedRoot } from "../../src/fuse/pull.ts";
import { splitSetup } from "../../src/fuse/setup.ts";
import type { Graph, Node } from "../../src/ir/graph.ts";
import type {
  Capabilities,
  DispatchSpec,
  KernelSpec,
  Manifest,
  PortSpec,
  Window,
} from "../../src/manifest/manifest.ts";
import { optimise } from "../../src/passes/pipeline.ts";
import { type PlanInput, plan, type Step } from "../../src/plan/plan.ts";
import { writeKernel } from "../../src/wgsl/write.ts";

export type FuseMode = "profit" | "legal" | "off";

/** What the compiler hands to `plan`, and the plan. */
export function planned(
  graph: Graph,
  capabilities: Capabilities,
  mode: FuseMode,
): { input: PlanInput; manifest: Manifest } {
  const limit = capabilities.limits.maxStorageBuffersPerShaderStage;
  const legal = legalise(optimise(graph), limit);
  const split = splitSetup(legal);
  const parts = { setup: split.setup, main: legalise(split.main, limit) };
  const steps = (g: Graph): Step[] =>
    fuse(g, capabilities, mode)
      .regions.filter((r) => r.outputs.some((n) => countOf(n) > 0))
      .map((region) => ({ region, kernel: writeKernel(region, capabilities), label: region.family }));
  const setup = parts.setup.outputs.length ? steps(parts.setup) : [];
  const input = { graph: legal, parts, setup, main: steps(parts.main), capabilities };
  return { input, manifest: plan(input) };
}

/**
 * Runs a plan on symbols: every buffer holds the node whose elements were last written to it. Says where a dispatch
 * reads something else than its region computes from, where memory that outlives a run is overwritten, where a window
 * is too small, and which outputs are never written.
 */
export function replay({ graph, parts, setup, main, capabilities }: PlanInput, m: Manifest): string[] {
  const problems: string[] = [];
  const held = new Map<string, Node>();
  const at = (w: Window): string => `${w.buffer}+${w.offset}`;
  const named = new Map(graph.inputs.map((n) => [n.attrs.name as string, n]));
  const bytes = (n: Node): number => tensorBytes(n.type.dtype, countOf(n));
  const text = (n: Node | undefined): string => (n ? `%${n.id} ${n.op}` : "nothing");

  const put = (p: PortSpec): void => void held.set(at(p.window), named.get(p.name) as Node);
  for (const p of [...m.inputs, ...m.weights, ...m.state]) put(p);
  // Literals: their windows are told by their constant contents, which the first reader is trusted to have bound.
  const constant = (w: Window): boolean => m.buffers[w.buffer]?.init !== undefined;
  const prepared = new Map(parts.setup.outputs.map((o) => [o.name, storedRoot(o.node)]));
  const meaning = (n: Node): Node => (n.op === "input" ? (prepared.get(n.attrs.name as string) ?? n) : n);

  const run = (phase: string, steps: readonly Step[], dispatches: readonly DispatchSpec[]): void => {
    if (steps.length !== dispatches.length)
      problems.push(`${phase}: ${dispatches.length} dispatches of ${steps.length}`);
    steps.forEach(({ region, kernel }, i) => {
      const d = dispatches[i] as DispatchSpec;
      const where = `${phase} ${i} (${region.family})`;
      const nodes = [...region.inputs, ...region.outputs];
      const k = m.kernels[d.kernel] as KernelSpec;
      if (k.wgsl !== kernel.wgsl) problems.push(`${where}: another kernel`);
      if (String(d.workgroups) !== String(kernel.workgroups)) problems.push(`${where}: other workgroups`);
      if (nodes.length !== d.bindings.length)
        problems.push(`${where}: ${d.bindings.length} bindings for ${nodes.length}`);
      nodes.forEach((n, j) => {
        const w = d.bindings[j] as Window;
        const buffer = m.buffers[w.buffer];
        if (w.size < bytes(n)) problems.push(`${where}: ${w.size} bytes for ${text(n)}, which has ${bytes(n)}`);
        if (!buffer || w.offset + w.size > buffer.size) problems.push(`${where}: a window outside of its buffer`);
        if (w.offset % capabilities.limits.minStorageBufferOffsetAlignment !== 0)
          problems.push(`${where}: offset ${w.offset}`);
      });
      region.inputs.forEach((n, j) => {
        const w = d.bindings[j] as Window;
        if (n.op === "literal" && constant(w)) return;
        // A tensor without elements has no writer and no content.
        if (countOf(n) > 0 && held.get(at(w)) !== meaning(n)) {
          problems.push(`${where}: binding ${j} holds ${text(held.get(at(w)))}, not ${text(n)}`);
        }
      });
      region.outputs.forEach((n, j) => {
        const w = d.bindings[region.inputs.length + j] as Window;
        const role = m.buffers[w.buffer]?.role;
        const allowed = phase === "setup" ? ["const", "scratch"] : ["scratch", "output", "state"];
        if (constant(w) || !allowed.includes(role as string)) problems.push(`${where}: writes a ${role} buffer`);
        held.set(at(w), n);
      });
      problems.push(...aliases(d, k).map((p) => `${where}: ${p}`));
    });
  };
  run("setup", setup, m.setup);
  // Twice: what a run leaves behind must not disturb the next one.
  for (const turn of ["first run", "second run"]) {
    for (const p of m.inputs) put(p);
    run(turn, main, m.dispatches);
    parts.main.outputs.forEach((o, i) => {
      const port = m.outputs[i] as PortSpec;
      const root = storedRoot(o.node);
      if (countOf(root) > 0 && held.get(at(port.window)) !== meaning(root)) {
        problems.push(`${turn}: output ${o.name} holds ${text(held.get(at(port.window)))}, not ${text(root)}`);
      }
    });
    for (const s of m.state) {
      if (m.outputs.every((o) => at(o.window) !== at(s.next))) problems.push(`state ${s.name} has no next value`);
      put(s);
    }
  }
  return problems;
}

/** WebGPU's rules for the buffers of one dispatch: all read or all read and written; what is written never overlaps. */
export function aliases(d: DispatchSpec, k: KernelSpec): string[] {
  const out: string[] = [];
  d.bindings.forEach((w, i) => {
    d.bindings.slice(0, i).forEach((v, j) => {
      if (v.buffer !== w.buffer) return;
      const [a, b] = [k.bindings[i], k.bindings[j]];
      const apart = w.offset >= v.offset + v.size || v.offset >= w.offset + w.size;
      if (a !== b) out.push(`buffer ${w.buffer} is read by one binding and written by another`);
      else if (a === "read_write" && !apart) out.push(`bindings ${j} and ${i} write overlapping windows`);
      else if (a === "read" && v.offset === w.offset && v.size === w.size)
        out.push(`bindings ${j} and ${i} are the same window`);
    });
  });
  return out;
}
