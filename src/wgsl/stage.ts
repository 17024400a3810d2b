import type { DType } from "../base/dtype.ts";
import type { Node } from "../ir/graph.ts";
import { add, div, type Index, indexText, int, mod, scale, variable } from "../ir/index-expr.ts";
import { always } from "./agree.ts";
import { type Contiguity, vectorsAlong } from "./contiguity.ts";
import { type Emitter, lane, type Value } from "./emitter.ts";
import type { Frame } from "./kernel.ts";
import { typeOf } from "./storage.ts";

/** What is staged: `size` positions along the outer axis by `depth` along the inner one, which the product sums over. */
export interface Side {
  readonly name: string;
  readonly operand: Node;
  readonly dtype: DType;
  /** The operand's index at (outer, inner). */
  at(outer: Index, inner: Index): Index[];
  readonly size: number;
  readonly depth: number;
  /** Lengths of the two axes: positions beyond are clamped (outer) or read as zero (inner). */
  readonly limit: number;
  readonly depthLimit: number;
  /** Positions along the inner axis may lie beyond the end although it is whole tiles. */
  readonly beyond?: boolean;
  /** Vectors of padding after each four lines. What `turned` stores at a time lies in different banks with 2 for a depth of 16, with 1 for 32. */
  readonly skew?: 1 | 2;
  /** Lines are not padded. */
  readonly packed?: boolean;
  /** Loads stand in no branch: invocations without a share load the last one's. */
  readonly eager?: boolean;
  readonly threads: number;
  /** Where in the array the tile begins, as text that ends with a plus sign. */
  readonly origin?: string;
}

/** One operand's tile in workgroup memory: inner-major, vectors of four along the outer axis, lines padded by one vector. */
export interface Staged {
  readonly name: string;
  readonly dtype: DType;
  /** Vectors from one line to the next, and more after each four lines. */
  readonly pitch: number;
  readonly skew: number;
  readonly vectors: number;
  readonly declaration: string;
  /** Memory to registers. The inner position is a multiple of 4. */
  load(outer: Index, inner: Index): void;
  /** Registers to workgroup memory. */
  store(): void;
}

/** How a tile is brought from memory. */
interface Path {
  /** What an invocation brings at a time, and how many registers of four that takes. */
  readonly units: number;
  readonly registers: number;
  outer(unit: Index): Index;
  inner(unit: Index): Index;
  load(registers: readonly string[], outer: Index, inner: Index): void;
  /** Writes registers to workgroup memory; `at(outer vector, inner)` is the place of a vector. */
  store(registers: readonly string[], outer: Index, inner: Index, at: (outer: Index, inner: Index) => string): void;
}

/**
 * Stages a tile through registers, so that the next one can be on its way while this one is used. An operand that is
 * contiguous along the outer axis is moved as it is. One that is contiguous along the inner axis is turned on the way: four
 * by four in registers where vectors can be loaded, else with neighbouring invocations along the inner axis.
 */
export function stage(frame: Frame, s: Side): Staged {
  const { e, region } = frame;
  const along = (axis: "outer" | "inner"): Contiguity => {
    const [limit, across] = axis === "outer" ? [s.limit, s.depthLimit] : [s.depthLimit, s.limit];
    const other = variable("probe", Math.max(1, across - 1));
    const whole = always(region, limit % 4 === 0);
    const vector = whole ? add(scale(variable("probe_v", limit / 4 - 1), 4), lane(4)) : lane(4);
    const found = vectorsAlong(region, s.operand, axis === "outer" ? s.at(vector, other) : s.at(other, vector));
    return { unit: found.unit, aligned: found.aligned && whole };
  };
  const inner = along("inner");
  const path = along("outer").unit ? moved(e, s) : inner.unit && inner.aligned ? turned(e, s) : gathered(e, s);
  const pitch = s.skew || s.packed ? s.size / 4 : (s.size + 4) / 4;
  const skew = s.skew ?? 0;
  const vectors = pitch * s.depth + Math.floor(s.depth / 4) * skew;
  const vec = typeOf(s.dtype, 4);
  const make = (unit: Index) => {
    const registers = Array.from({ length: path.registers }, () => {
      const name = e.fresh("r");
      e.line(`var ${name} = ${vec}();`);
      return name;
    });
    return { registers, outer: path.outer(unit), inner: path.inner(unit) };
  };
  const eachSlot = slotsOf(e, path.units, s.threads, make);
  const at = (outer: Index, depth: Index): string =>
    `${s.name}[${s.origin ?? ""}${indexText(add(add(scale(depth, pitch), scale(div(depth, 4), skew)), outer))}]`;
  return {
    name: s.name,
    dtype: s.dtype,
    pitch,
    skew,
    vectors,
    declaration: `var<workgroup> ${s.name}: array<${vec}, ${vectors}>;`,
    load(outer, depth) {
      eachSlot((slot) => path.load(slot.registers, add(outer, scale(slot.outer, 4)), add(depth, slot.inner)), s.eager);
    },
    store() {
      eachSlot((slot) => path.store(slot.registers, slot.outer, slot.inner, at));
    },
  };
}

/**
 * Deals units of work out to the invocations of a workgroup, as many rounds as it takes; what is given back writes something for each
 * round, where there is a unit for the invocation; with `anyway` the others do the last unit again, without a branch.
 */
