import type { Region } from "../fuse/region.ts";
import type { Node } from "../ir/graph.ts";
import { add, div, type Index, indexText, int, mod, scale, unravel, variable } from "../ir/index-expr.ts";
import { type ProductParts, partsOf } from "../ir/ops/contraction.ts";
import type { Capabilities } from "../manifest/manifest.ts";
import { always, settled } from "./agree.ts";
import { lane, shapeOf, type Value } from "./emitter.ts";
import { closeFrame, type Frame, type Kernel, openFrame, writeAt } from "./kernel.ts";
import { leftReader, rightReader } from "./operand-readers.ts";
import { ridesOn, ridingOf, writeFourSums, writeSums } from "./riders.ts";
import { typeOf } from "./storage.ts";

/** Sizes of a batched product [batch…, M, K] × [batch…, K, N]. */
export interface Product {
  readonly node: Node;
  readonly a: Node;
  readonly b: Node;
  readonly batch: readonly number[];
  readonly batches: number;
  readonly m: number;
  readonly n: number;
  readonly k: number;
  /** How K is divided among the first batch axis; the whole of it unless the product is in parts. */
  readonly parts: ProductParts;
  /** What is computed from the product; other outputs are those of riders. */
  readonly outputs: readonly Node[];
}

export function productOf(region: Region): Product {
  const node = region.anchors.find((n) => n.op === "matmul") as Node;
  const [a, b] = node.args as [Node, Node];
  const shape = shapeOf(node);
  const batch = shape.slice(0, -2);
  const k = shapeOf(a)[a.type.shape.length - 1] as number;
  return {
    node,
    a,
    b,
    batch,
    batches: batch.reduce((p, d) => p * d, 1),
    m: shape[shape.length - 2] as number,
    n: shape[shape.length - 1] as number,
    k,
    parts: partsOf(node.attrs, k),
    outputs: ridingOf(region).outputs,
  };
}

/** Index of an operand: its own batch axes are the last ones of the result's. */
export const operandIndex = (operand: Node, batch: readonly Index[], i: Index, j: Index): Index[] => [
  ...batch.slice(batch.length - (operand.type.shape.length - 2)),
  i,
  j,
];

/** Text of `a * b + c`, fused for floats. */
export const multiplyAdd = (dtype: string, a: string, b: string, c: string): string =>
  dtype === "f32" || dtype === "f16" ? `fma(${a}, ${b}, ${c})` : `${a} * ${b} + ${c}`;

/** Evaluates every output of the product at (batch, m, n + lane) with `value` as the product, and stores it. */
export function writeEpilogue(frame: Frame, p: Product, at: readonly Index[], value: Value): void {
  frame.e.provide(p.node, () => value);
  writeAt(frame, p.outputs, at);
}

/** Rows and columns an invocation of the direct variant computes. */
export interface DirectTile {
  readonly rows: number;
  /** Columns a vector: 1, 2 or 4; packed f16 results need 2 or 4. */
  readonly width?: number;
  /** Vectors of columns. */
  readonly vectors: number;
  /** Invocations a workgroup, along the columns; by default what leaves the fewest idle. */
  readonly size?: number;
}

const workOf = (p: Product): number => p.m * p.n * p.k * p.batches;

/** Taller tiles load less and run a fifth faster or more, but take twice as long to compile: they are for products that repay it. */
const rowsFor = (p: Product): number => (workOf(p) >= 2 ** 18 ? 8 : 4);

/** Products this small are done before a tile is compiled: an invocation computes one vector. */
const isTiny = (region: Region, p: Product): boolean =>
  workOf(p) < 2 ** 14 && !ridesOn(region, "a") && !ridesOn(region, "b");

/** The workgroup size that leaves the fewest invocations without columns. */
function groupAlong(tiles: number): number {
  const waste = (s: number): number => Math.ceil(tiles / s) * s - tiles;
  return [64, 32, 16, 8].reduce((best, s) => (waste(s) < waste(best) ? s : best), 64);
}

