import type { Region } from "../fuse/region.ts";
import type { Side } from "../fuse/riders.ts";
import { add, div, type Index, indexText, int, mod, scale, unravel, variable } from "../ir/index-expr.ts";
import type { Capabilities } from "../manifest/manifest.ts";
import { always } from "./agree.ts";
import { multiplyAdd, operandIndex, type Product, productOf, writeEpilogue } from "./contraction.ts";
import { type Emitter, lane } from "./emitter.ts";
import { closeFrame, type Frame, type Kernel, openFrame } from "./kernel.ts";
import { ridesOn, writeFourSums } from "./riders.ts";
import { type Staged, stage } from "./stage.ts";
import { typeOf } from "./storage.ts";

/** A workgroup computes m × n elements, k at a time; an invocation rows × columns of them, in groups of four. */
export interface Tile {
  readonly m: number;
  readonly n: number;
  readonly k: number;
  readonly rows: number;
  readonly columns: number;
}

export const tileBytes = (t: Tile): number => t.k * (t.m + t.n) * 4 + Math.floor(t.k / 4) * 2 * 2 * 16;
export const tileThreads = (t: Tile): number => (t.m / t.rows) * (t.n / t.columns);

/**
 * Matrix product through workgroup memory with register prefetch: while one tile is multiplied, the next one is on its
 * way. Operands are staged K-major so that both are read as vectors. Riders take their sums from the staged tiles.
 */
export function writeTiled(region: Region, capabilities: Capabilities, t: Tile): Kernel {
  const frame = openFrame(region, capabilities);
  const { e } = frame;
  const p = productOf(region);
  const dtype = p.node.type.dtype;
  const tilesM = Math.ceil(p.m / t.m);
  const tilesN = Math.ceil(p.n / t.n);
  const groups = tilesM * tilesN * p.batches;
  const threads = tileThreads(t);
  const across = t.n / t.columns;
  const vec = typeOf(dtype, 4);

  const g = e.index("g", Math.max(0, groups - 1), "group");
  const batch = unravel(div(g, tilesM * tilesN), p.batch);
  const tileM = scale(mod(div(g, tilesN), tilesM), t.m);
  const tileN = scale(mod(g, tilesN), t.n);
  e.line(`let tx = lid % ${across}u;`);
  e.line(`let ty = lid / ${across}u;`);
  const { count, depth } = p.parts;
  const first = count > 1 ? scale(batch[0] as Index, depth) : int(0);
  const shared = {
    depth: t.k,
    depthLimit: p.k,
    beyond: count * depth > p.k && count > 1,
    skewed: true,
    threads,
    dtype,
  };
  const left = stage(frame, {
    ...shared,
    name: "sa",
    operand: p.a,
    at: (m, k) => operandIndex(p.a, batch, m, k),
    size: t.m,
    limit: p.m,
  });
  const right = stage(frame, {
    ...shared,
    name: "sb",
    operand: p.b,
    at: (n, k) => operandIndex(p.b, batch, k, n),
    size: t.n,
    limit: p.n,
  });

  const rowGroups = t.rows / 4;
  const colGroups = t.columns / 4;
  // Texts for all sizes are shipped, and what is alike in them is written once. Accumulators keep names of their own: an
  // array that a loop goes through would not be in registers.
  const short = region.uniform !== undefined;
  const acc = Array.from({ length: t.rows }, () =>
    Array.from({ length: colGroups }, () => {
      const name = e.fresh("acc");
      e.line(`var ${name} = ${vec}();`);
      return name;
    }),
  );
  const sums = [
    ...(ridesOn(region, "a") ? [tileSums(frame, "a", left, t.m, p.m, threads, tileM, tileN)] : []),
    ...(ridesOn(region, "b") ? [tileSums(frame, "b", right, t.n, p.n, threads, tileN, tileM)] : []),
  ];
  const steps = Math.ceil(depth / t.k);
  left.load(tileM, first);
  right.load(tileN, first);
  e.open(`for (var step = 0u; step < ${steps}u; step++) {`, ["step"]);
  left.store();
  right.store();
  e.line("workgroupBarrier();");
  for (const sum of sums) sum.add(t.k);
  if (steps > 1) {
    e.open(`if (step + 1u < ${steps}u) {`);
    const next = e.index("next", steps - 1, "step + 1u");
    left.load(tileM, add(first, scale(next, t.k)));
    right.load(tileN, add(first, scale(next, t.k)));
    e.close();
  }
  for (let k = 0; k < (short ? 1 : t.k); k++) {
    e.open(short ? `for (var k = 0u; k < ${t.k}u; k++) {` : "{");
    const line = ({ pitch, skew }: Staged, at: number): string =>
      short ? `k * ${pitch}u + k / 4u * ${skew}u + ${at}u` : `${k * pitch + Math.floor(k / 4) * skew + at}u`;
    for (let i = 0; i < rowGroups; i++) {
      e.line(`let a${i} = ${left.name}[${line(left, (i * t.m) / rowGroups / 4)} + ty];`);
    }
    for (let j = 0; j < colGroups; j++) {
      e.line(`let b${j} = ${right.name}[${line(right, (j * t.n) / colGroups / 4)} + tx];`);
    }
    for (let r = 0; r < t.rows; r++) {
      for (let j = 0; j < colGroups; j++) {
        const name = (acc[r] as string[])[j] as string;
        e.line(`${name} = ${multiplyAdd(dtype, `${vec}(a${r >> 2}.${"xyzw"[r & 3]})`, `b${j}`, name)};`);
      }
    }
    e.close();
  }
  e.line("workgroupBarrier();");
  e.close();
  for (const sum of sums) sum.write();

  const ty = e.index("row_at", t.m / t.rows - 1, "ty");
  const tx = e.index("col_at", across - 1, "tx");
  const finish = short ? finisher(frame, p, batch, tilesM * t.m, tilesN * t.n) : undefined;
  for (let r = 0; r < t.rows; r++) {
    const row = add(tileM, add(scale(ty, 4), int(((r >> 2) * t.m) / rowGroups + (r & 3))));
    for (let j = 0; j < colGroups; j++) {
      const col = add(tileN, add(scale(tx, 4), int((j * t.n) / colGroups)));
      const value = (acc[r] as string[])[j] as string;
      if (finish) e.line(`${finish}(g, ${indexText(row)}, ${indexText(div(col, 4))}, ${value});`);
      else storeVector(frame, p, batch, row, col, value);
    }
  }
  return closeFrame(frame, {
    variant: `tile_${t.m}x${t.n}x${t.k}`,
    workgroupSize: [threads, 1, 1],
    groups,
    declarations: [left.declaration, right.declaration],
    workgroupBytes: tileBytes(t),
  });
}

