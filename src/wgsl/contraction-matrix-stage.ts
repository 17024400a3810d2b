import { widensHalf } from "../fuse/pull.ts";
import type { Region } from "../fuse/region.ts";
import type { Node } from "../ir/graph.ts";
import {
  add,
  coefOf,
  div,
  type Index,
  indexAlgebra,
  indexText,
  int,
  mod,
  ravel,
  scale,
  substitute,
  variable,
} from "../ir/index-expr.ts";
import { rowOf } from "../ir/ops.ts";
import { vectorsAlong } from "./contiguity.ts";
import { type Emitter, lane, shapeOf } from "./emitter.ts";
import type { Frame } from "./kernel.ts";
import { producers } from "./producers.ts";
import { slotsOf } from "./stage.ts";
import type { Binding } from "./storage.ts";

/**
 * The node to stage for an operand all of whose values are halves, or undefined: f16 operands of a product are cast to f32,
 * in which it is summed.
 */
export function halfOperand(region: Region, n: Node): Node | undefined {
  const [x] = n.args;
  const widened = widensHalf(n);
  if (region.inputs.includes(n)) return widened ? n : undefined;
  if (widened) return x;
  return x && isPlainView(n) && halfOperand(region, x) ? n : undefined;
}

/** Views that are index arithmetic alone. */
const isPlainView = (n: Node): boolean => rowOf(n.op).view !== undefined && producers[n.op] === undefined;

/** What is staged: `size` positions along the outer axis by `depth` along the inner one, which the product sums over. */
export interface MatrixSide {
  readonly operand: Node;
  /** The operand's index at (outer, inner). */
  at(outer: Index, inner: Index): Index[];
  readonly size: number;
  readonly depth: number;
  /** Lengths of the two axes: positions beyond are clamped (outer) or read as zero (inner). */
  readonly limit: number;
  readonly depthLimit: number;
  /** Positions along the inner axis may lie beyond the end although it is whole tiles. */
  readonly beyond: boolean;
  readonly threads: number;
  /** Halves between lines. */
  readonly pad: number;
}

/** An operand's tile in workgroup memory: lines of halves along the axis on which they neighbour each other in memory. */
export interface StagedHalves {
  readonly along: "outer" | "inner";
  /** Vectors of eight halves from one line to the next, and in all. */
  readonly pitch: number;
  readonly vectors: number;
  /** Memory to registers. The inner position is a multiple of the depth. */
  load(outer: Index, inner: Index): void;
  /** Registers to workgroup memory, from vector `base` of the array `name` on. */
  store(name: string, base: number): void;
  /** Vector at which the 16 × 16 block at (outer, inner) begins. */
  block(outer: Index, inner: number): Index;
}

/**
 * Stages a tile through registers, 16 bytes an invocation at a time. Nothing is transposed on the way: a subgroup matrix is
 * loaded from lines along either axis.
 */
export function stageHalves(frame: Frame, s: MatrixSide): StagedHalves {
  const { e } = frame;
  const along = lineAxis(frame, s);
  const [line, lines] = along === "inner" ? [s.depth, s.size] : [s.size, s.depth];
  const pitch = (line + s.pad) / 8;
  const perLine = line / 8;
  const units = perLine * lines;
  // What is rounded on the way waits in registers as it is: rounding it at once would wait for it.
  const wide = roundedFrom(frame, s.operand) !== undefined;
  const eachSlot = slotsOf(e, units, s.threads, (unit) => {
    const registers = Array.from({ length: wide ? 2 : 1 }, () => {
      const name = e.fresh("r");
      e.line(`var ${name} = vec4<${wide ? "f32" : "u32"}>();`);
      return name;
    });
    const line = div(unit, perLine);
    return { registers, line: along === "inner" ? spread(line, perLine) : line, chunk: mod(unit, perLine) };
  });
  return {
    along,
    pitch,
    vectors: pitch * lines,
    load(outer, inner) {
      eachSlot(({ registers, line: at, chunk }) => {
        const [o, k] = along === "inner" ? [at, scale(chunk, 8)] : [scale(chunk, 8), at];
        const texts = eightOf(frame, s, along, add(outer, o), add(inner, k), wide);
        registers.forEach((r, i) => {
          e.line(`${r} = ${texts[i]};`);
        });
      });
    },
    store(name, base) {
      eachSlot(({ registers, line: at, chunk }) => {
        const value = wide ? `vec4<u32>(${registers.map((r) => halves(frame, r)).join(", ")})` : registers[0];
        e.line(`${name}[${indexText(add(add(scale(at, pitch), chunk), int(base)))}] = ${value};`);
      });
    },
    block: (outer, inner) =>
      along === "inner" ? add(scale(outer, pitch), int(inner / 8)) : add(int(inner * pitch), div(outer, 8)),
  };
}

