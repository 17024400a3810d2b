import type { Region } from "../fuse/region.ts";
import { add, div, type Index, indexText, int, mod, scale, unravel } from "../ir/index-expr.ts";
import type { Capabilities } from "../manifest/manifest.ts";
import {
  lanes,
  matrixThreads,
  type PairTile,
  pairBytes,
  pairName,
  pairVectors,
  stripsAtOnce,
  subgroupsOf,
  unit,
} from "../passes/matrix-tiles.ts";
import { operandIndex, productOf } from "./contraction.ts";
import { eachBlock, placeOf } from "./contraction-matrix.ts";
import { keepPairs, pairResults, storePairs } from "./contraction-matrix-f16x3-results.ts";
import { declareExponents, peaksDeclaration, writePeaks, writeScales } from "./contraction-matrix-f16x3-scale.ts";
import { pairRiders, pairSides } from "./contraction-matrix-f16x3-sides.ts";
import { type StagedPair, stagePairs } from "./contraction-matrix-f16x3-stage.ts";
import { finisher } from "./contraction-tiled.ts";
import type { Emitter } from "./emitter.ts";
import { closeFrame, type Kernel, openFrame } from "./kernel.ts";

/**
 * Product of f32 by subgroup matrices of halves, as accurate as one in f32. An operand is split into two halves of 11 bits each,
 * x = hi + lo, and hi hi + hi lo + lo hi is summed in f32 (Ootomo and Yokota, arXiv 2203.03341). Halves have few exponents: each
 * tile is multiplied by a power of two from its largest magnitude on its way into workgroup memory, the same one as long as
 * magnitudes do not grow; where they do, what was summed so far is multiplied by the ratio. Matrix units truncate where they add,
 * so every `chunk` terms their sums are added to f32 sums in registers. A product of an infinity is NaN.
 */
export function writePairs(region: Region, capabilities: Capabilities, t: PairTile): Kernel {
  const frame = openFrame(region, capabilities);
  const { e } = frame;
  const p = productOf(region);
  const [tilesM, tilesN] = [Math.ceil(p.m / t.m), Math.ceil(p.n / t.n)];
  const groups = tilesM * tilesN * p.batches;
  const threads = matrixThreads(t);
  const subgroups = subgroupsOf(t);
  const g = e.index("g", Math.max(0, groups - 1), "group");
  const batch = unravel(div(g, tilesM * tilesN), p.batch);
  const place = placeOf(g, tilesM, tilesN, t.band ?? 1);
  const [tileM, tileN] = [scale(place.m, t.m), scale(place.n, t.n)];
  const sg = e.index("sg", subgroups - 1, `lid / ${lanes}u`);
  const rowAt = scale(div(sg, t.n / t.columns), t.rows);
  const colAt = scale(mod(sg, t.n / t.columns), t.columns);
  const { count, depth } = p.parts;
  const first = count > 1 ? scale(batch[0] as Index, depth) : int(0);
  const shared = {
    ...{ depth: t.k, depthLimit: p.k, threads, pad: t.pad ?? 8 },
    beyond: count > 1 && count * depth > p.k,
  };
  const left = stagePairs(frame, {
    ...{ ...shared, operand: p.a, size: t.m, limit: p.m },
    at: (m, k) => operandIndex(p.a, batch, m, k),
  });
  const right = stagePairs(frame, {
    ...{ ...shared, operand: p.b, size: t.n, limit: p.n },
    at: (n, k) => operandIndex(p.b, batch, k, n),
  });
  const array = "sh";
  const sides = pairSides(t, p, [left, right], [tileM, tileN]);
  const riders = pairRiders(frame, sides, { array, depth: t.k, threads });
  const steps = Math.ceil(depth / t.k);
  const inChunk = Math.max(1, Math.floor(t.chunk / t.k));
  const chunks = Math.ceil(steps / inChunk);
  const results = pairResults(e, t, { array, sg, chunks, slots: stripsAtOnce(t) });

  const load = (step: Index): void => {
    for (const s of sides) s.staged.load(s.at, add(first, scale(step, t.k)));
  };
  const barrier = (): void => e.line("workgroupBarrier();");
  const within = (condition: string, body: () => void): void => {
    e.open(`if (${condition}) {`);
    body();
    e.close();
  };
  declareExponents(e);
  e.open("{");
  load(int(0));
  writePeaks(e, [left, right]);
  barrier();
  e.close();
  e.open(`for (var step = 0u; step < ${steps}u; step++) {`, ["step"]);
  const fresh = chunks > 1 ? `step % ${inChunk}u == 0u` : "step == 0u";
  writeScales(e, subgroups, fresh, results.acc.flat());
  for (const s of sides) s.staged.store(array, s.base, `scale_${s.side}`);
  barrier();
  for (const r of riders) r.sums.add(`${r.base}u`);
  const next = `step + 1u < ${steps}u`;
  // Loads are on their way while matrices are multiplied; their largest magnitudes wait for them.
  if (steps > 1)
    within(next, () => {
      load(e.index("next", steps - 1, "step + 1u"));
    });
  multiplyPairs(e, {
    array,
    acc: results.acc,
    left,
    right,
    second: 2 * left.vectors,
    rowAt,
    colAt,
    depth: t.k,
    looped: t.looped ?? false,
  });
  if (steps > 1) within(next, () => writePeaks(e, [left, right]));
  barrier();
  if (chunks > 1)
    within(`step % ${inChunk}u == ${inChunk - 1}u || step == ${steps - 1}u`, () => keepPairs(e, t, results));
  e.close();
  for (const r of riders) {
    r.sums.write();
    barrier();
  }
  const finish = finisher(frame, p, batch, tilesM * t.m, tilesN * t.n);
  const row = (at: Index): Index => add(scale(left.quadOf(div(at, 4)), 4), mod(at, 4));
  storePairs(e, t, results, (line, quad, value) => {
    const m = add(tileM, row(add(rowAt, line)));
    const n = add(div(tileN, 4), right.quadOf(add(div(colAt, 4), quad)));
    e.line(`${finish}(g, ${indexText(m)}, ${indexText(n)}, ${value});`);
  });
  return closeFrame(frame, {
    variant: pairName(t),
    workgroupSize: [threads, 1, 1],
    groups,
    declarations: [`var<workgroup> ${array}: array<vec4<u32>, ${pairVectors(t)}>;`, peaksDeclaration(subgroups)],
    workgroupBytes: pairBytes(t),
    subgroups: true,
    subgroupMatrix: true,
  });
}

