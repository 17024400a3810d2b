import { halvesBias, halvesTop, largestExponent, leastExponent } from "../ir/ops/halves.ts";
import { lanes } from "../passes/matrix-tiles.ts";
import type { StagedPair } from "./contraction-matrix-f16x3-stage.ts";
import type { Emitter } from "./emitter.ts";

/** As in matrices that are stored as halves. */
export const [bias, top, least, largest] = [halvesBias, halvesTop, leastExponent, largestExponent];

/** What multiplies operands whose largest has the exponent that the text gives, and what undoes it. */
export const scaleOf = (exponent: string): string => `bitcast<f32>((${2 * bias + top - 1}u - ${exponent}) << 23u)`;
export const unscaleOf = (exponent: string): string => `bitcast<f32>((${exponent} - ${top - 1}u) << 23u)`;

/** The exponents that operands are scaled for: those of the largest magnitudes of a chunk so far. */
export function declareExponents(e: Emitter): void {
  e.line(`var top_a = ${least}u;`);
  e.line(`var top_b = ${least}u;`);
}

export const peaksDeclaration = (subgroups: number): string => `var<workgroup> peaks: array<vec2<u32>, ${subgroups}>;`;

/** Largest magnitudes of what is in registers, those of each subgroup, to workgroup memory: as bits, which are in the same order. */
export function writePeaks(e: Emitter, sides: readonly StagedPair[]): void {
  const [a, b] = sides.map((side) => {
    const v = e.let(side.peak(), 4, "f32").text;
    return `subgroupMax(bitcast<u32>(max(max(${v}.x, ${v}.y), max(${v}.z, ${v}.w))))`;
  });
  e.line(`let peak = vec2<u32>(${a}, ${b});`);
  e.line(`if (lid % ${lanes}u == 0u) { peaks[lid / ${lanes}u] = peak; }`);
}

/** Declares `exponents`, those of the largest magnitudes of the two tiles in registers. */
function readExponents(e: Emitter, subgroups: number): void {
  const all = Array.from({ length: subgroups }, (_, i) => `peaks[${i}u]`).reduce((a, b) => `max(${a}, ${b})`);
  e.line(`let exponents = clamp(${all} >> vec2<u32>(23u), vec2<u32>(${least}u), vec2<u32>(${largest}u));`);
}

/**
 * Declares `scale_a` and `scale_b` for the tile in registers: where `fresh` holds by its own magnitudes, else by the largest of the
 * chunk. Where those grow, the sums `acc` so far become what they would be.
 */
export function writeScales(e: Emitter, subgroups: number, fresh: string, acc: readonly string[]): void {
  readExponents(e, subgroups);
  e.open(`if (${fresh}) {`);
  e.line("top_a = exponents.x;");
  e.line("top_b = exponents.y;");
  e.close();
  e.open("if (exponents.x > top_a || exponents.y > top_b) {");
  e.line("let grown = max(exponents, vec2<u32>(top_a, top_b));");
  e.line(`let up = min(grown.x + grown.y - top_a - top_b, ${bias}u);`);
  e.line(`let ratio = bitcast<f32>((${bias}u - up) << 23u);`);
  for (const name of acc) e.line(`${name} = subgroupMatrixScalarMultiply(${name}, ratio);`);
  e.line("top_a = grown.x;");
  e.line("top_b = grown.y;");
  e.close();
  e.line(`let scale_a = ${scaleOf("top_a")};`);
  e.line(`let scale_b = ${scaleOf("top_b")};`);
}
