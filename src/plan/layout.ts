import { storageBytes } from "../base/dtype.ts";
import { riddenStates } from "../fuse/in-place.ts";
import { bytesOf, countOf, placeOf } from "../fuse/pull.ts";
import type { Bundle, Region } from "../fuse/region.ts";
import type { Parts } from "../fuse/setup.ts";
import type { Graph, Node } from "../ir/graph.ts";
import { packLayout } from "../ir/ops/memory.ts";
import type { BufferSpec } from "../manifest/manifest.ts";
import { aligned, offersOf, packsOf, rootsOf, type Uses, usesOf } from "./tensors.ts";
import { encodeWords } from "./words.ts";

/** A range of memory that one tensor has, or several in turn. Steps are numbered through setup and program. */
export interface Block {
  role: BufferSpec["role"];
  bytes: number;
  /** Step that first writes it, step that last needs it; everything but scratch and outputs is needed all the time. */
  first: number;
  last: number;
  /** What it holds, for people. */
  readonly nodes: Node[];
  readonly init?: Uint32Array;
  /** Must be zero before the first run: nothing writes the gaps of a pack. */
  readonly clear?: boolean;
}

export interface Place {
  readonly block: Block;
  /** Bytes after the block's beginning. */
  readonly offset: number;
}

export interface LayoutInput {
  readonly graph: Graph;
  readonly parts: Parts;
  /** In the order of execution. */
  readonly setup: readonly Bundle[];
  readonly main: readonly Bundle[];
}

/** Where every tensor lies, and which outputs are written over which inputs of their region. */
export interface Layout {
  readonly blocks: readonly Block[];
  readonly steps: number;
  place(n: Node): Place;
  readonly inPlace: ReadonlyMap<Node, Node>;
}

const roleOf = { data: "input", weight: "weight", state: "state" } as const;

