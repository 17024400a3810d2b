import type { Region } from "../fuse/region.ts";
import type { Node } from "../ir/graph.ts";
import { add, div, type Index, indexText, int, mod, scale, unravel, variable } from "../ir/index-expr.ts";
import type { Capabilities } from "../manifest/manifest.ts";
import { contiguousAlong } from "./contiguity.ts";
import { multiplyAdd, operandIndex, productOf, type Product, writeEpilogue } from "./contraction.ts";
import { type Emitter, lane, type Value } from "./emitter.ts";
import { closeFrame, type Frame, type Kernel, openFrame } from "./kernel.ts";
import { typeOf } from "./storage.ts";

/** A workgroup computes m × n elements, k at a time; an invocation rows × columns of them, in groups of four. */
export interface Tile {
  readonly m: number;
  readonly n: number;
  readonly k: number;
  readonly rows: number;
  readonly columns: number;
}

/** One operand's tile in workgroup memory: K-major, vectors of four along the other axis, rows padded by one vector. */
interface Staged {
  readonly name: string;
  readonly pitch: number;
  readonly registers: readonly string[];
  load(step: Index): void;
  store(): void;
}

export const tileBytes = (t: Tile): number => t.k * (t.m + 4 + t.n + 4) * 4;
export const tileThreads = (t: Tile): number => (t.m / t.rows) * (t.n / t.columns);

/**
 * Matrix product through workgroup memory with register prefetch: while one tile is multiplied, the next one is on its
 * way. Operands are staged K-major so that both are read as vectors; one that is contiguous along K is transposed four
 * by four in registers on the way. Needs K divisible by 4.
 */
