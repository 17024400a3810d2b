import { isExpensive } from "../fuse/profit.ts";
import type { Region } from "../fuse/region.ts";
import type { Side } from "../fuse/riders.ts";
import { add, div, type Index, indexText, int, mod, scale, unravel, variable } from "../ir/index-expr.ts";
import type { Capabilities } from "../manifest/manifest.ts";
import { type Tile, tileBytes, tileName, tileThreads } from "../passes/product-tiles.ts";
import { always } from "./agree.ts";
import { multiplyAdd, operandIndex, type Product, productOf, writeEpilogue } from "./contraction.ts";
import { type Emitter, lane } from "./emitter.ts";
import { closeFrame, type Frame, type Kernel, openFrame, storesAt } from "./kernel.ts";
import { ridesOn, writeFourSums } from "./riders.ts";
import { type Staged, stage } from "./stage.ts";
import { typeOf } from "./storage.ts";

/** Rows of tiles in a band. */
const bands = [8, 7, 6, 5, 4, 3, 2, 1];

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
  // Down a band of rows of tiles, then to the next column: what neighbours read of both operands is in the cache.
  const band = region.uniform ? 1 : (bands.find((b) => tilesM % b === 0) as number);
  const tileM = scale(add(scale(mod(div(g, band * tilesN), tilesM / band), band), mod(g, band)), t.m);
  const tileN = scale(mod(div(g, band), tilesN), t.n);
  writePlace(e, t);
  const { count, depth } = p.parts;
  const first = count > 1 ? scale(batch[0] as Index, depth) : int(0);
  // A shorter last part takes fewer steps where those are whole: nothing it loads has to be masked.
  const fewer = count > 1 && count * depth > p.k && p.k % t.k === 0;
  const shared = {
    depth: t.k,
    depthLimit: p.k,
    beyond: count * depth > p.k && count > 1 && !fewer,
    skew: 2 as const,
    eager: t.eager ?? false,
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
    ...(ridesOn(region, "a") ? [tileSums(frame, "a", left, t.m, p.m, threads, t.k, tileM, tileN)] : []),
    ...(ridesOn(region, "b") ? [tileSums(frame, "b", right, t.n, p.n, threads, t.k, tileN, tileM)] : []),
  ];
  const sliced = (t.slices ?? 1) > 1;
  const begin = ({ pitch, skew }: Staged): string =>
    sliced ? `slice * ${depthOf(t) * pitch + (depthOf(t) / 4) * skew}u + ` : "";
  e.line(`let from_a = ${begin(left)}ty;`);
  e.line(`let from_b = ${begin(right)}tx;`);
  const steps = Math.ceil(depth / t.k);
  if (fewer) e.line(`let steps = min(${steps}u, ${p.k / t.k}u - ${indexText(div(first, t.k))});`);
  const end = fewer ? "steps" : `${steps}u`;
  left.load(tileM, first);
  right.load(tileN, first);
  e.open(`for (var step = 0u; step < ${end}; step++) {`, ["step"]);
  left.store();
  right.store();
  e.line("workgroupBarrier();");
  for (const sum of sums) sum.add();
  if (steps > 1) {
    // Without a branch the last step loads its own tile again. Drivers wait for what was loaded in a branch where it ends.
    if (!t.eager) e.open(`if (step + 1u < ${end}) {`);
    const last = fewer ? "steps - 1u" : `${steps - 1}u`;
    const next = e.index("next", steps - 1, t.eager ? `min(step + 1u, ${last})` : "step + 1u");
    left.load(tileM, add(first, scale(next, t.k)));
    right.load(tileN, add(first, scale(next, t.k)));
    if (!t.eager) e.close();
  }
  for (let k = 0; k < (short ? 1 : depthOf(t)); k++) {
    e.open(short ? `for (var k = 0u; k < ${depthOf(t)}u; k++) {` : "{");
    const line = ({ pitch, skew }: Staged, at: number): string =>
      short ? `k * ${pitch}u + k / 4u * ${skew}u + ${at}u` : `${k * pitch + Math.floor(k / 4) * skew + at}u`;
    for (let i = 0; i < rowGroups; i++) {
      e.line(`let a${i} = ${left.name}[${line(left, (i * t.m) / rowGroups / 4)} + from_a];`);
    }
    for (let j = 0; j < colGroups; j++) {
      e.line(`let b${j} = ${right.name}[${line(right, (j * t.n) / colGroups / 4)} + from_b];`);
    }
    acc.forEach((line, r) => {
      const a = `${vec}(a${r >> 2}.${"xyzw"[r & 3]})`;
      // Back and forth: what the last product of a row read, the first one of the next row reads again.
      for (let c = 0; c < colGroups; c++) {
        const j = r % 2 ? colGroups - 1 - c : c;
        const name = line[j] as string;
        e.line(`${name} = ${multiplyAdd(dtype, a, `b${j}`, name)};`);
      }
    });
    e.close();
  }
  e.line("workgroupBarrier();");
  e.close();
  for (const sum of sums) sum.write();

  const ty = e.index("row_at", t.m / t.rows - 1, "ty");
  const tx = e.index("col_at", across - 1, "tx");
  const slice = sliced ? e.index("slice_at", (t.slices as number) - 1, "slice") : int(0);
  if (sliced && sums.length > 0) e.line("workgroupBarrier();");
  const results = sliced ? meet(frame, t, acc, left) : acc;
  const cols = Array.from({ length: colGroups }, (_, j) => add(tileN, add(scale(tx, 4), int((j * t.n) / colGroups))));
  const rowOf = (r: Index): Index => {
    const own = add(scale(slice, results.length), r);
    return add(tileM, add(add(scale(div(own, 4), t.m / rowGroups), mod(own, 4)), scale(ty, 4)));
  };
  if (short) {
    const finish = finisher(frame, p, batch, tilesM * t.m, tilesN * t.n);
    results.forEach((line, r) => {
      line.forEach((value, j) => {
        e.line(`${finish}(g, ${indexText(rowOf(int(r)))}, ${indexText(div(cols[j] as Index, 4))}, ${value});`);
      });
    });
  } else if (region.members.some(isExpensive) && results.length > 2) {
    const r = e.fresh("line");
    e.open(`for (var ${r} = 0u; ${r} < ${results.length}u; ${r}++) {`, [r]);
    const values = pickLine(e, results, r, vec);
    storeLine(frame, p, batch, rowOf(variable(r, results.length - 1)), cols, values);
    e.close();
  } else {
    results.forEach((line, r) => {
      storeLine(frame, p, batch, rowOf(int(r)), cols, line);
    });
  }
  return closeFrame(frame, {
    variant: tileName(t),
    workgroupSize: [threads, 1, 1],
    groups,
    declarations: [left.declaration, right.declaration],
    workgroupBytes: tileBytes(t),
  });
}

