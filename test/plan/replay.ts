import { storageBytes, tensorBytes } from "../../src/base/dtype.ts";
import { fuse } from "../../src/fuse/fuse.ts";
import { legalise } from "../../src/fuse/legalise.ts";
import { countOf, placeOf } from "../../src/fuse/pull.ts";
import { type Bundle, type Region, slotsOf } from "../../src/fuse/region.ts";
import { splitSetup } from "../../src/fuse/setup.ts";
import type { Graph, Node } from "../../src/ir/graph.ts";
import { packLayout } from "../../src/ir/ops/memory.ts";
import type {
  Access,
  Capabilities,
  DispatchSpec,
  KernelSpec,
  Manifest,
  PortSpec,
  Window,
} from "../../src/manifest/manifest.ts";
import { optimise } from "../../src/passes/pipeline.ts";
import type { Bound, BoundRegion } from "../../src/plan/bind.ts";
import { chooseBundles } from "../../src/plan/bundles.ts";
import { manifestOf, type Plan, plan, type Step } from "../../src/plan/plan.ts";
import type { Kernel } from "../../src/wgsl/kernel.ts";
import { writeKernel } from "../../src/wgsl/write.ts";

export type FuseMode = "profit" | "legal" | "off";

export interface Planned {
  readonly plan: Plan;
  readonly setup: readonly Step[];
  readonly main: readonly Step[];
  readonly manifest: Manifest;
}

/** A kernel without a text, for plans that are looked at but not run. */
const wordless = (region: Region): Kernel => ({
  wgsl: "fn main() {}",
  bindings: slotsOf(region).flatMap((s) => {
    const n = countOf((s.input ?? s.output) as Node);
    return Array.from({ length: s.part ? Math.ceil(n / s.part) : 1 }, () => s.access);
  }),
  variant: "none",
  workgroupSize: [1, 1, 1],
  workgroups: [1, 1, 1],
  groups: 1,
  units: [],
  requires: { f16: false, subgroups: false, workgroupBytes: 0 },
  pieces: { types: [], declarations: [], body: "" },
});

/**
 * What the compiler makes of a graph, with its plan; with kernels, without, or without and with all in one dispatch that may
 * be.
 */
export function planned(
  graph: Graph,
  capabilities: Capabilities,
  mode: FuseMode,
  kernels: "written" | "wordless" | "bundled" = "written",
): Planned {
  const limit = capabilities.limits.maxStorageBuffersPerShaderStage;
  const { maxStorageBufferBindingSize, maxBufferSize } = capabilities.limits;
  const largestBinding = Math.min(maxStorageBufferBindingSize, maxBufferSize);
  const legal = legalise(optimise(graph, { largestBinding }), limit);
  const split = splitSetup(legal);
  const parts = { setup: split.setup, main: legalise(split.main, limit) };
  const regions = (g: Graph): Region[] =>
    fuse(g, capabilities, mode).regions.filter((r) => r.outputs.some((n) => countOf(n) > 0));
  const alone = (list: readonly Region[]): Bundle[] => list.map((r) => [r]);
  const input = {
    graph: legal,
    parts,
    setup: parts.setup.outputs.length ? alone(regions(parts.setup)) : [],
    main: alone(regions(parts.main)),
    capabilities,
  };
  const single = plan(input);
  const kernelsAlone = single.main.map(([b]) => ({
    ...(b as BoundRegion),
    kernel: wordless((b as BoundRegion).region),
  }));
  const bundles = kernels === "bundled" ? chooseBundles(kernelsAlone, parts.main, capabilities) : undefined;
  const made = bundles ? plan({ ...input, main: bundles }) : single;
  const steps = (list: readonly Bound[]): Step[] =>
    list.map((bound) => {
      const [{ region, windows }] = bound as [BoundRegion];
      const label = bound.map((b) => b.region.family).join();
      if (bound.length === 1) {
        const kernel = kernels === "written" ? writeKernel(region, capabilities) : wordless(region);
        return { bundle: [region], windows, kernel, label };
      }
      const known = new Map(
        bound.flatMap((b) => {
          const { bindings } = wordless(b.region);
          return b.windows.map((w, i) => [JSON.stringify([w, bindings[i]]), { w, access: bindings[i] }] as const);
        }),
      );
      const all = [...known.values()];
      const kernel = { ...wordless(region), bindings: all.map((x) => x.access as Access) };
      return { bundle: bound.map((b) => b.region), windows: all.map((x) => x.w), kernel, label };
    });
  const [setup, main] = [steps(made.setup), steps(made.main)];
  return { plan: made, setup, main, manifest: manifestOf(made, setup, main) };
}