export function writeTiled(region: Region, capabilities: Capabilities, t: Tile): Kernel {
  const frame = openFrame(region, capabilities);
  const { e } = frame;
  const p = productOf(region.anchors[0] as Node);
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
  const left = stage(frame, p, "left", { origin: tileM, size: t.m, limit: p.m, threads, depth: t.k, batch });
  const right = stage(frame, p, "right", { origin: tileN, size: t.n, limit: p.n, threads, depth: t.k, batch });

  const rowGroups = t.rows / 4;
  const colGroups = t.columns / 4;
  const acc = Array.from({ length: t.rows }, () =>
    Array.from({ length: colGroups }, () => {
      const name = e.fresh("acc");
      e.line(`var ${name} = ${vec}();`);
      return name;
    }),
  );
  const steps = Math.ceil(p.k / t.k);
  left.load(int(0));
  right.load(int(0));
  e.open(`for (var step = 0u; step < ${steps}u; step++) {`, ["step"]);
  left.store();
  right.store();
  e.line("workgroupBarrier();");
  if (steps > 1) {
    e.open(`if (step < ${steps - 1}u) {`);
    const next = e.index("next", steps - 1, "step + 1u");
    left.load(next);
    right.load(next);
    e.close();
  }
  for (let k = 0; k < t.k; k++) {
    e.open("{");
    for (let i = 0; i < rowGroups; i++) {
      e.line(`let a${i} = ${left.name}[${k * left.pitch + (i * t.m) / rowGroups / 4}u + ty];`);
    }
    for (let j = 0; j < colGroups; j++) {
      e.line(`let b${j} = ${right.name}[${k * right.pitch + (j * t.n) / colGroups / 4}u + tx];`);
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

  const ty = e.index("row_at", t.m / t.rows - 1, "ty");
  const tx = e.index("col_at", across - 1, "tx");
  for (let r = 0; r < t.rows; r++) {
    const row = add(tileM, add(scale(ty, 4), int(((r >> 2) * t.m) / rowGroups + (r & 3))));
    for (let j = 0; j < colGroups; j++) {
      const col = add(tileN, add(scale(tx, 4), int((j * t.n) / colGroups)));
      storeVector(frame, p, batch, row, col, (acc[r] as string[])[j] as string);
    }
  }
  return closeFrame(frame, {
    variant: `tile_${t.m}x${t.n}x${t.k}`,
    workgroupSize: [threads, 1, 1],
    groups,
    declarations: [
      `var<workgroup> ${left.name}: array<${vec}, ${t.k * left.pitch}>;`,
      `var<workgroup> ${right.name}: array<${vec}, ${t.k * right.pitch}>;`,
    ],
    workgroupBytes: tileBytes(t),
  });
}

/** Stores four neighbouring columns of one row, or one by one where the row length is not a multiple of four. */
function storeVector(frame: Frame, p: Product, batch: readonly Index[], row: Index, col: Index, acc: string): void {
  const { e } = frame;
  const dtype = p.node.type.dtype;
  const guardRow = row.max < p.m ? [] : [`${indexText(row)} < ${p.m}u`];
  const within = (at: Index): Index => (at.max < p.n ? at : bounded(e, at, p.n));
  if (p.n % 4 === 0) {
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
    writeEpilogue(frame, p, [...batch, m, within(at)], { text: `${acc}.${"xyzw"[l]}`, width: 1, dtype, depth: e.depth });
    e.close();
  }
}

/** The same value under a name whose range is known to end below `size`: true where the surrounding guard holds. */
const bounded = (e: Emitter, at: Index, size: number): Index => e.opaque(indexText(at), size - 1, e.depth);
const within4 = (e: Emitter, at: Index, size: number): Index =>
  at.max < size ? div(at, 4) : e.opaque(`(${indexText(at)}) / 4u`, size / 4 - 1, e.depth);

interface Side {
  readonly origin: Index;
  readonly size: number;
  readonly limit: number;
  readonly threads: number;
  readonly depth: number;
  readonly batch: readonly Index[];
}

function stage(frame: Frame, p: Product, which: "left" | "right", s: Side): Staged {
  const { e, region } = frame;
  const operand = which === "left" ? p.a : p.b;
  const at = (outer: Index, k: Index): Index[] =>
    which === "left" ? operandIndex(operand, s.batch, outer, k) : operandIndex(operand, s.batch, k, outer);
  const direct = contiguousAlong(region, operand, at(variable("lane", 3), variable("probe_k", Math.max(1, p.k - 1))), "lane");
  const name = which === "left" ? "sa" : "sb";
  const pitch = (s.size + 4) / 4;
  const vec = typeOf(p.node.type.dtype, 4);
  // A unit is one vector along the outer axis (direct) or a 4×4 block (transposed).
  const perRow = s.size / 4;
  const units = direct ? perRow * s.depth : perRow * (s.depth / 4);
  const rounds = Math.ceil(units / s.threads);
  const registers: string[] = [];
  const slots: { unit: Index; outer: Index; k: Index; guard: string }[] = [];
  for (let r = 0; r < rounds; r++) {
    const unit = e.index(e.fresh("u"), units - 1, r === 0 ? "lid" : `lid + ${r * s.threads}u`);
    const guard = (r + 1) * s.threads > units ? `${indexText(unit)} < ${units}u` : "";
    // Transposed: neighbours walk along K first, where memory is contiguous.
    const outer = direct ? mod(unit, perRow) : div(unit, s.depth / 4);
    const k = direct ? div(unit, perRow) : mod(unit, s.depth / 4);
    slots.push({ unit, outer, k, guard });
    for (let i = 0; i < (direct ? 1 : 4); i++) {
      const reg = e.fresh("r");
      e.line(`var ${reg} = ${vec}();`);
      registers.push(reg);
    }
  }
  const clampOuter = (x: Index): Index =>
    x.max < s.limit ? x : e.opaque(`min(${indexText(x)}, ${s.limit - 1}u)`, s.limit - 1, e.depthOf([x]));

  const assign = (reg: string, v: Value, ok: string): void => {
    const text = v.width === 4 ? v.text : `${vec}(${v.text})`;
    e.line(`${reg} = ${ok ? `select(${vec}(), ${text}, ${ok})` : text};`);
  };
  const load = (step: Index): void => {
    e.width = 4;
    slots.forEach((slot, r) => {
      if (slot.guard) e.open(`if (${slot.guard}) {`);
      const base = add(s.origin, scale(slot.outer, 4));
      if (direct) {
        const k = add(scale(step, s.depth), slot.k);
        const ok = k.max < p.k ? "" : `${indexText(k)} < ${p.k}u`;
        const kk = ok ? e.opaque(`min(${indexText(k)}, ${p.k - 1}u)`, p.k - 1, e.depth) : k;
        // The last vector may reach past the end of the axis: those columns are never stored.
        const outer = base.max < s.limit ? base : scale(e.opaque(`min((${indexText(base)}) / 4u, ${Math.ceil(s.limit / 4) - 1}u)`, Math.ceil(s.limit / 4) - 1, e.depth), 4);
        assign(registers[r] as string, e.value(operand, at(add(outer, lane(4)), kk)), ok);
      } else {
        const k4 = add(scale(step, s.depth / 4), slot.k);
        const ok = k4.max < p.k / 4 ? "" : `${indexText(k4)} < ${p.k / 4}u`;
        const kk = ok ? e.opaque(`min(${indexText(k4)}, ${p.k / 4 - 1}u)`, p.k / 4 - 1, e.depth) : k4;
        for (let i = 0; i < 4; i++) {
          const outer = clampOuter(add(base, int(i)));
          assign(registers[r * 4 + i] as string, e.value(operand, at(outer, add(scale(kk, 4), lane(4)))), ok);
        }
      }
      if (slot.guard) e.close();
    });
  };
  const store = (): void => {
    slots.forEach((slot, r) => {
      if (slot.guard) e.open(`if (${slot.guard}) {`);
      if (direct) {
        e.line(`${name}[${indexText(add(scale(slot.k, pitch), slot.outer))}] = ${registers[r]};`);
      } else {
        const [r0, r1, r2, r3] = registers.slice(r * 4, r * 4 + 4) as [string, string, string, string];
        for (let i = 0; i < 4; i++) {
          const c = "xyzw"[i];
          const to = indexText(add(scale(add(scale(slot.k, 4), int(i)), pitch), slot.outer));
          e.line(`${name}[${to}] = ${vec}(${r0}.${c}, ${r1}.${c}, ${r2}.${c}, ${r3}.${c});`);
        }
      }
      if (slot.guard) e.close();
    });
  };
  return { name, pitch, registers, load, store };
}
