import type { Region } from "../fuse/region.ts";
import { add, div, type Index, indexText, int, mod, scale, unravel, variable } from "../ir/index-expr.ts";
import type { Capabilities } from "../manifest/manifest.ts";
import {
  lanes,
  type MatrixTile,
  matrixName,
  matrixThreads,
  resultPitch,
  stripVectors,
  subgroupsOf,
  unit,
} from "../passes/matrix-tiles.ts";
import { operandIndex, type Product, productOf } from "./contraction.ts";
import { halfOperand, type StagedHalves, stageHalves } from "./contraction-matrix-stage.ts";
import { halfSums } from "./contraction-matrix-sums.ts";
import { finisher } from "./contraction-tiled.ts";
import type { Emitter } from "./emitter.ts";
import { closeFrame, type Frame, type Kernel, openFrame } from "./kernel.ts";
import { ridesOn } from "./riders.ts";

/** Rows of tiles in a band. */
const bands = [16, 15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1];

/**
 * Product of halves by subgroup matrices, summed in f32. Both operands are staged in workgroup memory as they lie; results go
 * through the same memory to the invocations that finish and store them. Subgroups are told apart by the invocation's
 * number, and each matrix has a name of its own: drivers keep neither indexed matrices nor those of other offsets in registers.
 */
export function writeMatrix(region: Region, capabilities: Capabilities, t: MatrixTile): Kernel {
  const frame = openFrame(region, capabilities);
  const { e } = frame;
  const p = productOf(region);
  const [a, b] = [halfOperand(region, p.a) ?? p.a, halfOperand(region, p.b) ?? p.b];
  const [tilesM, tilesN] = [Math.ceil(p.m / t.m), Math.ceil(p.n / t.n)];
  const groups = tilesM * tilesN * p.batches;
  const threads = matrixThreads(t);
  const g = e.index("g", Math.max(0, groups - 1), "group");
  const batch = unravel(div(g, tilesM * tilesN), p.batch);
  const place = placeOf(g, tilesM, tilesN, t.band ?? (bands.find((b) => tilesM % b === 0) as number));
  const tileM = scale(place.m, t.m);
  const tileN = scale(place.n, t.n);
  const sg = e.index("sg", subgroupsOf(t) - 1, `lid / ${lanes}u`);
  const rowAt = scale(div(sg, t.n / t.columns), t.rows);
  const colAt = scale(mod(sg, t.n / t.columns), t.columns);

  const { count, depth } = p.parts;
  const first = count > 1 ? scale(batch[0] as Index, depth) : int(0);
  const shared = {
    ...{ depth: t.k, depthLimit: p.k, threads, pad: t.pad ?? 8 },
    beyond: count > 1 && count * depth > p.k,
  };
  const left = stageHalves(frame, {
    ...{ ...shared, operand: a, size: t.m, limit: p.m },
    at: (m, k) => operandIndex(a, batch, m, k),
  });
  const right = stageHalves(frame, {
    ...{ ...shared, operand: b, size: t.n, limit: p.n },
    at: (n, k) => operandIndex(b, batch, k, n),
  });
  const array = "sh";
  const acc = Array.from({ length: t.rows / unit }, () =>
    Array.from({ length: t.columns / unit }, () => {
      const name = e.fresh("acc");
      e.line(`var ${name} = subgroup_matrix_result<f32, ${unit}, ${unit}>();`);
      return name;
    }),
  );
  const summed = { array, depth: t.k, threads };
  const sumsA = ridesOn(region, "a")
    ? [halfSums(frame, { ...summed, side: "a", staged: left, size: t.m, limit: p.m, at: tileM, across: tileN })]
    : [];
  const sumsB = ridesOn(region, "b")
    ? [halfSums(frame, { ...summed, side: "b", staged: right, size: t.n, limit: p.n, at: tileN, across: tileM })]
    : [];

  const load = (step: Index): void => {
    left.load(tileM, add(first, scale(step, t.k)));
    right.load(tileN, add(first, scale(step, t.k)));
  };
  const store = (): void => {
    left.store(array, 0);
    right.store(array, left.vectors);
  };
  const multiply = (): void => {
    for (const s of sumsA) s.add("0u");
    for (const s of sumsB) s.add(`${left.vectors}u`);
    multiplyTile(e, {
      array,
      acc,
      left,
      right,
      second: left.vectors,
      rowAt,
      colAt,
      depth: t.k,
      looped: t.looped ?? false,
    });
  };
  const steps = Math.ceil(depth / t.k);
  writeSteps(e, { steps, prefetch: t.prefetch ?? true, load, store, multiply });
  for (const s of [...sumsA, ...sumsB]) {
    s.write();
    e.line("workgroupBarrier();");
  }

  storeResults(frame, p, t, { array, acc, batch, tileM, tileN, rowAt, colAt, sg, tilesM, tilesN });
  const vectors = Math.max(left.vectors + right.vectors, stripVectors(t));
  return closeFrame(frame, {
    variant: matrixName(t),
    workgroupSize: [threads, 1, 1],
    groups,
    declarations: [`var<workgroup> ${array}: array<vec4<u32>, ${vectors}>;`],
    workgroupBytes: vectors * 16,
    subgroupMatrix: true,
  });
}

