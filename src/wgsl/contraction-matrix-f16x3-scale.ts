import { halvesBias, largestExponent, leastExponent, scaleText } from "../ir/ops/halves.ts";
import { lanes } from "../passes/matrix-tiles.ts";
import type { StagedPair } from "./contraction-matrix-f16x3-stage.ts";
import type { Emitter } from "./emitter.ts";

export { scaleText as scaleOf, unscaleText as unscaleOf } from "../ir/ops/halves.ts";

/** The exponents that operands are scaled for: those of the largest magnitudes of a chunk so far. */
export function declareExponents(e: Emitter): void {
  e.line(`var top_a = ${leastExponent}u;`);
  e.line(`var top_b = ${leastExponent}u;`);
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

/**
 * Declares `scale_a` and `scale_b` for the tile in registers: where `fresh` holds by its own magnitudes, else by the largest of the
 * chunk. Where those grow, the sums `acc` so far become what they would be.
 */
export function writeScales(e: Emitter, subgroups: number, fresh: string, acc: readonly string[]): void {
  const all = Array.from({ length: subgroups }, (_, i) => `peaks[${i}u]`).reduce((a, b) => `max(${a}, ${b})`);
  const [least, largest] = [leastExponent, largestExponent].map((x) => `vec2<u32>(${x}u)`);
  e.line(`let exponents = clamp(${all} >> vec2<u32>(23u), ${least}, ${largest});`);
  e.open(`if (${fresh}) {`);
  e.line("top_a = exponents.x;");
  e.line("top_b = exponents.y;");
  e.close();
  e.open("if (exponents.x > top_a || exponents.y > top_b) {");
  e.line("let grown = max(exponents, vec2<u32>(top_a, top_b));");
  e.line(`let up = min(grown.x + grown.y - top_a - top_b, ${halvesBias}u);`);
  e.line(`let ratio = bitcast<f32>((${halvesBias}u - up) << 23u);`);
  for (const name of acc) e.line(`${name} = subgroupMatrixScalarMultiply(${name}, ratio);`);
  e.line("top_a = grown.x;");
  e.line("top_b = grown.y;");
  e.close();
  e.line(`let scale_a = ${scaleText("top_a")};`);
  e.line(`let scale_b = ${scaleText("top_b")};`);
}
