import { add, div, type Index, indexText, int, mod, scale } from "../ir/index-expr.ts";
import {
  clamp,
  clampDepth,
  insideQuarter,
  lineAxis,
  type MatrixSide,
  spread,
  whole,
} from "./contraction-matrix-stage.ts";
import { lane } from "./emitter.ts";
import type { Frame } from "./kernel.ts";
import { slotsOf } from "./stage.ts";

/** An f32 operand's tile in workgroup memory, as two tiles of halves whose sum it is. */
export interface StagedPair {
  readonly along: "outer" | "inner";
  /** Vectors of eight halves from one line to the next, and in one of the two tiles. */
  readonly pitch: number;
  readonly vectors: number;
  /** Memory to registers. The inner position is a multiple of the depth. */
  load(outer: Index, inner: Index): void;
  /** The text of an expression of the largest magnitude in this invocation's registers. */
  peak(): string;
  /** Registers times `scale` to workgroup memory: the upper halves from vector `base` of the array on, the lower after them. */
  store(name: string, base: number, scale: string): void;
  /** Where along the outer axis the four at a place in workgroup memory come from, in fours from the tile's beginning. */
  quadOf(place: Index): Index;
  /** Vector at which the 16 × 16 block at (outer, inner) of the upper halves begins. */
  block(outer: Index, inner: number): Index;
}

/**
 * Stages a tile of f32 as pairs of halves. Lines lie as in memory, but an invocation takes four neighbours from each half of a
 * line, so that what neighbouring invocations load at a time is contiguous: the order of the depth in workgroup memory is another one,
 * the same for both operands, and so may be that of the outer axis (`quadOf`), unless lines are asked for `along` the inner one.
 */
export function stagePairs(frame: Frame, s: MatrixSide, lines?: "outer" | "inner"): StagedPair {
  const { e } = frame;
  const along = lines ?? lineAxis(frame, s);
  const [line, count] = along === "inner" ? [s.depth, s.size] : [s.size, s.depth];
  const pitch = (line + s.pad) / 8;
  const perLine = line / 8;
  const vectors = pitch * count;
  /** Where vectors of four of the depth lie apart that neighbour each other in workgroup memory. */
  const apart = s.depth / 2;
  const half = s.size / 8;
  const quadOf = (place: Index): Index => (along === "inner" ? place : add(div(place, 2), scale(mod(place, 2), half)));
  const eachSlot = slotsOf(e, perLine * count, s.threads, (unit) => {
    const registers = ["", ""].map(() => {
      const name = e.fresh("r");
      e.line(`var ${name} = vec4<f32>();`);
      return name;
    });
    const line = div(unit, perLine);
    return { registers, line: along === "inner" ? spread(line, perLine) : line, chunk: mod(unit, perLine) };
  });
  const all: string[] = [];
  eachSlot(({ registers }) => all.push(...registers));
  return {
    along,
    pitch,
    vectors,
    quadOf,
    load(outer, inner) {
      eachSlot(({ registers, line: at, chunk }) => {
        registers.forEach((r, q) => {
          const text =
            along === "inner"
              ? quadInside(frame, s, add(outer, at), add(inner, add(scale(chunk, 4), int(q * apart))))
              : quadOutside(
                  frame,
                  s,
                  add(outer, add(scale(chunk, 4), int(q * (s.size / 2)))),
                  add(inner, depthOfLine(at, apart)),
                );
          e.line(`${r} = ${text};`);
        });
      });
    },
    peak: () => peakOf(all),
    store(name, base, by) {
      eachSlot(({ registers, line: at, chunk }) => {
        const place = add(scale(at, pitch), chunk);
        const pairs = registers.map((r) => pairOf(frame, `${r} * ${by}`));
        [0, 1].forEach((i) => {
          const value = `vec4<u32>(${pairs.map((p) => p[i]).join(", ")})`;
          e.line(`${name}[${indexText(add(place, int(base + i * vectors)))}] = ${value};`);
        });
      });
    },
    block: (outer, inner) =>
      along === "inner" ? add(scale(outer, pitch), int(inner / 8)) : add(int(inner * pitch), div(outer, 8)),
  };
}

const peakOf = (registers: readonly string[]): string =>
  registers.map((r) => `abs(${r})`).reduce((a, b) => `max(${a}, ${b})`);

/** The position along the depth of a line of workgroup memory. */
const depthOfLine = (line: Index, apart: number): Index =>
  add(add(scale(div(line, 8), 4), scale(div(mod(line, 8), 4), apart)), mod(line, 4));

/** Four neighbours along the depth, zero beyond its end. */
function quadInside(frame: Frame, s: MatrixSide, outer: Index, k: Index): string {
  const { e } = frame;
  const quarter = div(k, 4);
  const at = clampDepth(e, s, quarter, Math.ceil(s.depthLimit / 4) - 1);
  const index = s.at(clamp(e, outer, s.limit - 1), add(scale(at, 4), lane(4)));
  return masked(quadAt(frame, s, index), whole(s) ? "" : insideQuarter(quarter, s.depthLimit));
}

/** Four neighbours along the other axis, at one position of the depth. What lies beyond the operand counts as zero: it must not be its largest. */
function quadOutside(frame: Frame, s: MatrixSide, outer: Index, k: Index): string {
  const { e } = frame;
  const quarter = div(outer, 4);
  const at = clamp(e, quarter, Math.ceil(s.limit / 4) - 1);
  const index = s.at(add(scale(at, 4), lane(4)), clampDepth(e, s, k, s.depthLimit - 1));
  const depth = whole(s) ? "" : `${indexText(k)} < ${s.depthLimit}u`;
  const value = masked(quadAt(frame, s, index), depth);
  return s.limit % 4 === 0 ? value : masked(value, insideQuarter(quarter, s.limit));
}

const masked = (text: string, inside: string): string => (inside ? `select(vec4<f32>(), ${text}, ${inside})` : text);

function quadAt({ e }: Frame, s: MatrixSide, index: readonly Index[]): string {
  e.width = 4;
  const v = e.value(s.operand, index);
  return v.width === 4 ? v.text : `vec4<f32>(${v.text})`;
}

/** What is left of an f32's bits of 11 of its 24, and half of the last of these. */
const [upper, halfOfLast] = ["0xffffe000u", "0x1000u"];

/**
 * Texts of two words each: four f32 rounded to halves, and what the rounding left of them. Rounded by integer arithmetic:
 * drivers take the way to a half and back for nothing.
 */
export function pairOf({ e, capabilities }: Frame, text: string): readonly [string, string] {
  const x = e.let(text, 4, "f32").text;
  const bits = `(bitcast<vec4<u32>>(${x}) + vec4<u32>(${halfOfLast})) & vec4<u32>(${upper})`;
  const h = e.let(`bitcast<vec4<f32>>(${bits})`, 4, "f32", e.depth, "h").text;
  const rest = `(${x} - ${h})`;
  if (capabilities.features.f16) return [h, rest].map((v) => `bitcast<vec2<u32>>(vec4<f16>(${v}))`) as [string, string];
  // The form for trying without halves.
  const l = e.let(rest, 4, "f32").text;
  return [h, l].map((v) => `vec2<u32>(pack2x16float(${v}.xy), pack2x16float(${v}.zw))`) as [string, string];
}