export function layOut({ graph, parts, setup, main }: LayoutInput): Layout {
  const bundles = [...setup, ...main];
  const end = bundles.length;
  const uses = usesOf(
    bundles,
    parts.main.outputs.map((o) => o.node),
  );
  const blocks: Block[] = [];
  const places = new Map<Node, Place>();
  const inPlace = new Map<Node, Node>();

  const open = (role: Block["role"], n: Node, more: Partial<Block> = {}): Place => {
    const block: Block = { role, bytes: bytesOf(n), first: 0, last: end, nodes: [n], ...more };
    blocks.push(block);
    return { block, offset: 0 };
  };
  const put = (n: Node, p: Place): void => {
    places.set(n, p);
    // A state has room for a new value that comes with the zeros after it.
    p.block.bytes = Math.max(p.block.bytes, p.offset + bytesOf(n));
    if (!p.block.nodes.includes(n)) p.block.nodes.push(n);
    if (n.op !== "pack") return;
    const { offsets } = packLayout(n.args.map((a) => a.type));
    n.args.forEach((a, i) => {
      const { root } = placeOf(a);
      put(root, { block: p.block, offset: p.offset + (offsets[i] as number) * storageBytes[n.type.dtype] });
    });
  };
  const place = (n: Node): Place => {
    const { root, offset } = placeOf(n);
    const at = places.get(root);
    if (!at) throw new Error(`no memory was planned for ${root.op} %${root.id}`);
    return { block: at.block, offset: at.offset + offset * storageBytes[n.type.dtype] };
  };

  const packs = packsOf(parts.setup, parts.main);
  for (const p of packs) {
    const roles = p.args.map((a) => placeOf(a).root).flatMap((r) => (r.op === "input" ? [r.attrs.role as string] : []));
    const role = ["state", "weight", "data"].find((r) => roles.includes(r)) as keyof typeof roleOf | undefined;
    if (role) put(p, open(roleOf[role], p, { clear: true }));
  }
  for (const n of graph.inputs) if (!places.has(n)) put(n, open(roleOf[n.attrs.role as keyof typeof roleOf], n));
  for (const n of [...parts.setup.nodes, ...parts.main.nodes]) {
    if (n.op !== "literal" || places.has(n)) continue;
    put(n, open("const", n, { init: encodeWords(n.type.dtype, n.attrs.data as ArrayLike<number>) }));
  }
  const prepared = new Map<string, Place>();
  for (const o of parts.setup.outputs) {
    const { root } = placeOf(o.node);
    if (!places.has(root)) put(root, open("const", o.node));
    prepared.set(o.name, place(o.node));
  }
  for (const n of parts.main.inputs) {
    const p = prepared.get(n.attrs.name as string);
    if (p && !places.has(n)) put(n, p);
  }

  const memory = new Memory(places, uses);
  const wishes = wishesOf(parts.main, place);
  const shared = sharedBindings(bundles.flat());
  for (const [o, n] of [...shared].reverse()) {
    // What replaces an operand lies where that does.
    const wish = wishes.get(o);
    if (wish && !places.has(placeOf(n).root)) wishes.set(placeOf(n).root, wish);
    wishes.delete(o);
  }
  for (const p of packs) {
    if (places.has(p)) continue;
    const wish = wishes.get(p);
    if (wish && packFits(p, wish, uses, memory, inPlace)) put(p, wish);
    else put(p, open("scratch", p, hasGaps(p) ? { clear: true } : spanOf(p, uses)));
  }
  const outputs = new Set(parts.main.outputs.flatMap((o) => rootsOf(o.node)));
  // What an argument of a pack is written over lies in the pack from its beginning: gradients are added up where they end.
  const ends = packs.filter((p) => !wishes.has(p)).flatMap((p) => p.args.map((a) => placeOf(a).root));
  for (let o = ends.pop(); o; o = ends.pop()) {
    const t = uses.writer.get(o);
    const at = places.get(o) as Place;
    const under = t === undefined || inPlace.has(o) ? [] : (offersOf(uses.region.get(o) as Region).get(o) ?? []);
    const n = under.find((x) => mayBegin(x, o as Node));
    if (!n) continue;
    const { root } = placeOf(n);
    put(root, at);
    if (!lasts(at.block)) at.block.first = Math.min(at.block.first, uses.writer.get(root) as number);
    inPlace.set(o, n);
    ends.push(root);
  }
  bundles.forEach((bundle, t) => {
    for (const r of bundle) {
      const over = offersOf(r);
      // What has no elements has no writer.
      for (const n of r.inputs)
        if (!places.has(placeOf(n).root)) put(placeOf(n).root, open("scratch", placeOf(n).root));
      for (const o of r.outputs) {
        if (!places.has(o)) choose(o, r, t, over);
        const { block } = places.get(o) as Place;
        if (lasts(block)) continue;
        block.last = Math.max(block.last, t, lastRead(o, uses), outputs.has(o) ? end : t);
      }
    }
  });
  for (const o of parts.main.outputs) {
    const { root } = placeOf(o.node);
    if (!places.has(root)) put(root, open("output", root));
  }

  /** Is `n` an intermediate of the size of `o` that is read last, at its step, by the region that computes `o` alone? */
  function mayBegin(n: Node, o: Node): boolean {
    const { root, offset } = placeOf(n);
    const whole = offset === 0 && countOf(root) === countOf(o) && countOf(n) === countOf(o) && !shared.has(root);
    if (!whole || places.has(root) || !uses.writer.has(root) || outputs.has(root)) return false;
    const t = uses.writer.get(o) as number;
    const reads = uses.reads.get(root) ?? [];
    return lastRead(root, uses) === t && reads.every((x) => x.step < t || x.region === uses.region.get(o));
  }

  function choose(o: Node, r: Region, t: number, over: ReadonlyMap<Node, readonly Node[]>): void {
    const operand = shared.get(o);
    if (operand) {
      put(o, place(operand));
      inPlace.set(o, operand);
      return;
    }
    const wish = wishes.get(o);
    const wished = wish && memory.mayWrite(o, wish, r, t, over.get(o) ?? []);
    if (wish && wished) {
      put(o, wish);
      if (wished.over) inPlace.set(o, wished.over);
      return;
    }
    for (const n of over.get(o) ?? []) {
      const { root, offset } = placeOf(n);
      const at = places.get(root);
      if (
        !at ||
        lasts(at.block) ||
        at.block.last > t ||
        offset !== 0 ||
        countOf(root) !== countOf(o) ||
        at.offset !== 0
      )
        continue;
      if (r.outputs.some((x) => inPlace.get(x) === n)) continue;
      if (memory.mayWrite(o, at, r, t, [n])?.over !== n) continue;
      put(o, at);
      inPlace.set(o, n);
      return;
    }
    put(o, open(outputs.has(o) ? "output" : "scratch", o, { first: t, last: t }));
  }
  return { blocks, steps: end, place, inPlace };
}

/** Outputs that are bound together with an input, and these: of the user's own kernels, and blocks of states that products write. */
const sharedBindings = (regions: readonly Region[]): ReadonlyMap<Node, Node> =>
  new Map(
    regions.flatMap((r) =>
      r.family === "opaque" ? [...offersOf(r)].map(([o, [n]]) => [o, n as Node] as const) : [...riddenStates(r)],
    ),
  );

/** Does a pack have elements that no kernel writes: zeros between its arguments, or zero arguments? */
const hasGaps = (p: Node): boolean =>
  p.args.some((a) => placeOf(a).root.op === "const" || (countOf(a) * storageBytes[a.type.dtype]) % 256 !== 0);