/**
 * The variant without workgroup memory: every invocation computes a small tile from vector loads. The fastest one on
 * CPU adapters, and the one for shapes too small to fill a workgroup tile.
 */
export function writeDirect(region: Region, capabilities: Capabilities, tile?: DirectTile): Kernel {
  const frame = openFrame(region, capabilities);
  const { e } = frame;
  const p = productOf(region);
  const dtype = p.node.type.dtype;
  const packed = !capabilities.features.f16 && region.outputs.some((n) => n.type.dtype === "f16");
  const width = tile?.width ?? (always(region, p.n % 4 === 0) ? 4 : packed ? 2 : 1);
  const columns = p.n / width;
  const tiny = settled(region, "tiny", isTiny(region, p));
  const tm = settled(region, "rows", Math.min(tile?.rows ?? (tiny ? 1 : rowsFor(p)), p.m));
  const tn = settled(region, "columns", Math.min(tile?.vectors ?? (tiny ? 1 : width === 4 ? 2 : 4), columns));
  const tilesM = Math.ceil(p.m / tm);
  const tilesN = Math.ceil(columns / tn);
  const size = settled(region, "size", tile?.size ?? groupAlong(tilesN));
  const blocks64 = Math.ceil(tilesN / size);
  const groups = blocks64 * tilesM * p.batches;
  // The rows of A depend on the workgroup alone, so that their loads are uniform: one for all invocations.
  const g = e.index("g", Math.max(0, groups - 1), "group");
  const tileN = e.index("tile_n", Math.max(0, tilesN - 1), `(g % ${blocks64}u) * ${size}u + lid`);
  if (!always(region, tilesN % size === 0)) e.line(`if (tile_n >= ${tilesN}u) { return; }`);
  const tileM = mod(div(g, blocks64), tilesM);
  const batch = unravel(div(g, blocks64 * tilesM), p.batch);
  const rows = Array.from({ length: tm }, (_, i) => clampTo(frame, add(scale(tileM, tm), int(i)), p.m));
  const vectors = Array.from({ length: tn }, (_, j) => clampTo(frame, add(scale(tileN, tn), int(j)), columns));
  const cols = vectors.map((v) => (width === 1 ? v : add(scale(v, width), lane(width))));

  const wholeColumns = always(region, columns % tn === 0);
  const wholeRows = always(region, p.m % tm === 0);
  const columnGuard = (j: number): string => (wholeColumns ? "" : guard(frame, add(scale(tileN, tn), int(j)), columns));

  const acc = rows.map(() =>
    cols.map(() => {
      const name = e.fresh("acc");
      e.line(`var ${name} = ${typeOf(dtype, width)}();`);
      return name;
    }),
  );
  const left = leftReader(frame, p, batch, rows, tileM, tm);
  const right = rightReader(frame, p, batch, cols, width);
  const step = (a: (i: number) => string, b: (j: number) => string): void => {
    acc.forEach((line, i) => {
      line.forEach((name, j) => {
        const wide = width === 1 ? a(i) : `${typeOf(dtype, width)}(${a(i)})`;
        e.line(`${name} = ${multiplyAdd(dtype, wide, b(j), name)};`);
      });
    });
  };
  const blocks = Math.floor(p.k / 4);
  if (blocks > 0) {
    const kv = e.fresh("k");
    e.open(`for (var ${kv} = 0u; ${kv} < ${frame.end(blocks)}; ${kv}++) {`, [kv]);
    const k4 = scale(variable(kv, blocks - 1), 4);
    const a = left.four(k4);
    const b = right.four(k4);
    for (let kk = 0; kk < 4; kk++) step(a(kk), b(kk));
    e.close();
  }
  if (region.uniform && !always(region, p.k % 4 === 0)) {
    const kv = e.fresh("k");
    e.open(`for (var ${kv} = ${blocks * 4}u; ${kv} < ${p.k}u; ${kv}++) {`, [kv]);
    const k = variable(kv, p.k - 1);
    step(left.one(k), right.one(k));
    e.close();
  } else for (let k = blocks * 4; k < p.k; k++) step(left.one(int(k)), right.one(int(k)));

  if (ridesOn(region, "b")) sumColumns(frame, p, tileM, cols, width, (j) => columnGuard(j));
  if (ridesOn(region, "a")) sumRows(frame, p, mod(g, blocks64), tileM, tm);
  e.width = width;
  rows.forEach((r, i) => {
    cols.forEach((c, j) => {
      const guards = [...(wholeRows ? [] : [guard(frame, add(scale(tileM, tm), int(i)), p.m)]), columnGuard(j)].filter(
        (g) => g !== "",
      );
      e.open(guards.length ? `if (${guards.join(" && ")}) {` : "{");
      const value: Value = { text: (acc[i] as string[])[j] as string, width, dtype, depth: e.depth };
      writeEpilogue(frame, p, [...batch, r, c], value);
      e.close();
    });
  });
  return closeFrame(frame, { variant: `direct_${tm}x${tn * width}x${size}`, workgroupSize: [size, 1, 1], groups });
}