/** How many of a step's k an invocation takes. */
const depthOf = (t: Tile): number => t.k / (t.slices ?? 1);

/**
 * Where in the tile an invocation is. Each 32 of them, which a subgroup holds or is part of, lie as a block of 8 by 4 or 4 by 8, two
 * by two within it: of neighbours, and of neighbours but one, two read the same vector of one operand, and NVIDIA's workgroup
 * memory then serves 16 invocations at a time instead of 8.
 */
function writePlace(e: Emitter, t: Tile): void {
  const across = t.n / t.columns;
  const down = t.m / t.rows;
  const sliced = (t.slices ?? 1) > 1;
  if (sliced) {
    e.line(`let slice = lid / ${across * down}u;`);
    e.line(`let own = lid % ${across * down}u;`);
  }
  const own = sliced ? "own" : "lid";
  const wide = [8, 4].find((w) => across % w === 0 && down % (32 / w) === 0);
  // Those that compute many columns load so little for each product that the plain order is as good, and quicker to find.
  if (!wide || t.columns > 8) {
    e.line(`let tx = ${own} % ${across}u;`);
    e.line(`let ty = ${own} / ${across}u;`);
    return;
  }
  e.line(`let square = ${own} / 32u;`);
  const x = `(${own} % 2u) + ((${own} / 4u) % ${wide / 2}u) * 2u`;
  const y = `((${own} / 2u) % 2u) + ((${own} % 32u) / ${wide * 2}u) * 2u`;
  e.line(`let tx = (square % ${across / wide}u) * ${wide}u + ${x};`);
  e.line(`let ty = (square / ${across / wide}u) * ${32 / wide}u + ${y};`);
}

/**
 * The sums of all slices: each slice finishes a share of the rows and hands its sums of the others over through the
 * workgroup memory of an operand, as many vectors at a time as it holds. Returns the names of the rows that are finished.
 */
