import { add, div, type Index, indexText, int, mod, scale } from "../ir/index-expr.ts";
import {
  type Blocks,
  barrier,
  blockOf,
  columnsOf,
  lanes,
  padded,
  storeBlock,
  stripPitch,
  type Walk,
} from "./attention-matrix-parts.ts";
import { provideResult, storeAside, storeAt } from "./attention-parts.ts";
import { lane } from "./emitter.ts";

/** A result of the kernel: its sums, and the value of four of them, given the name of their position's two numbers. */
export interface Finished {
  readonly result: 0 | 1;
  readonly depth: number;
  readonly sums: Blocks;
  readonly strip: number;
  value(sum: string, edge: string): string;
}

/**
 * Stores results at each own position with what is computed from them: matrices to workgroup memory, and from there by
 * vectors of four. `edge` holds two numbers of each own position; `more` provides what else is known there.
 */
export function storeFinished(w: Walk, group: readonly Finished[], more?: (edge: string) => void): void {
  const { t } = w;
  const { e } = w.frame;
  const columns = columnsOf(t);
  const by = t.by ?? 1;
  const { depth } = group[0] as Finished;
  for (let c = 0; c < padded(depth); c += t.other) {
    barrier(e);
    const wide = Math.min(t.other, padded(depth) - c);
    for (const f of group) {
      f.sums.forEach((names, i) => {
        const from = (c / t.other) * columns;
        names.slice(from, from + columns).forEach((name, j) => {
          storeBlock(w, name, f.strip, i, blockOf(w, j));
        });
      });
    }
    barrier(e);
    const together = lanes * by;
    const turns = (t.each * wide) / 4 / together;
    e.open(`for (var i = 0u; i < ${turns}u; i++) {`, ["i"]);
    const at = e.index(e.fresh("at"), turns * together - 1, `lid % ${together}u + i * ${together}u`);
    const line = add(w.subgroupAt, div(at, wide / 4));
    const quad = mod(at, wide / 4);
    const [x, y] = [0, 1].map((i) => `edge[${indexText(add(scale(line, 2), int(i)))}]`);
    const edge = e.let(`vec2<f32>(${x}, ${y})`, 2, "f32").text;
    const place = indexText(add(scale(line, stripPitch(t)), quad));
    const values = group.map((f) => {
      const sum = e.let(`bitcast<vec4<f32>>(sh[${place} + ${f.strip}u])`, 4, "f32").text;
      return { result: f.result, text: e.let(f.value(sum, edge), 4, "f32").text };
    });
    storeFour(w, { line, feature: add(quad, int(c / 4)), depth }, values, more && (() => more(edge)));
    e.close();
  }
}

/** Four features of the own position `line` of the workgroup: `feature` counts fours, of `depth` / 4. */
export interface FourAt {
  readonly line: Index;
  readonly feature: Index;
  readonly depth: number;
}

/** Stores four features of each result, where there are such, with what is computed from them; `more` provides what else is known there. */
export function storeFour(
  w: Walk,
  { line, feature, depth }: FourAt,
  values: readonly { readonly result: 0 | 1; readonly text: string }[],
  more?: () => void,
): void {
  const { frame, s } = w;
  const { e } = frame;
  const inside = [
    { x: add(w.first, line), n: w.ownSize },
    { x: feature, n: depth / 4 },
  ];
  const guards = inside.filter(({ x, n }) => x.max >= n).map(({ x, n }) => `${indexText(x)} < ${n}u`);
  e.open(guards.length ? `if (${guards.join(" && ")}) {` : "{");
  const [r, d] = inside.map(({ x, n }) => (x.max < n ? x : e.opaque(indexText(x), n - 1, e.depth))) as [Index, Index];
  e.width = 4;
  const index = [...w.ownLead, r, add(scale(d, 4), lane(4))];
  more?.();
  for (const { result, text } of values) {
    const value = { text, width: 4, dtype: "f32" as const, depth: e.depth };
    provideResult(frame, s.node, result, value);
    if (result === 1) storeAside(frame, s, index, value);
  }
  if (values[0]?.result === 0) storeAt(frame, s, index);
  e.width = 1;
  e.close();
}
