import type { DType } from "../base/dtype.ts";
import type { Node } from "../ir/graph.ts";
import { add, div, type Index, indexText, int, mod, scale, variable } from "../ir/index-expr.ts";
import { contiguousAlong } from "./contiguity.ts";
import { lane, type Value } from "./emitter.ts";
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
  readonly threads: number;
}

/** One operand's tile in workgroup memory: inner-major, vectors of four along the outer axis, lines padded by one vector. */
export interface Staged {
  readonly name: string;
  /** Vectors from one line to the next. */
  readonly pitch: number;
  readonly vectors: number;
  readonly declaration: string;
  /** Memory to registers. The inner position is a multiple of 4. */
  load(outer: Index, inner: Index): void;
  /** Registers to workgroup memory. */
  store(): void;
}

/**
 * Stages a tile through registers, so that the next one can be on its way while this one is used. An operand that is
 * contiguous along the inner axis is transposed four by four in registers, where the inner length is a multiple of 4.
 */
export function stage(frame: Frame, s: Side): Staged {
  const { e, region } = frame;
  const probe = s.at(variable("lane", 3), variable("probe", Math.max(1, s.depthLimit - 1)));
  const direct = s.depthLimit % 4 !== 0 || contiguousAlong(region, s.operand, probe, "lane");
  const pitch = (s.size + 4) / 4;
  const vec = typeOf(s.dtype, 4);
  // A unit is one vector along the outer axis (direct) or a 4×4 block (transposed).
  const perLine = s.size / 4;
  const units = direct ? perLine * s.depth : perLine * (s.depth / 4);
  const slots = Array.from({ length: Math.ceil(units / s.threads) }, (_, r) => {
    const unit = e.index(e.fresh("unit"), units - 1, r === 0 ? "lid" : `lid + ${r * s.threads}u`);
    const registers = Array.from({ length: direct ? 1 : 4 }, () => {
      const name = e.fresh("r");
      e.line(`var ${name} = ${vec}();`);
      return name;
    });
    return {
      registers,
      guard: (r + 1) * s.threads > units ? `${indexText(unit)} < ${units}u` : "",
      // Transposed: neighbours walk along the inner axis first, where memory is contiguous.
      outer: direct ? mod(unit, perLine) : div(unit, s.depth / 4),
      inner: direct ? div(unit, perLine) : mod(unit, s.depth / 4),
    };
  });
  const clamp = (x: Index, size: number): Index =>
    x.max < size ? x : e.opaque(`min(${indexText(x)}, ${size - 1}u)`, size - 1, e.depthOf([x]));
  const assign = (reg: string | undefined, v: Value, ok: string): void => {
    const text = v.width === 4 ? v.text : `${vec}(${v.text})`;
    e.line(`${reg} = ${ok ? `select(${vec}(), ${text}, ${ok})` : text};`);
  };
  const inside = (x: Index, size: number): string => (x.max < size ? "" : `${indexText(x)} < ${size}u`);

  const loadDirect = (slot: (typeof slots)[0], outer: Index, inner: Index): void => {
    const k = add(inner, slot.inner);
    const vectors = Math.ceil(s.limit / 4);
    // The last vector may reach past the end of the axis: what it brings is never used.
    const at = outer.max < s.limit ? outer : scale(clamp(div(outer, 4), vectors), 4);
    assign(
      slot.registers[0],
      e.value(s.operand, s.at(add(at, lane(4)), clamp(k, s.depthLimit))),
      inside(k, s.depthLimit),
    );
  };
  const loadTransposed = (slot: (typeof slots)[0], outer: Index, inner: Index): void => {
    const k4 = add(div(inner, 4), slot.inner);
    const ok = inside(k4, s.depthLimit / 4);
    const k = add(scale(clamp(k4, s.depthLimit / 4), 4), lane(4));
    slot.registers.forEach((reg, i) => {
      assign(reg, e.value(s.operand, s.at(clamp(add(outer, int(i)), s.limit), k)), ok);
    });
  };
  const guarded = (slot: (typeof slots)[0], body: () => void): void => {
    if (slot.guard) e.open(`if (${slot.guard}) {`);
    body();
    if (slot.guard) e.close();
  };
  return {
    name: s.name,
    pitch,
    vectors: pitch * s.depth,
    declaration: `var<workgroup> ${s.name}: array<${vec}, ${pitch * s.depth}>;`,
    load(outer, inner) {
      e.width = 4;
      for (const slot of slots) {
        const base = add(outer, scale(slot.outer, 4));
        guarded(slot, () => (direct ? loadDirect : loadTransposed)(slot, base, inner));
      }
    },
    store() {
      for (const slot of slots) {
        guarded(slot, () => {
          if (direct) {
            e.line(`${s.name}[${indexText(add(scale(slot.inner, pitch), slot.outer))}] = ${slot.registers[0]};`);
            return;
          }
          for (let i = 0; i < 4; i++) {
            const to = indexText(add(scale(add(scale(slot.inner, 4), int(i)), pitch), slot.outer));
            const parts = slot.registers.map((r) => `${r}.${"xyzw"[i]}`);
            e.line(`${s.name}[${to}] = ${vec}(${parts.join(", ")});`);
          }
        });
      }
    },
  };
}
