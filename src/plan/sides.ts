import { widensHalf } from "../fuse/pull.ts";
import type { Bundle, Region } from "../fuse/region.ts";
import { flopsOf } from "../fuse/work.ts";
import type { Node } from "../ir/graph.ts";
import type { Capabilities } from "../manifest/manifest.ts";
import { type Block, type Layout, lasts } from "./layout.ts";

/** Blocks of which a dispatch reads one and writes the other, and the part of its work that goes with what it reads there. */
interface Crossing {
  readonly read: Block;
  readonly written: Block;
  readonly flops: number;
}

/**
 * Which of two arenas suits each block: products and attention should write to another one than they read from, since a
 * buffer that a dispatch writes is bound for writing wherever it is bound, and devices load more slowly from such a binding.
 * Where not all can have it so, those with the most work do: edges by falling weight, each kept unless it closes an odd
 * cycle of kept ones. Blocks in no edge are absent.
 */
export function sidesOf(
  bundles: readonly Bundle[],
  layout: Layout,
  capabilities: Capabilities,
): ReadonlyMap<Block, 0 | 1> {
  const nodes = new Map<Block, Member>();
  const member = (b: Block): Member => {
    const m = nodes.get(b) ?? { parent: undefined, flipped: false };
    nodes.set(b, m);
    return m;
  };
  const gaining = bundles.filter((b) => gains(b, capabilities));
  for (const { read, written } of crossings(gaining, layout).sort((a, b) => b.flops - a.flops)) {
    const [a, b] = [rootOf(member(read)), rootOf(member(written))];
    if (a.root === b.root) continue;
    b.root.parent = a.root;
    b.root.flipped = a.flipped === b.flipped;
  }
  return new Map([...nodes].map(([b, m]) => [b, rootOf(m).flipped ? 1 : 0]));
}

/** A block in a tree of those whose sides depend on each other. */
interface Member {
  parent: Member | undefined;
  /** On the other side than its parent. */
  flipped: boolean;
}

function rootOf(m: Member): { readonly root: Member; readonly flipped: boolean } {
  let [root, flipped] = [m, false];
  for (; root.parent; root = root.parent) flipped = flipped !== root.flipped;
  return { root, flipped };
}

/**
 * Products of halves by subgroup matrices lose by bindings for reading alone, up to a tenth, and so do those of f16x3 that share
 * a dispatch (docs/performance.md).
 */
function gains(bundle: Bundle, { features, software }: Capabilities): boolean {
  if (!features.subgroupMatrix || software) return true;
  const products = bundle.flatMap((r) => r.anchors).filter((n) => n.op === "matmul");
  const halves = products.some((n) => n.args.some((a) => a.type.dtype === "f16" || widensHalf(a)));
  return !halves && (bundle.length === 1 || products.every((n) => n.attrs.precision !== "f16x3"));
}

function crossings(bundles: readonly Bundle[], layout: Layout): Crossing[] {
  const out: Crossing[] = [];
  const passing = (nodes: Iterable<Node>): Set<Block> =>
    new Set([...nodes].map((n) => layout.place(n).block).filter((b) => !lasts(b)));
  for (const bundle of bundles) {
    const flops = bundle.reduce((n, r) => n + flopsOf(r), 0);
    if (flops === 0) continue;
    const written = passing(bundle.flatMap((r) => r.outputs));
    const reads = passing(bundle.flatMap(operandsOf));
    const bytes = [...reads].reduce((n, b) => n + b.bytes, 0);
    for (const read of reads) {
      const part = (flops * read.bytes) / bytes;
      for (const w of written) if (w !== read) out.push({ read, written: w, flops: part });
    }
  }
  return out;
}

/** What a region reads for its anchors, and so again and again; what is read for each result is left out. */
function operandsOf({ anchors, inputs }: Region): Node[] {
  const given = new Set(inputs);
  const seen = new Set<Node>();
  const rest = anchors.flatMap((n) => n.args);
  for (let n = rest.pop(); n; n = rest.pop()) {
    if (seen.has(n)) continue;
    seen.add(n);
    if (!given.has(n)) rest.push(...n.args);
  }
  return [...seen].filter((n) => given.has(n));
}