export function slotsOf<T>(
  e: Emitter,
  units: number,
  threads: number,
  make: (unit: Index) => T,
): (body: (slot: T) => void, anyway?: boolean) => void {
  const slots = Array.from({ length: Math.ceil(units / threads) }, (_, r) => {
    const own = r === 0 ? "lid" : `lid + ${r * threads}u`;
    const guarded = (r + 1) * threads > units;
    // What does not depend on the step is read before the guard.
    const unit = e.index(e.fresh("unit"), units - 1, guarded ? `min(${own}, ${units - 1}u)` : own);
    return { slot: make(unit), guard: guarded ? `${own} < ${units}u` : "" };
  });
  return (body, anyway = false) => {
    for (const { slot, guard } of slots) {
      const branches = guard !== "" && !anyway;
      if (branches) e.open(`if (${guard}) {`);
      body(slot);
      if (branches) e.close();
    }
  };
}

const clamp = (e: Emitter, x: Index, size: number): Index =>
  x.max < size ? x : e.opaque(`min(${indexText(x)}, ${size - 1}u)`, size - 1, e.depthOf([x]));

/**
 * Along the depth nothing is guarded where it is whole tiles. Else the first tile is guarded like the last one, needless
 * as it may be: a text for all sizes serves depths of less than a tile.
 */
const wholeTiles = (s: Side): boolean => s.depthLimit % s.depth === 0 && !s.beyond;

/** A vector or element of the depth, `per` to a position of `k`, that there is. */
function clampDepth(e: Emitter, s: Side, k: Index, per = 1): Index {
  const last = s.depthLimit / per - 1;
  return wholeTiles(s) ? k : e.opaque(`min(${indexText(k)}, ${last}u)`, last, e.depthOf([k]));
}

const insideDepth = (s: Side, k: Index, per = 1): string =>
  wholeTiles(s) ? "" : `${indexText(k)} < ${s.depthLimit / per}u`;

function assign(e: Emitter, s: Side, register: string | undefined, text: string, ok: string): void {
  const vec = typeOf(s.dtype, 4);
  e.line(`${register} = ${ok ? `select(${vec}(), ${text}, ${ok})` : text};`);
}

const wide = (s: Side, v: Value): string => (v.width === 4 ? v.text : `${typeOf(s.dtype, 4)}(${v.text})`);

/** Vectors along the outer axis, neighbours beside each other. */
function moved(e: Emitter, s: Side): Path {
  const perLine = s.size / 4;
  return {
    units: perLine * s.depth,
    registers: 1,
    outer: (unit) => mod(unit, perLine),
    inner: (unit) => div(unit, perLine),
    load([register], outer, k) {
      e.width = 4;
      const vectors = Math.ceil(s.limit / 4);
      // The last vector may reach past the end of the axis: what it brings is never used.
      const at = outer.max < s.limit ? outer : scale(clamp(e, div(outer, 4), vectors), 4);
      const v = e.value(s.operand, s.at(add(at, lane(4)), clampDepth(e, s, k)));
      assign(e, s, register, wide(s, v), insideDepth(s, k));
    },
    store([register], outer, k, at) {
      e.line(`${at(outer, k)} = ${register};`);
    },
  };
}

/** Blocks of four by four that are transposed in registers; neighbours along the inner axis. */
function turned(e: Emitter, s: Side): Path {
  const perLine = s.depth / 4;
  return {
    units: (s.size / 4) * perLine,
    registers: 4,
    outer: (unit) => div(unit, perLine),
    inner: (unit) => scale(mod(unit, perLine), 4),
    load(registers, outer, k) {
      e.width = 4;
      const k4 = div(k, 4);
      const ok = insideDepth(s, k4, 4);
      const at = add(scale(clampDepth(e, s, k4, 4), 4), lane(4));
      registers.forEach((register, i) => {
        const v = e.value(s.operand, s.at(clamp(e, add(outer, int(i)), s.limit), at));
        assign(e, s, register, wide(s, v), ok);
      });
    },
    store(registers, outer, k, at) {
      for (let i = 0; i < 4; i++) {
        const parts = registers.map((r) => `${r}.${"xyzw"[i]}`);
        e.line(`${at(outer, add(k, int(i)))} = ${typeOf(s.dtype, 4)}(${parts.join(", ")});`);
      }
    },
  };
}

/** Four elements along the outer axis one by one; neighbours along the inner axis, where memory is contiguous. */
function gathered(e: Emitter, s: Side): Path {
  return {
    units: (s.size / 4) * s.depth,
    registers: 1,
    outer: (unit) => div(unit, s.depth),
    inner: (unit) => mod(unit, s.depth),
    load([register], outer, k) {
      e.width = 1;
      const at = clampDepth(e, s, k);
      const parts = Array.from(
        { length: 4 },
        (_, i) => e.value(s.operand, s.at(clamp(e, add(outer, int(i)), s.limit), at)).text,
      );
      assign(e, s, register, `${typeOf(s.dtype, 4)}(${parts.join(", ")})`, insideDepth(s, k));
    },
    store([register], outer, k, at) {
      e.line(`${at(outer, k)} = ${register};`);
    },
  };
}
