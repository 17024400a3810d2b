import type { Region } from "../fuse/region.ts";
import type { Side } from "../fuse/riders.ts";
import { add, div, type Index, indexText, int, mod, scale, unravel, variable } from "../ir/index-expr.ts";
import { halvesBlock } from "../ir/ops/halves.ts";
import type { Capabilities } from "../manifest/manifest.ts";
import {
  lanes,
  matrixThreads,
  type StoredTile,
  storedName,
  stripsAtOnce,
  stripVectors,
  subgroupsOf,
  unit,
} from "../passes/matrix-tiles.ts";
import { type Product, productOf } from "./contraction.ts";
import { placeOf } from "./contraction-matrix.ts";
import {
  directFragments,
  exponentText,
  type Fragments,
  ownVectors,
  type StoredOperand,
  type StoredSide,
  stagedFragments,
  storedOperand,
} from "./contraction-matrix-f16x3-fragments.ts";
import { keepPairs, type PairResults, pairResults, storePairs } from "./contraction-matrix-f16x3-results.ts";
import { pairRiders, pairSides } from "./contraction-matrix-f16x3-sides.ts";
import { finisher } from "./contraction-tiled.ts";
import type { Emitter } from "./emitter.ts";
import { closeFrame, type Kernel, openFrame } from "./kernel.ts";
import { ridesOn } from "./riders.ts";

/** Both operands of a product of two matrices, if they are stored as halves. */
export function storedOperands(p: Product): readonly [StoredOperand, StoredOperand] | undefined {
  const [a, b] = [storedOperand(p.a, true), storedOperand(p.b, false)];
  return a && b ? [a, b] : undefined;
}

/** Rows of tiles in a band. */
const bands = [8, 7, 6, 5, 4, 3, 2, 1];

/**
 * Product of f32 that is stored as halves (`halveOperands`), by subgroup matrices. Fragments come from where they are stored or through
 * workgroup memory, whichever way they lie there, and need no scaling: those of a block have an exponent, and what a block adds to
 * the sum is added to f32 sums in registers, as matrix units truncate where they add.
 */
export function writeStored(region: Region, capabilities: Capabilities, t: StoredTile): Kernel {
  const frame = openFrame(region, capabilities);
  const { e } = frame;
  const p = productOf(region);
  const [a, b] = storedOperands(p) as readonly [StoredOperand, StoredOperand];
  const [tilesM, tilesN] = [Math.ceil(p.m / t.m), Math.ceil(p.n / t.n)];
  const groups = tilesM * tilesN * p.batches;
  const threads = matrixThreads(t);
  const g = e.index("g", Math.max(0, groups - 1), "group");
  const batch = unravel(div(g, tilesM * tilesN), p.batch);
  const place = placeOf(g, tilesM, tilesN, t.band ?? (bands.find((n) => tilesM % n === 0) as number));
  const [tileM, tileN] = [scale(place.m, t.m), scale(place.n, t.n)];
  const sg = e.index("sg", subgroupsOf(t) - 1, `lid / ${lanes}u`);
  const rowAt = scale(div(sg, t.n / t.columns), t.rows);
  const colAt = scale(mod(sg, t.n / t.columns), t.columns);
  const { count, depth } = p.parts;
  const first = count > 1 ? scale(batch[0] as Index, depth) : int(0);
  // Chunks are in one block each, wherever parts begin.
  const chunk = [halvesBlock, halvesBlock / 2].find((n) => n >= t.k && (count === 1 || depth % n === 0)) ?? t.k;
  const chunks = Math.ceil(depth / chunk);
  const inChunk = Math.ceil(Math.min(chunk, depth) / t.k);
  const steps = chunks * inChunk;
  // A shorter last part takes fewer chunks where those are whole: nothing it loads has to be masked.
  const fewer = count > 1 && count * depth > p.k && p.k % chunk === 0;
  const end = fewer ? p.k : (count - 1) * depth + steps * t.k;
  // Rows beyond the end repeat the last one: one of the operands must have zeros there, and what is added up. So must one of parts that begin beyond it.
  const whole = Math.ceil(p.k / halvesBlock) * halvesBlock;
  const repeats = (side: Side): boolean => end > p.k && (ridesOn(region, side) || (side === "b" && !a.inner));
  const shared = { depth: t.k, limit: fewer ? count * depth : p.k, threads };
  const sideOf = (side: Side, o: StoredOperand): StoredSide => {
    const masked = !o.inner && repeats(side) ? p.k : side === "b" && end > whole ? whole : undefined;
    const own = side === "a" ? { size: t.m, at: tileM } : { size: t.n, at: tileN };
    return { ...o, ...shared, ...own, ...(masked !== undefined && { masked }) };
  };
  const [leftSide, rightSide] = [sideOf("a", a), sideOf("b", b)];

  const array = "sh";
  const own = ownVectors(e, threads);
  let k: Index = int(0);
  const left = t.direct ? directFragments(e, leftSide, () => k) : stagedFragments(e, leftSide, own, 0);
  const right = stagedFragments(e, rightSide, own, 2 * left.vectors);
  const riders = pairRiders(frame, pairSides(t, p, [left, right], [tileM, tileN]), { array, depth: t.k, threads });
  const vectors = 2 * (left.vectors + right.vectors);
  const slots = stripsAtOnce(t, vectors);
  const results = pairResults(e, t, { array, sg, slots, chunks });

  const barrier = (): void => e.line("workgroupBarrier();");
  const load = (step: Index): void => {
    for (const s of [left, right]) s.load(add(first, scale(step, t.k)));
  };
  const tops = [leftSide, rightSide].map((s, i) => ({ s, name: `top_${"ab"[i]}` }));
  if (chunks === 1) for (const { name } of tops) e.line(`var ${name} = 0u;`);
  e.open("{");
  load(int(0));
  e.close();
  const last = fewer ? (p.k - (count - 1) * depth) / chunk : chunks;
  const some = `select(${chunks}u, ${last}u, ${indexText(batch[0] ?? int(0))} == ${count - 1}u)`;
  if (fewer) e.line(`let chunks = ${some};`);
  const ends = fewer ? "chunks" : `${chunks}u`;
  e.open(`for (var chunk = 0u; chunk < ${ends}; chunk++) {`, ["chunk"]);
  const chunkAt = add(first, scale(variable("chunk", chunks - 1), chunk));
  for (const { s, name } of tops) e.line(`${chunks > 1 ? "let " : ""}${name} = ${exponentText(e, s, chunkAt)};`);
  e.open(`for (var step = 0u; step < ${inChunk}u; step++) {`, ["step"]);
  k = add(chunkAt, scale(variable("step", inChunk - 1), t.k));
  for (const s of [left, right]) s.store(array);
  barrier();
  for (const r of riders) r.sums.add(`${r.base}u`);
  // Loads are on their way while matrices are multiplied.
  if (steps > 1) {
    e.line(`let next = chunk * ${inChunk}u + step + 1u;`);
    e.open(`if (next < ${fewer ? `${ends} * ${inChunk}u` : `${steps}u`}) {`, ["next"]);
    load(variable("next", steps - 1));
    e.close();
  }
  multiply(e, t, { array, results, left, right, rowAt, colAt });
  barrier();
  e.close();
  if (chunks > 1) keepPairs(e, t, results);
  e.close();
  for (const r of riders) {
    r.sums.write();
    barrier();
  }
  const finish = finisher(frame, p, batch, tilesM * t.m, tilesN * t.n);
  storePairs(e, t, results, (line, quad, value) => {
    const [m, n] = [add(add(tileM, rowAt), line), add(div(add(tileN, colAt), 4), quad)];
    e.line(`${finish}(g, ${indexText(m)}, ${indexText(n)}, ${value});`);
  });
  const room = Math.max(vectors, stripVectors(t) * slots);
  return closeFrame(frame, {
    variant: storedName(t),
    workgroupSize: [threads, 1, 1],
    groups,
    declarations: [`var<workgroup> ${array}: array<vec4<u32>, ${room}>;`],
    workgroupBytes: room * 16,
    subgroupMatrix: true,
  });
}