/**
 * Sums of the lines of a staged operand over K, by the workgroups of the first tile along the other axis. An invocation
 * adds up a share of each step for one vector; at the end the shares meet in the operand's workgroup memory.
 */
function tileSums(
  frame: Frame,
  side: Side,
  staged: Staged,
  size: number,
  limit: number,
  threads: number,
  at: Index,
  across: Index,
): { add(depth: number): void; write(): void } {
  const { e } = frame;
  const quads = size / 4;
  const shares = threads / quads;
  const dtype = staged.dtype;
  const first = `${indexText(across)} == 0u`;
  const sum = e.fresh("sum");
  e.line(`var ${sum} = ${typeOf(dtype, 4)}();`);
  return {
    add(depth) {
      e.open(`if (${first}) {`);
      const { pitch, skew } = staged;
      const each = depth / shares;
      // The lines of a share lie within four or are whole fours.
      const begin = `(lid / ${quads}u) * ${each * pitch}u + (lid / ${quads}u * ${each}u) / 4u * ${skew}u`;
      for (let k = 0; k < each; k++) {
        e.line(`${sum} += ${staged.name}[${begin} + ${k * pitch + Math.floor(k / 4) * skew}u + lid % ${quads}u];`);
      }
      e.close();
    },
    write() {
      e.line(`if (${first}) { ${staged.name}[lid] = ${sum}; }`);
      e.line("workgroupBarrier();");
      e.open(`if (${first} && lid < ${quads}u) {`);
      const parts = Array.from({ length: shares }, (_, i) => `${staged.name}[lid + ${i * quads}u]`);
      const total = e.let(parts.join(" + "), 4, dtype);
      const quad = e.index("quad", quads - 1, "lid");
      writeFourSums(frame, side, add(at, scale(quad, 4)), limit, total);
      e.close();
    },
  };
}

/** A function that finishes and stores four neighbouring columns: (workgroup, row, column / 4, product). */
export function finisher(frame: Frame, p: Product, batch: readonly Index[], rows: number, cols: number): string {
  const e = frame.e.inFunction(["g", "row", "col"]);
  const col = scale(variable("col", cols / 4 - 1), 4);
  storeVector({ ...frame, e }, p, batch, variable("row", rows - 1), col, "acc");
  const params = `g: u32, row: u32, col: u32, acc: ${typeOf(p.node.type.dtype, 4)}`;
  return frame.e.declare("finish", (name) => `fn ${name}(${params}) {\n${e.body()}\n}`);
}

/** Stores four neighbouring columns of one row, or one by one where the row length is not a multiple of four. */
function storeVector(frame: Frame, p: Product, batch: readonly Index[], row: Index, col: Index, acc: string): void {
  const { e } = frame;
  const dtype = p.node.type.dtype;
  const guardRow = row.max < p.m ? [] : [`${indexText(row)} < ${p.m}u`];
  const within = (at: Index): Index => (at.max < p.n ? at : bounded(e, at, p.n));
  if (always(frame.region, p.n % 4 === 0)) {
    const guards = [...guardRow, ...(col.max + 3 < p.n ? [] : [`${indexText(col)} < ${p.n}u`])];
    e.open(guards.length ? `if (${guards.join(" && ")}) {` : "{");
    e.width = 4;
    const vectors = scale(within4(e, col, p.n), 4);
    const m = guardRow.length ? bounded(e, row, p.m) : row;
    writeEpilogue(frame, p, [...batch, m, add(vectors, lane(4))], { text: acc, width: 4, dtype, depth: e.depth });
    e.close();
    return;
  }
  for (let l = 0; l < 4; l++) {
    const at = add(col, int(l));
    const guards = [...guardRow, ...(at.max < p.n ? [] : [`${indexText(at)} < ${p.n}u`])];
    e.open(guards.length ? `if (${guards.join(" && ")}) {` : "{");
    e.width = 1;
    const m = guardRow.length ? bounded(e, row, p.m) : row;
    writeEpilogue(frame, p, [...batch, m, within(at)], {
      text: `${acc}.${"xyzw"[l]}`,
      width: 1,
      dtype,
      depth: e.depth,
    });
    e.close();
  }
}

/** The same value under a name whose range is known to end below `size`: true where the surrounding guard holds. */
const bounded = (e: Emitter, at: Index, size: number): Index => e.opaque(indexText(at), size - 1, e.depth);
const within4 = (e: Emitter, at: Index, size: number): Index =>
  at.max < size ? div(at, 4) : e.opaque(`(${indexText(at)}) / 4u`, size / 4 - 1, e.depth);
