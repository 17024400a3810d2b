import type { Side } from "../fuse/riders.ts";
import { add, type Index, indexText, scale } from "../ir/index-expr.ts";
import { matrixThreads, type TileShape } from "../passes/matrix-tiles.ts";
import type { StagedHalves } from "./contraction-matrix-stage.ts";
import type { Frame } from "./kernel.ts";
import { writeFourSums } from "./riders.ts";

/** Sums of a staged operand over the depth. */
export interface HalfSums {
  /** Adds the tile that begins at the vector of the staging array that the text `base` gives. */
  add(base: string): void;
  /** Stores the sums, through the staging array, which nothing else needs any more. */
  write(): void;
}

/** The tile that sums are taken of. */
export interface SummedTile {
  readonly side: Side;
  readonly staged: Pick<StagedHalves, "along" | "pitch">;
  /**
   * Where the operand is scaled and in two halves: how many vectors after the upper ones the lower ones begin, and the text of what
   * undoes the scale.
   */
  readonly lower?: { readonly vectors: number; readonly unscale: string };
  readonly array: string;
  readonly size: number;
  readonly depth: number;
  readonly threads: number;
  readonly limit: number;
  /** Where along the summed side the four at a place in lines come from, where that is another place. */
  readonly quadOf?: (place: Index) => Index;
  /** Where the tile begins along the summed side, and along the other one: the workgroups at 0 there do the sums. */
  readonly at: Index;
  readonly across: Index;
}

const wide = (a: string, b: string): string => `vec4<f32>(unpack2x16float(${a}), unpack2x16float(${b}))`;
const float = (text: string): string => `bitcast<vec4<f32>>(${text})`;
const bits = (text: string): string => `bitcast<vec4<u32>>(${text})`;

/** Whether invocations can share the sums of a side's tile evenly, whichever way its lines lie. */
export function addsUp(t: TileShape, side: Side): boolean {
  const size = side === "a" ? t.m : t.n;
  const threads = matrixThreads(t);
  const evenly = (units: number, among: number): boolean => among % units === 0 && among >= units;
  const inLines = evenly(size, threads) && (t.k / 8) % (threads / size) === 0;
  return evenly(size / 8, threads) && t.k % (threads / (size / 8)) === 0 && inLines;
}

/** An invocation adds up a share of each tile; at the end the shares meet in workgroup memory. */
export const halfSums = (frame: Frame, t: SummedTile): HalfSums =>
  t.staged.along === "outer" ? sumsOfColumns(frame, t) : sumsOfLines(frame, t);

/** Lines along the summed side: an invocation adds the same eight of them at some depths. */
function sumsOfColumns(frame: Frame, t: SummedTile): HalfSums {
  const { e } = frame;
  const chunks = t.size / 8;
  const shares = t.threads / chunks;
  const own = t.depth / shares;
  const first = `${indexText(t.across)} == 0u`;
  const [low, high] = [declare(frame), declare(frame)];
  return {
    add(base) {
      e.open(`if (${first}) {`);
      for (let k = 0; k < own; k++) {
        const at = `(lid / ${chunks}u) * ${own * t.staged.pitch}u + lid % ${chunks}u + ${base} + ${k * t.staged.pitch}u`;
        const [first4, next4] = eightAt(frame, t, at);
        e.line(`${low} += ${first4};`);
        e.line(`${high} += ${next4};`);
      }
      e.close();
    },
    write() {
      e.line(`if (${first}) { ${t.array}[lid * 2u] = ${bits(low)}; ${t.array}[lid * 2u + 1u] = ${bits(high)}; }`);
      e.line("workgroupBarrier();");
      e.open(`if (${first} && lid < ${chunks * 2}u) {`);
      const parts = Array.from({ length: shares }, (_, i) => float(`${t.array}[lid + ${i * chunks * 2}u]`));
      quads(frame, t, parts.join(" + "), chunks * 2);
      e.close();
    },
  };
}

/** Lines along the depth: an invocation adds up a part of one line. */
function sumsOfLines(frame: Frame, t: SummedTile): HalfSums {
  const { e } = frame;
  const shares = t.threads / t.size;
  const own = t.depth / 8 / shares;
  const first = `${indexText(t.across)} == 0u`;
  const sum = declare(frame);
  return {
    add(base) {
      e.open(`if (${first}) {`);
      for (let c = 0; c < own; c++) {
        const at = `(lid % ${t.size}u) * ${t.staged.pitch}u + (lid / ${t.size}u) * ${own}u + ${base} + ${c}u`;
        const [first4, next4] = eightAt(frame, t, at);
        e.line(`${sum} += ${first4} + ${next4};`);
      }
      e.close();
    },
    write() {
      e.line(`if (${first}) { ${t.array}[lid] = ${bits(sum)}; }`);
      e.line("workgroupBarrier();");
      e.open(`if (${first} && lid < ${t.size / 4}u) {`);
      const lanes = [0, 1, 2, 3].map((l) => {
        const shared = Array.from({ length: shares }, (_, i) => float(`${t.array}[lid * 4u + ${l + i * t.size}u]`));
        return `dot(${shared.join(" + ")}, vec4<f32>(1.0))`;
      });
      quads(frame, t, `vec4<f32>(${lanes.join(", ")})`, t.size / 4);
      e.close();
    },
  };
}

/** Texts of the eight values at a place of the tile, in two vectors. */
function eightAt({ e }: Frame, { array, lower }: SummedTile, at: string): readonly [string, string] {
  const load = (place: string): string => {
    const w = e.fresh("w");
    e.line(`let ${w} = ${array}[${place}];`);
    return w;
  };
  const upper = load(at);
  const both = [wide(`${upper}.x`, `${upper}.y`), wide(`${upper}.z`, `${upper}.w`)] as const;
  if (!lower) return both;
  const rest = load(`${at} + ${lower.vectors}u`);
  const low = [wide(`${rest}.x`, `${rest}.y`), wide(`${rest}.z`, `${rest}.w`)] as const;
  const whole = (i: 0 | 1): string => `(${both[i]} + ${low[i]}) * ${lower.unscale}`;
  return [whole(0), whole(1)];
}

function declare({ e }: Frame): string {
  const name = e.fresh("sum");
  e.line(`var ${name} = vec4<f32>();`);
  return name;
}

/** Stores four sums an invocation. */
function quads(frame: Frame, t: SummedTile, text: string, count: number): void {
  const { e } = frame;
  const total = e.let(text, 4, "f32");
  const quad = e.index("quad", count - 1, "lid");
  writeFourSums(frame, t.side, add(t.at, scale(t.quadOf?.(quad) ?? quad, 4)), t.limit, total);
}