interface Multiplied {
  readonly array: string;
  readonly results: PairResults;
  readonly left: Fragments;
  readonly right: Fragments;
  readonly rowAt: Index;
  readonly colAt: Index;
}

/** Names of the left operand's fragments: those of the upper halves of all its rows, then of the lower ones. */
function multiply(e: Emitter, t: StoredTile, { array, results, left, right, rowAt, colAt }: Multiplied): void {
  const { acc } = results;
  // Those that are loaded from memory are told from what stays in workgroup memory (by tests, which compute without matrix units).
  const [name, rows] = [t.direct ? "own" : "left", acc.length];
  const fragment = (kind: "left" | "right", major: string, args: string): string =>
    `subgroupMatrixLoad<subgroup_matrix_${kind}<f16, ${unit}, ${unit}>, ${major}>(${args})`;
  const majors = [
    left.along === "inner" ? "row_major" : "col_major",
    right.along === "inner" ? "col_major" : "row_major",
  ];
  for (let inner = 0; inner < t.k / unit; inner++) {
    e.open("{");
    acc.forEach((_, i) => {
      const at = left.at(array, add(div(rowAt, unit), int(i)), inner);
      at.forEach((args, half) => {
        e.line(`let ${name}${i + half * rows} = ${fragment("left", majors[0] as string, args)};`);
      });
    });
    acc[0]?.forEach((_, j) => {
      const at = right.at(array, add(div(colAt, unit), int(j)), inner);
      at.forEach((args, half) => {
        e.line(`let right${2 * j + half} = ${fragment("right", majors[1] as string, args)};`);
      });
      // Neighbouring products have sums of different names: a matrix unit need not wait for the one before.
      const lowerFirst = [
        [rows, 0],
        [0, 1],
      ] as const;
      const order = t.upperFirst ? ([[0, 0], ...lowerFirst] as const) : ([...lowerFirst, [0, 0]] as const);
      for (const [l, r] of order) {
        acc.forEach((row, i) => {
          const [x, y] = [`${name}${i + l}`, `right${2 * j + r}`];
          e.line(`${row[j]} = subgroupMatrixMultiplyAccumulate(${x}, ${y}, ${row[j]});`);
        });
      }
    });
    e.close();
  }
}
