import { add, div, type Index, indexText, int, mod, scale } from "../ir/index-expr.ts";
import { featuresAt, type KeptSums, type Rounds, showSums } from "./attention-f16x3-parts.ts";
import { barrier, stripPitch, threadsOf, unit, type Walk } from "./attention-matrix-parts.ts";
import { storeFour } from "./attention-matrix-store.ts";

/** A result of the kernel, and the value of four of its sums, given the name of their position's two numbers. */
export interface PairResult {
  readonly result: 0 | 1;
  /** Where the strips begin that a round's sums are in: one, or each subgroup's of the two that share positions. */
  readonly strips: readonly number[];
  value(sum: string, edge: string): string;
}

/** What is stored of sums in registers. */
export interface Stored {
  readonly sums: KeptSums;
  readonly rounds: Rounds;
  readonly depth: number;
  readonly results: readonly PairResult[];
  /** The place among staged features of a vector of a round's line, in all its strips one after the other. */
  placeOf(round: number, quad: Index): Index;
  /** Provides what else is known at a position, whose two numbers are in `edge`. */
  more?(edge: string): void;
}

/**
 * Stores results of one depth at each own position with what is computed from them: from registers to workgroup memory, and from there
 * by vectors of four that neighbour each other.
 */
export function storeKept(w: Walk, { sums, rounds, depth, results, placeOf, more }: Stored): void {
  const { t } = w;
  const { e } = w.frame;
  const { strips } = results[0] as PairResult;
  sums.kept.forEach((_, round) => {
    if (round > 0) barrier(e);
    showSums(w, sums, rounds, round);
    barrier(e);
    const matrices = Math.min(sums.each, sums.matrices.length - round * sums.each);
    const perLine = (strips.length * matrices * unit * rounds.filling) / 4;
    const turns = (t.own * perLine) / threadsOf(t);
    e.open(`for (var i = 0u; i < ${turns}u; i++) {`, ["i"]);
    const at = e.index(e.fresh("at"), turns * threadsOf(t) - 1, `lid + i * ${threadsOf(t)}u`);
    const line = div(at, perLine);
    const quad = mod(at, perLine);
    const [x, y] = [0, 1].map((i) => `edge[${indexText(add(scale(line, 2), int(i)))}]`);
    const edge = more ? e.let(`vec2<f32>(${x}, ${y})`, 2, "f32").text : "";
    const inLine = perLine / strips.length;
    const values = results.map((f) => {
      const [first, next = first] = f.strips as [number, number?];
      const place = add(scale(line, stripPitch(t)), mod(quad, inLine));
      const from = indexText(add(place, add(int(first), scale(div(quad, inLine), next - first))));
      const sum = e.let(`bitcast<vec4<f32>>(sh[${from}])`, 4, "f32").text;
      return { result: f.result, text: e.let(f.value(sum, edge), 4, "f32").text };
    });
    const feature = featuresAt(placeOf(round, quad), depth);
    storeFour(w, { line, feature, depth }, values, more && (() => more(edge)));
    e.close();
  });
}