interface Multiplied {
  readonly array: string;
  readonly acc: readonly (readonly string[])[];
  readonly left: StagedPair;
  readonly right: StagedPair;
  /** Where the right operand's tiles begin in the array. */
  readonly second: number;
  readonly rowAt: Index;
  readonly colAt: Index;
  readonly depth: number;
  readonly looped: boolean;
}

/** Neighbouring products have sums of different names: a matrix unit need not wait for the one before. */
function multiplyPairs(e: Emitter, m: Multiplied): void {
  const load = (kind: "left" | "right", s: StagedPair, at: Index): string => {
    const major = (kind === "left") === (s.along === "inner") ? "row_major" : "col_major";
    const type = `subgroup_matrix_${kind}<f16, ${unit}, ${unit}>`;
    return `subgroupMatrixLoad<${type}, ${major}>(&${m.array}, ${indexText(at)}, ${s.pitch}u)`;
  };
  eachBlock(e, m.depth, m.looped, (place) => {
    m.acc.forEach((_, i) => {
      const at = place(m.left, add(m.rowAt, int(i * unit)));
      e.line(`let a${i} = ${load("left", m.left, at)};`);
      e.line(`let la${i} = ${load("left", m.left, add(at, int(m.left.vectors)))};`);
    });
    m.acc[0]?.forEach((_, j) => {
      const at = add(place(m.right, add(m.colAt, int(j * unit))), int(m.second));
      e.line(`let b${j} = ${load("right", m.right, at)};`);
      e.line(`let lb${j} = ${load("right", m.right, add(at, int(m.right.vectors)))};`);
      for (const [a, b] of [
        ["la", "b"],
        ["a", "lb"],
        ["a", "b"],
      ]) {
        m.acc.forEach((row, i) => {
          e.line(`${row[j]} = subgroupMatrixMultiplyAccumulate(${a}${i}, ${b}${j}, ${row[j]});`);
        });
      }
    });
  });
}
