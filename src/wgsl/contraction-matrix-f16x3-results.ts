import { add, div, type Index, indexText, int, mod, scale } from "../ir/index-expr.ts";
import { halvesBias, halvesTop } from "../ir/ops/halves.ts";
import { lanes, resultPitch, stripVectors, type TileShape, unit } from "../passes/matrix-tiles.ts";
import type { Emitter } from "./emitter.ts";

/** A subgroup's sums: matrices by name, and what was added to f32 sums in registers so far, by strip of 16 rows and turn. */
export interface PairResults {
  readonly array: string;
  readonly acc: readonly (readonly string[])[];
  readonly kept: readonly (readonly string[])[];
  readonly sg: Index;
  /** Strips that go through workgroup memory at a time. */
  readonly slots: number;
}

const zeroMatrix = `subgroup_matrix_result<f32, ${unit}, ${unit}>()`;

/** Vectors of four that an invocation has of each strip. */
const turnsOf = (t: TileShape): number => (unit * t.columns) / 4 / lanes;

/** Declares the sums. Without chunks none are kept in registers. */
export function pairResults(
  e: Emitter,
  t: TileShape,
  { array, sg, slots, chunks }: Pick<PairResults, "array" | "sg" | "slots"> & { readonly chunks: number },
): PairResults {
  const declare = (count: number, prefix: string, value: string): readonly (readonly string[])[] =>
    Array.from({ length: t.rows / unit }, () =>
      Array.from({ length: count }, () => {
        const name = e.fresh(prefix);
        e.line(`var ${name} = ${value};`);
        return name;
      }),
    );
  const acc = declare(t.columns / unit, "acc", zeroMatrix);
  return { array, acc, kept: chunks > 1 ? declare(turnsOf(t), "kept", "vec4<f32>()") : [], sg, slots };
}

/** Adds the matrices to the sums in registers, and begins with them anew. Nobody may need what is staged any more. */
export function keepPairs(e: Emitter, t: TileShape, r: PairResults): void {
  const { slots } = r;
  writeUnscale(e);
  const own = e.index("own", lanes - 1, `lid % ${lanes}u`);
  for (let strip = 0; strip < r.kept.length; strip += slots) {
    for (let slot = 0; slot < slots; slot++) storeStrip(e, t, r, strip + slot, slot);
    e.line("workgroupBarrier();");
    for (let slot = 0; slot < slots; slot++) {
      r.kept[strip + slot]?.forEach((name, turn) => {
        const { place } = inStrip(t, add(own, int(turn * lanes)));
        e.line(`${name} += ${readStrip(t, r, slot, place)} * unscale.x * unscale.y;`);
      });
    }
    e.line("workgroupBarrier();");
  }
  for (const name of r.acc.flat()) e.line(`${name} = ${zeroMatrix};`);
}

/** Hands every four results to `finish`, by their row in the subgroup's and their place in it. */
export function storePairs(
  e: Emitter,
  t: TileShape,
  r: PairResults,
  finish: (line: Index, quad: Index, value: string) => void,
): void {
  const kept = r.kept.length > 0;
  const own = e.index("own", lanes - 1, `lid % ${lanes}u`);
  if (!kept) writeUnscale(e);
  for (let strip = 0; strip < t.rows / unit; strip++) {
    if (kept) {
      // An invocation reads what it writes: no other one has to wait.
      r.kept[strip]?.forEach((name, turn) => {
        const { place } = inStrip(t, add(own, int(turn * lanes)));
        e.line(`${r.array}[${indexText(add(stripAt(t, r.sg, 0), place))}] = bitcast<vec4<u32>>(${name});`);
      });
    } else {
      if (strip > 0) e.line("workgroupBarrier();");
      storeStrip(e, t, r, strip, 0);
      e.line("workgroupBarrier();");
    }
    e.open(`for (var i = 0u; i < ${turnsOf(t)}u; i++) {`, ["i"]);
    const at = e.index("at", turnsOf(t) * lanes - 1, `own + i * ${lanes}u`);
    const { line, quad, place } = inStrip(t, at);
    const value = readStrip(t, r, 0, place);
    finish(add(line, int(strip * unit)), quad, kept ? value : `${value} * unscale.x * unscale.y`);
    e.close();
  }
}

/** Where the subgroup's strip in a slot begins. */
const stripAt = (t: TileShape, sg: Index, slot: number): Index =>
  add(scale(sg, unit * resultPitch(t)), int(stripVectors(t) * slot));

function storeStrip(e: Emitter, t: TileShape, r: PairResults, strip: number, slot: number): void {
  r.acc[strip]?.forEach((name, j) => {
    const at = add(stripAt(t, r.sg, slot), int((j * unit) / 4));
    e.line(`subgroupMatrixStore<row_major>(&${r.array}, ${indexText(at)}, ${name}, ${resultPitch(t)}u);`);
  });
}

const readStrip = (t: TileShape, r: PairResults, slot: number, place: Index): string =>
  `bitcast<vec4<f32>>(${r.array}[${indexText(add(stripAt(t, r.sg, slot), place))}])`;

/** The row and the four in it of the vector `at` of a strip, and its place in workgroup memory. */
function inStrip(t: TileShape, at: Index): { readonly line: Index; readonly quad: Index; readonly place: Index } {
  const perRow = t.columns / 4;
  const [line, quad] = [div(at, perRow), mod(at, perRow)];
  return { line, quad, place: add(scale(line, resultPitch(t)), quad) };
}

/** What undoes the scales, in two factors that f32 has, whatever the exponents are. */
function writeUnscale(e: Emitter): void {
  e.line(`let power = i32(top_a + top_b) - ${2 * (halvesBias + halvesTop - 1)};`);
  e.line("let some = power / 2;");
  e.line(
    `let unscale = bitcast<vec2<f32>>(vec2<u32>(vec2<i32>(some, power - some) + ${halvesBias}) << vec2<u32>(23u));`,
  );
}