/** Sums of B's columns, by the workgroups of the first rows: reading B once more costs them little. */
function sumColumns(
  frame: Frame,
  p: Product,
  tileM: Index,
  cols: readonly Index[],
  width: number,
  guardOf: (j: number) => string,
): void {
  const { e } = frame;
  const dtype = p.node.type.dtype;
  e.open(`if (${indexText(tileM)} == 0u) {`);
  const sums = cols.map(() => declare(frame, typeOf(dtype, width)));
  const kv = e.fresh("k");
  e.open(`for (var ${kv} = 0u; ${kv} < ${frame.end(p.k)}; ${kv}++) {`, [kv]);
  e.width = width;
  cols.forEach((c, j) => {
    const b = e.value(p.b, operandIndex(p.b, [], variable(kv, p.k - 1), c));
    e.line(`${sums[j]} += ${b.width === width ? b.text : `${typeOf(dtype, width)}(${b.text})`};`);
  });
  e.close();
  cols.forEach((c, j) => {
    e.open(guardOf(j) ? `if (${guardOf(j)}) {` : "{");
    e.width = width;
    writeSums(frame, "b", c, { text: sums[j] as string, width, dtype, depth: e.depth });
    e.close();
  });
  e.close();
}

/** Sums of A's rows, by the workgroups of the first columns; one invocation stores them. */
function sumRows(frame: Frame, p: Product, block: Index, tileM: Index, tm: number): void {
  const { e } = frame;
  const dtype = p.node.type.dtype;
  e.open(`if (${indexText(block)} == 0u && lid == 0u) {`);
  for (let first = 0; first < tm; first += 4) {
    const sum = declare(frame, typeOf(dtype, 4));
    const row = add(scale(tileM, tm), int(first));
    const rows = Array.from({ length: 4 }, (_, l) => clampTo(frame, add(row, int(l)), p.m));
    const kv = e.fresh("k");
    e.open(`for (var ${kv} = 0u; ${kv} < ${frame.end(p.k)}; ${kv}++) {`, [kv]);
    e.width = 1;
    const parts = rows.map((r) => e.value(p.a, operandIndex(p.a, [], r, variable(kv, p.k - 1))).text);
    e.line(`${sum} += ${typeOf(dtype, 4)}(${parts.join(", ")});`);
    e.close();
    const value: Value = { text: sum, width: 4, dtype, depth: e.depth };
    writeFourSums(frame, "a", row, p.m, value, Math.min(4, tm - first));
  }
  e.close();
}

function declare({ e }: Frame, type: string): string {
  const name = e.fresh("sum");
  e.line(`var ${name} = ${type}();`);
  return name;
}

/** The index, kept below `size`: edge tiles repeat the last row instead of reading past the end. */
function clampTo(frame: Frame, at: Index, size: number): Index {
  if (always(frame.region, at.max < size)) return at;
  const { e } = frame;
  return e.opaque(`min(${indexText(at)}, ${size - 1}u)`, size - 1, e.depthOf([at]));
}

const guard = ({ region }: Frame, at: Index, size: number): string =>
  always(region, at.max < size) ? "" : `${indexText(at)} < ${size}u`;