/** Bytes of a tensor's root that lie at `at`. */
interface Piece {
  readonly root: Node;
  readonly from: number;
  readonly at: number;
  readonly bytes: number;
}

const bytesOf = (n: Node): number => tensorBytes(n.type.dtype, countOf(n));

/** What a node in memory consists of: elements of its root, or of the arguments of a pack. */
function piecesOf(n: Node): Piece[] {
  const { root, offset } = placeOf(n);
  // Zeros that memory is cleared to.
  if (root.op === "const") return [];
  const unit = storageBytes[n.type.dtype];
  const [low, high] = [offset * unit, offset * unit + bytesOf(n)];
  if (root.op !== "pack") return [{ root, from: low, at: 0, bytes: bytesOf(n) }];
  const { offsets } = packLayout(root.args.map((a) => a.type));
  return root.args.flatMap((a, i) =>
    piecesOf(a).flatMap((p) => {
      const begin = (offsets[i] as number) * unit + p.at;
      const [from, to] = [Math.max(low, begin), Math.min(high, begin + p.bytes)];
      return from < to ? [{ root: p.root, from: p.from + from - begin, at: from - low, bytes: to - from }] : [];
    }),
  );
}

/** Buffers that remember which tensor's bytes were last written where. */
class Symbols {
  private readonly buffers = new Map<number, Piece[]>();

  write(w: Window, p: Piece): void {
    const at = w.offset + p.at;
    const left = (this.buffers.get(w.buffer) ?? []).flatMap((old) => {
      const before = { ...old, bytes: Math.min(old.bytes, at - old.at) };
      const skip = at + p.bytes - old.at;
      const after = { ...old, at: old.at + skip, from: old.from + skip, bytes: old.bytes - skip };
      if (skip <= 0 || at >= old.at + old.bytes) return [old];
      return [before, after].filter((x) => x.bytes > 0);
    });
    this.buffers.set(w.buffer, [...left, { ...p, at }]);
  }

  /** What is there instead of the piece, or undefined when it is there. */
  missing(w: Window, p: Piece): string | undefined {
    const at = w.offset + p.at;
    for (let done = 0; done < p.bytes; ) {
      const here = (this.buffers.get(w.buffer) ?? []).find((x) => x.at <= at + done && x.at + x.bytes > at + done);
      if (!here) return "nothing";
      if (here.root !== p.root || here.from + (at + done - here.at) !== p.from + done)
        return `%${here.root.id} ${here.root.op}`;
      done = here.at + here.bytes - at;
    }
    return undefined;
  }
}

/**
 * Runs a plan on symbols: memory holds which tensor's bytes were last written to it. Says where a dispatch reads
 * something else than its region computes from, where memory that outlives a run is overwritten, where a window is too
 * small, and which outputs are never written.
 */