/** Lines in the order in which invocations store them, so that what eight of them store at a time lies in different banks. */
export function spread(line: Index, perLine: number): Index {
  const together = 8 / perLine;
  // Eight vectors are not whole lines where a line has six: a head of 48.
  if (together <= 1 || !Number.isInteger(together)) return line;
  const within = mod(line, 8);
  const other = add(scale(mod(within, together), 8 / together), div(within, together));
  return add(scale(div(line, 8), 8), other);
}

/** The axis along which vectors can be loaded; the inner one where neither or both can. */
export function lineAxis({ region }: Frame, s: MatrixSide): "outer" | "inner" {
  const unit = (axis: "outer" | "inner"): boolean => {
    const [limit, across] = axis === "outer" ? [s.limit, s.depthLimit] : [s.depthLimit, s.limit];
    const vector = add(scale(variable("probe_v", Math.max(1, Math.floor(limit / 8) - 1)), 8), lane(8));
    const other = variable("probe", Math.max(1, across - 1));
    return vectorsAlong(region, s.operand, axis === "outer" ? s.at(vector, other) : s.at(other, vector)).unit;
  };
  return !unit("inner") && unit("outer") ? "outer" : "inner";
}

/**
 * Texts of eight neighbours along the lines' axis, zero beyond the end of the depth: as halves in one vector, or as two of f32
 * that are still to be rounded.
 */
function eightOf(
  frame: Frame,
  s: MatrixSide,
  along: "outer" | "inner",
  outer: Index,
  k: Index,
  wide: boolean,
): readonly string[] {
  const { e } = frame;
  const limit = along === "inner" ? s.depthLimit : s.limit;
  const last = (per: number): number => Math.ceil(limit / per) - 1;
  /** The index of a vector of `per` elements, kept inside of the axis. */
  const vector = (at: Index, per: number): Index =>
    along === "inner" ? clampDepth(e, s, at, last(per)) : clamp(e, at, last(per));
  const across = along === "inner" ? clamp(e, outer, s.limit - 1) : clampDepth(e, s, k, s.depthLimit - 1);
  const acrossOk = along === "inner" || whole(s) ? "" : `${indexText(k)} < ${s.depthLimit}u`;
  const first = along === "inner" ? k : outer;
  const at = (v: Index): Index[] => (along === "inner" ? s.at(across, v) : s.at(v, across));

  if (limit % 8 === 0 && !wide) {
    const eighth = div(first, 8);
    const index = at(add(scale(vector(eighth, 8), 8), lane(8)));
    const words = wordsOf(frame, s.operand, index);
    if (words) {
      const guard = along === "inner" && !whole(s) ? `${indexText(eighth)} < ${limit / 8}u` : acrossOk;
      const text = e.storage.loadWords(words.binding, words.offset);
      return [guard ? `select(vec4<u32>(), ${text}, ${guard})` : text];
    }
  }
  const quads = [0, 1].map((q) => {
    const quarter = add(div(first, 4), int(q));
    e.width = 4;
    const index = at(add(scale(vector(quarter, 4), 4), lane(4)));
    const source = wide ? roundedFrom(frame, s.operand, index) : undefined;
    const v = source ? e.result(source.node, source.index) : e.result(s.operand, index);
    const value = v.width === 4 ? v.text : `vec4<f32>(${v.text})`;
    const guard = along === "inner" && !whole(s) ? insideQuarter(quarter, limit) : acrossOk;
    return guard ? `select(vec4<f32>(), ${value}, ${guard})` : value;
  });
  return wide ? quads : [`vec4<u32>(${quads.map((q) => halves(frame, q)).join(", ")})`];
}