function meet({ e }: Frame, t: Tile, acc: readonly (readonly string[])[], memory: Staged): string[][] {
  const slices = t.slices as number;
  const threads = tileThreads(t);
  const each = threads / slices;
  const share = t.rows / slices;
  const columns = acc[0]?.length as number;
  /** The accumulator of a row of the share that belongs to the slice `ahead` of one's own. */
  const of = (ahead: number, row: number, j: number): string => {
    const name = (s: number): string => (acc[((s + ahead) % slices) * share + row] as readonly string[])[j] as string;
    let text = name(slices - 1);
    for (let s = slices - 2; s >= 0; s--) text = `select(${text}, ${name(s)}, slice == ${s}u)`;
    return text;
  };
  const places = Array.from({ length: share * columns }, (_, i) => [Math.floor(i / columns), i % columns] as const);
  const sums = places.map(([row, j]) => {
    const name = e.fresh("sum");
    e.line(`var ${name} = ${of(0, row, j)};`);
    return name;
  });
  const atOnce = Math.min(places.length, Math.floor(memory.vectors / threads));
  for (let ahead = 1; ahead < slices; ahead++) {
    for (let first = 0; first < places.length; first += atOnce) {
      const round = places.slice(first, first + atOnce);
      round.forEach(([row, j], i) => {
        e.line(`${memory.name}[lid + ${i * threads}u] = ${of(ahead, row, j)};`);
      });
      e.line("workgroupBarrier();");
      round.forEach((_, i) => {
        const from = `(lid + ${(slices - ahead) * each}u) % ${threads}u + ${i * threads}u`;
        e.line(`${sums[first + i]} += ${memory.name}[${from}];`);
      });
      e.line("workgroupBarrier();");
    }
  }
  return Array.from({ length: share }, (_, r) => sums.slice(r * columns, (r + 1) * columns));
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
  depth: number,
  at: Index,
  across: Index,
): { add(): void; write(): void } {
  const { e } = frame;
  const quads = size / 4;
  const shares = [16, 8, 4, 2, 1].find((s) => depth % s === 0 && s * quads <= threads) as number;
  const dtype = staged.dtype;
  const idle = shares * quads < threads;
  const first = `${indexText(across)} == 0u${idle ? ` && lid < ${shares * quads}u` : ""}`;
  const sum = e.fresh("sum");
  e.line(`var ${sum} = ${typeOf(dtype, 4)}();`);
  return {
    add() {
      e.open(`if (${first}) {`);
      const { pitch, skew } = staged;
      const each = depth / shares;
      const share = idle ? `min(lid / ${quads}u, ${shares - 1}u)` : `lid / ${quads}u`;
      // The lines of a share lie within four or are whole fours.
      const begin = `(${share}) * ${each * pitch}u + (((${share}) * ${each}u) / 4u) * ${skew}u`;
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

/**
 * The results of a line that a loop counts. Long epilogues are written once: written out for every line they would take the
 * registers of the accumulators.
 */
function pickLine(e: Emitter, results: readonly (readonly string[])[], line: string, type: string): string[] {
  const names = (results[0] as readonly string[]).map(() => e.fresh("value"));
  for (const name of names) e.line(`var ${name}: ${type};`);
  e.line(`switch ${line} {`);
  results.forEach((values, r) => {
    const label = r === results.length - 1 ? "default" : `case ${r}u`;
    e.line(`  ${label}: { ${values.map((v, j) => `${names[j]} = ${v};`).join(" ")} }`);
  });
  e.line("}");
  return names;
}

/**
 * Stores what an invocation has of a row. Whole vectors are all computed before the first one is stored: drivers move no
 * load before a store, so that each would be waited for.
 */
function storeLine(
  frame: Frame,
  p: Product,
  batch: readonly Index[],
  row: Index,
  cols: readonly Index[],
  values: readonly string[],
): void {
  const { e } = frame;
  if (!always(frame.region, p.n % 4 === 0) || cols.some((col) => col.max + 3 >= p.n)) {
    cols.forEach((col, j) => {
      storeVector(frame, p, batch, row, col, values[j] as string);
    });
    return;
  }
  const inside = row.max < p.m;
  e.open(inside ? "{" : `if (${indexText(row)} < ${p.m}u) {`);
  e.width = 4;
  const m = inside ? row : bounded(e, row, p.m);
  const stores = cols.flatMap((col, j) => {
    const value = { text: values[j] as string, width: 4, dtype: p.node.type.dtype, depth: e.depth };
    e.provide(p.node, () => value);
    return storesAt(frame, p.outputs, [...batch, m, add(scale(div(col, 4), 4), lane(4))]);
  });
  for (const store of stores) store();
  e.close();
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