/** The tile that workgroup `g` computes: along the rows of tiles, or through bands of several rows column by column. */
export function placeOf(g: Index, tilesM: number, tilesN: number, band: number): { m: Index; n: Index } {
  if (band === 1 || tilesM % band !== 0) return { m: mod(div(g, tilesN), tilesM), n: mod(g, tilesN) };
  const within = mod(g, band * tilesN);
  const m = add(scale(mod(div(g, band * tilesN), tilesM / band), band), mod(within, band));
  return { m, n: div(within, band) };
}

interface Steps {
  readonly steps: number;
  readonly prefetch: boolean;
  load(step: Index): void;
  store(): void;
  multiply(): void;
}

/** The loop over the depth. The next tile is on its way before the first barrier. After the loop nobody reads what was staged. */
function writeSteps(e: Emitter, s: Steps): void {
  if (s.prefetch) s.load(int(0));
  e.open(`for (var step = 0u; step < ${s.steps}u; step++) {`, ["step"]);
  if (!s.prefetch) s.load(e.index("now", s.steps - 1, "step"));
  s.store();
  if (s.prefetch && s.steps > 1) {
    e.open(`if (step + 1u < ${s.steps}u) {`);
    s.load(e.index("next", s.steps - 1, "step + 1u"));
    e.close();
  }
  e.line("workgroupBarrier();");
  s.multiply();
  e.line("workgroupBarrier();");
  e.close();
}

interface Multiplied {
  readonly array: string;
  readonly acc: readonly (readonly string[])[];
  readonly left: StagedHalves;
  readonly right: StagedHalves;
  /** Where the right operand's tile begins in the array. */
  readonly second: number;
  readonly rowAt: Index;
  readonly colAt: Index;
  readonly depth: number;
  readonly looped: boolean;
}

function multiplyTile(e: Emitter, m: Multiplied): void {
  const load = (kind: "left" | "right", s: StagedHalves, at: Index): string => {
    const major = (kind === "left") === (s.along === "inner") ? "row_major" : "col_major";
    const type = `subgroup_matrix_${kind}<f16, ${unit}, ${unit}>`;
    return `subgroupMatrixLoad<${type}, ${major}>(&${m.array}, ${indexText(at)}, ${s.pitch}u)`;
  };
  eachBlock(e, m.depth, m.looped, (place) => {
    m.acc.forEach((_, i) => {
      e.line(`let a${i} = ${load("left", m.left, place(m.left, add(m.rowAt, int(i * unit))))};`);
    });
    m.acc[0]?.forEach((_, j) => {
      const at = add(place(m.right, add(m.colAt, int(j * unit))), int(m.second));
      e.line(`let b${j} = ${load("right", m.right, at)};`);
      m.acc.forEach((row, i) => {
        e.line(`${row[j]} = subgroupMatrixMultiplyAccumulate(a${i}, b${j}, ${row[j]});`);
      });
    });
  });
}

type Lines = Pick<StagedHalves, "along" | "pitch" | "block">;

/** Writes what is done with every 16 of a tile's depth; `place` tells the vector at which an operand's block begins at a place of its outer axis. */
export function eachBlock(
  e: Emitter,
  depth: number,
  looped: boolean,
  body: (place: (s: Lines, outer: Index) => Index) => void,
): void {
  const blocks = depth / unit;
  const i = variable("i", blocks - 1);
  for (let k = 0; k < (looped ? unit : depth); k += unit) {
    e.open(looped ? `for (var i = 0u; i < ${blocks}u; i++) {` : "{", looped ? ["i"] : []);
    body((s, outer) =>
      looped ? add(s.block(outer, 0), scale(i, s.along === "inner" ? unit / 8 : unit * s.pitch)) : s.block(outer, k),
    );
    e.close();
  }
}

interface Results {
  readonly array: string;
  readonly acc: readonly (readonly string[])[];
  readonly batch: readonly Index[];
  readonly tileM: Index;
  readonly tileN: Index;
  readonly rowAt: Index;
  readonly colAt: Index;
  readonly sg: Index;
  readonly tilesM: number;
  readonly tilesN: number;
}

/** Matrices to workgroup memory, 16 rows of each subgroup at a time, and from there to the epilogue in vectors of four. */
function storeResults(frame: Frame, p: Product, t: MatrixTile, r: Results): void {
  const { e } = frame;
  const finish = finisher(frame, p, r.batch, r.tilesM * t.m, r.tilesN * t.n);
  const pitch = resultPitch(t);
  const own = scale(r.sg, unit * pitch);
  const perRow = t.columns / 4;
  r.acc.forEach((row, i) => {
    if (i > 0) e.line("workgroupBarrier();");
    row.forEach((name, j) => {
      e.line(
        `subgroupMatrixStore<row_major>(&${r.array}, ${indexText(add(own, int((j * unit) / 4)))}, ${name}, ${pitch}u);`,
      );
    });
    e.line("workgroupBarrier();");
    const turns = (unit * perRow) / lanes;
    e.open(`for (var i = 0u; i < ${turns}u; i++) {`, ["i"]);
    const at = e.index("at", turns * lanes - 1, `lid % ${lanes}u + i * ${lanes}u`);
    const [line, quad] = [div(at, perRow), mod(at, perRow)];
    const value = `bitcast<vec4<f32>>(${r.array}[${indexText(add(own, add(scale(line, pitch), quad)))}])`;
    const m = add(add(r.tileM, r.rowAt), add(line, int(i * unit)));
    const n = add(div(add(r.tileN, r.colAt), 4), quad);
    e.line(`${finish}(g, ${indexText(m)}, ${indexText(n)}, ${value});`);
    e.close();
  });
}