export function replay({ plan: p, setup, main }: Planned, m: Manifest): string[] {
  const { graph, parts, capabilities } = p.input;
  const problems: string[] = [];
  const memory = new Symbols();
  const named = new Map(graph.inputs.map((n) => [n.attrs.name as string, n]));
  const prepared = new Map(parts.setup.outputs.map((o) => [o.name, o.node]));
  const meaning = (n: Node): Node => (n.op === "input" ? (prepared.get(n.attrs.name as string) ?? n) : n);
  const put = (w: Window, n: Node): void => {
    for (const piece of piecesOf(n)) memory.write(w, piece);
  };
  const wrong = (w: Window, n: Node): string | undefined => {
    if (countOf(n) === 0) return undefined;
    for (const piece of piecesOf(n)) {
      const real = meaning(piece.root);
      for (const q of real === piece.root ? [piece] : piecesOf(real).map((x) => ({ ...x, at: x.at + piece.at }))) {
        const held = memory.missing(w, q);
        if (held) return `holds ${held}, not %${n.id} ${n.op}`;
      }
    }
    return undefined;
  };
  const port = (s: PortSpec): void => put(s.window, named.get(s.name) as Node);
  for (const s of [...m.inputs, ...m.weights, ...m.state]) port(s);

  const run = (
    phase: string,
    bounds: readonly Bound[],
    steps: readonly Step[],
    dispatches: readonly DispatchSpec[],
  ): void => {
    if (steps.length !== dispatches.length)
      problems.push(`${phase}: ${dispatches.length} dispatches of ${steps.length}`);
    steps.forEach(({ bundle, kernel }, i) => {
      const d = dispatches[i] as DispatchSpec;
      const where = `${phase} ${i} (${bundle.map((r) => r.family)})`;
      const k = m.kernels[d.kernel] as KernelSpec;
      if (k.wgsl !== kernel.wgsl) problems.push(`${where}: another kernel`);
      if (String(d.workgroups) !== String(kernel.workgroups)) problems.push(`${where}: other workgroups`);
      const stored: (() => void)[] = [];
      // Of a bundle all read before any has written: which comes first is not known.
      const windows = (p: number): readonly Window[] =>
        (bundle.length === 1 ? d.bindings : bounds[i]?.[p]?.windows) ?? [];
      const slots = bundle.flatMap((r, p) => {
        const own = windows(p);
        let next = 0;
        const found = slotsOf(r).map((slot) => {
          const n = (slot.input ?? slot.output) as Node;
          const first = next;
          const w = own[next++] as Window;
          let size = w.size;
          while (slot.part && size < bytesOf(n)) size += (own[next++] as Window).size;
          return { slot, n, first, w, size, part: p };
        });
        if (next !== own.length) problems.push(`${where}: ${own.length} bindings for ${next}`);
        if (new Set(slotsOf(r).map((x) => x.input ?? x.output)).size !== slotsOf(r).length)
          problems.push(`${where}: a tensor is bound twice`);
        return found;
      });
      for (const a of slots.filter((x) => x.slot.output)) {
        const touched = (b: (typeof slots)[0]): boolean =>
          a.w.buffer === b.w.buffer && a.w.offset < b.w.offset + b.size && b.w.offset < a.w.offset + a.size;
        if (slots.some((b) => b.part !== a.part && touched(b)))
          problems.push(`${where}: one part writes %${a.slot.output?.id}, where another reads or writes`);
      }
      for (const { slot, n, first, w, size } of slots) {
        const whole = { ...w, size };
        const buffer = m.buffers[w.buffer];
        if (size < bytesOf(n)) problems.push(`${where}: ${size} bytes for %${n.id}, which has ${bytesOf(n)}`);
        if (!buffer || w.offset + size > buffer.size) problems.push(`${where}: a window outside of its buffer`);
        if (w.offset % capabilities.limits.minStorageBufferOffsetAlignment !== 0)
          problems.push(`${where}: offset ${w.offset}`);
        const literal = n.op === "literal" && buffer?.init !== undefined;
        const bad = slot.input && !literal ? wrong(whole, slot.input) : undefined;
        if (bad) problems.push(`${where}: binding ${first} ${bad}`);
        if (!slot.output) continue;
        const allowed = phase === "setup" ? ["const", "scratch"] : ["scratch", "output", "state"];
        if (buffer?.init || !allowed.includes(buffer?.role as string))
          problems.push(`${where}: writes a ${buffer?.role} buffer`);
        stored.push(() => put(whole, slot.output as Node));
      }
      for (const s of stored) s();
      problems.push(...aliases(d, k).map((x) => `${where}: ${x}`));
    });
  };
  run("setup", p.setup, setup, m.setup);
  // Twice: what a run leaves behind must not disturb the next one.
  for (const turn of ["first run", "second run"]) {
    for (const s of m.inputs) port(s);
    run(turn, p.main, main, m.dispatches);
    parts.main.outputs.forEach((o, i) => {
      const bad = wrong((m.outputs[i] as PortSpec).window, o.node);
      if (bad) problems.push(`${turn}: output ${o.name} ${bad}`);
    });
    for (const s of m.state) {
      if (!m.outputs.some((o) => o.window.buffer === s.next.buffer && o.window.offset === s.next.offset))
        problems.push(`state ${s.name} has no next value`);
      port(s);
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
    });
  });
  return out;
}