/** The f32 tensor in memory that an operand is made of by views and casts alone, with the index of what an element is made of. */
function roundedFrom(
  { e }: Frame,
  operand: Node,
  index: readonly Index[] = shapeOf(operand).map((d, i) => variable(`at${i}`, Math.max(0, d - 1))),
): { readonly node: Node; readonly index: readonly Index[] } | undefined {
  let n = operand;
  let at = index;
  for (;;) {
    const shape = shapeOf(n);
    if (e.boundTo(n)) return n.type.dtype === "f32" ? { node: n, index: at } : undefined;
    const [x] = n.args;
    if (!x || !(n.op === "cast" || isPlainView(n)) || !(x.type.dtype === "f32" || x.type.dtype === "f16"))
      return undefined;
    at = rowOf(n.op).view?.map(indexAlgebra, at, { attrs: n.attrs, from: shapeOf(x), to: shape }) ?? at;
    n = x;
  }
}

export const insideQuarter = (quarter: Index, limit: number): string =>
  limit % 4 === 0
    ? `${indexText(quarter)} < ${limit / 4}u`
    : `vec4<u32>(${indexText(scale(quarter, 4))}) + vec4<u32>(0u, 1u, 2u, 3u) < vec4<u32>(${limit}u)`;

/** Four f32 as two words of halves. Devices with matrices of halves have halves; the other form is for trying without. */
export const halves = ({ capabilities }: Frame, v: string): string =>
  capabilities.features.f16
    ? `bitcast<vec2<u32>>(vec4<f16>(${v}))`
    : `pack2x16float((${v}).xy), pack2x16float((${v}).zw)`;

/** Whether no position along the depth lies beyond its end. */
export const whole = (s: MatrixSide): boolean => s.depthLimit % s.depth === 0 && !s.beyond;

export const clamp = (e: Emitter, x: Index, last: number): Index =>
  x.max <= last ? x : e.opaque(`min(${indexText(x)}, ${last}u)`, last, e.depthOf([x]));

export const clampDepth = (e: Emitter, s: MatrixSide, x: Index, last: number): Index =>
  whole(s) ? x : clamp(e, x, last);

/** Where eight neighbours along the lane of `index` lie in memory as halves, if they do so as whole words and unchanged. */
function wordsOf(
  frame: Frame,
  operand: Node,
  index: readonly Index[],
): { readonly binding: Binding; readonly offset: Index } | undefined {
  const { e, outputs } = frame;
  let n = operand;
  let at = index;
  for (;;) {
    const shape = shapeOf(n);
    at = at.map((x, i) => (shape[i] === 1 ? int(0) : x));
    const binding = e.boundTo(n);
    if (binding) {
      const offset = ravel(at, shape);
      const first = substitute(offset, "lane", int(0));
      const fits = coefOf(offset, "lane") === 1 && e.storage.canWords(binding, first);
      return fits && ![...outputs.values()].includes(binding) ? { binding, offset: first } : undefined;
    }
    const [x] = n.args;
    const widened = n.op === "cast" && x?.type.dtype === "f16";
    if (!x || !(widened || isPlainView(n))) return undefined;
    at = rowOf(n.op).view?.map(indexAlgebra, at, { attrs: n.attrs, from: shapeOf(x), to: shape }) ?? at;
    n = x;
  }
}