/** From the first step that writes an argument of a pack to the last that reads it or one of them. */
function spanOf(pack: Node, uses: Uses): { readonly first: number; readonly last: number } {
  const roots = rootsOf(pack);
  const written = roots.map((r) => uses.writer.get(r) ?? 0);
  const read = [pack, ...roots].map((r) => lastRead(r, uses));
  return { first: Math.min(...written), last: Math.max(...written, ...read) };
}

const lastRead = (n: Node, { reads }: Uses): number => reads.get(n)?.at(-1)?.step ?? 0;

/** Whether a block is needed from load to the end, whatever reads it. */
export const lasts = (b: Block): boolean => (b.role !== "scratch" && b.role !== "output") || b.clear === true;

/** Where the next value of each state should be computed: where the state lies. */
function wishesOf(main: Graph, place: (n: Node) => Place): Map<Node, Place> {
  const states = new Map(main.inputs.filter((n) => n.attrs.role === "state").map((n) => [n.attrs.name as string, n]));
  const wishes = new Map<Node, Place | undefined>();
  for (const o of main.outputs) {
    const state = states.get(o.name);
    if (!state) continue;
    const at = place(state);
    const { root, offset } = placeOf(o.node);
    const wish: Place = { block: at.block, offset: at.offset - offset * storageBytes[root.type.dtype] };
    const fits = wish.offset >= 0 && wish.offset % 256 === 0 && wish.offset + bytesOf(root) <= aligned(at.block.bytes);
    const known = wishes.get(root);
    const same = !wishes.has(root) || (known?.block === wish.block && known.offset === wish.offset);
    wishes.set(root, fits && same && root.op !== "input" ? wish : undefined);
    if (fits && same && root.op === "pack") spread(root, wish, wishes);
  }
  return new Map([...wishes].flatMap(([n, w]) => (w ? [[n, w] as const] : [])));
}

/** The arguments of a pack are wished where they lie in it. */
function spread(pack: Node, at: Place, wishes: Map<Node, Place | undefined>): void {
  const { offsets } = packLayout(pack.args.map((a) => a.type));
  pack.args.forEach((a, i) => {
    wishes.set(placeOf(a).root, {
      block: at.block,
      offset: at.offset + (offsets[i] as number) * storageBytes[pack.type.dtype],
    });
  });
}

function packFits(pack: Node, wish: Place, uses: Uses, memory: Memory, inPlace: Map<Node, Node>): boolean {
  const { offsets } = packLayout(pack.args.map((a) => a.type));
  const found: [Node, Node][] = [];
  for (const [i, a] of pack.args.entries()) {
    const { root } = placeOf(a);
    const t = uses.writer.get(root);
    const at = { block: wish.block, offset: wish.offset + (offsets[i] as number) * storageBytes[pack.type.dtype] };
    const r = uses.region.get(root);
    const ok = r && memory.mayWrite(root, at, r, t as number, offersOf(r).get(root) ?? []);
    if (!ok) return false;
    if (ok.over) found.push([root, ok.over]);
  }
  for (const [o, n] of found) inPlace.set(o, n);
  return true;
}

/** What lies where, for asking whether a range may be written. */
class Memory {
  private readonly places: ReadonlyMap<Node, Place>;
  private readonly uses: Uses;

  constructor(places: ReadonlyMap<Node, Place>, uses: Uses) {
    this.places = places;
    this.uses = uses;
  }

  /**
   * May region `r`, step `t`, write `o` at `at`? Only when everything that lies there was read for the last time by then, and
   * not at that step by another region; what the region itself reads there must be one of `allowed` and begin at the same
   * place, which is then `over`.
   */
  mayWrite(o: Node, at: Place, r: Region, t: number, allowed: readonly Node[]): { readonly over?: Node } | undefined {
    const [from, to] = [at.offset, at.offset + bytesOf(o)];
    for (const n of at.block.nodes) {
      const p = this.places.get(n);
      if (!p || n === o || p.offset >= to || p.offset + bytesOf(n) <= from) continue;
      if (n.op === "pack" && n.args.some((a) => placeOf(a).root === o)) continue;
      const later = (this.uses.reads.get(n) ?? []).some(
        (x) => (x.step > t || (x.step === t && x.region !== r)) && p.offset + x.low < to && p.offset + x.high > from,
      );
      if (later) return undefined;
      if ((this.uses.writer.get(n) ?? -1) >= t) return undefined;
    }
    let over: Node | undefined;
    for (const n of r.inputs) {
      const { root, offset } = placeOf(n);
      const p = this.places.get(root);
      if (p?.block !== at.block) continue;
      const begin = p.offset + offset * storageBytes[n.type.dtype];
      // A kernel of the user's cannot read what is bound for writing.
      if (r.family === "opaque") return undefined;
      if (begin >= to || begin + bytesOf(n) <= from) continue;
      if (over || begin !== from || bytesOf(n) !== bytesOf(o) || !allowed.includes(n)) return undefined;
      over = n;
    }
    return over ? { over } : {};
  }
}
