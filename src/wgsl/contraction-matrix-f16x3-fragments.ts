import type { Node } from "../ir/graph.ts";
import { add, div, type Index, indexAlgebra, indexText, int, mod, ravel, scale } from "../ir/index-expr.ts";
import { halvesBlock, lowerWords, matrixBelow, wordAt } from "../ir/ops/halves.ts";
import { fragmentPitch, linePitch, storedVectors, unit } from "../passes/matrix-tiles.ts";
import { type Emitter, lane, shapeOf } from "./emitter.ts";
import type { Binding } from "./storage.ts";

/** An operand of a product that is stored as halves: the places of the tensors that hold it. */
export interface StoredOperand {
  readonly words: Node;
  readonly exponents: Node;
  /** The sum goes along its rows as they are stored. */
  readonly inner: boolean;
}

/** What an operand is stored as, if its halves are those of a matrix in memory; `left` tells which operand it is. */
export function storedOperand(operand: Node, left: boolean): StoredOperand | undefined {
  const { base, turned } = matrixBelow(operand);
  if (base.op !== "fromHalves") return undefined;
  const [words, exponents] = base.args as [Node, Node];
  return { words, exponents, inner: turned !== left };
}

/** A tile of a stored operand: `size` along its outer side by `depth` along the sum, which has `limit` terms. */
export interface StoredSide extends StoredOperand {
  readonly size: number;
  readonly depth: number;
  readonly limit: number;
  /** Where the tile begins along the outer side. */
  readonly at: Index;
  readonly threads: number;
  /** The first position of the sum that the tile must not read beyond as it is stored: what is read there counts as zero. */
  readonly masked?: number;
}

/** Fragments of a tile, as a subgroup loads them: `outer` and `inner` count fragments from where it begins. */
export interface Fragments {
  /** Vectors of workgroup memory that the upper halves take, and after them the lower ones. */
  readonly vectors: number;
  /** The side of the tile that its lines go along, and how many vectors they are apart. */
  readonly along: "outer" | "inner";
  readonly pitch: number;
  /** Memory to registers, where the sum is at `k`. */
  load(k: Index): void;
  /** Registers to workgroup memory. */
  store(name: string): void;
  /** Arguments of `subgroupMatrixLoad`, the array, the vector and the distance of rows, for the upper and the lower halves. */
  at(name: string, outer: Index, inner: number): readonly [string, string];
}

const perBlock = halvesBlock / unit;
/** Vectors of a fragment, of eight halves each. */
const vectorsOf = (unit * unit) / 8;

/** The text of the exponent that the tile is scaled for, where the sum is at `k`. */
export function exponentText(e: Emitter, s: StoredSide, k: Index): string {
  const [outer, inner] = [s.at, k].map((x) => div(x, halvesBlock)) as [Index, Index];
  e.width = 1;
  return e.value(s.exponents, s.inner ? [outer, clampBlock(e, s, inner)] : [clampBlock(e, s, inner), outer]).text;
}

/** Parts may be longer than the sum: what lies beyond is read in its last block, and masked. */
function clampBlock(e: Emitter, s: StoredSide, block: Index): Index {
  const last = Math.ceil(s.limit / halvesBlock) - 1;
  return block.max <= last ? block : e.opaque(`min(${indexText(block)}, ${last}u)`, last, e.depthOf([block]));
}

/** The index of the word at a place of the tile, by fragments, and lines and vectors of eight in one. */
function wordIndex(e: Emitter, s: StoredSide, outer: Index, inner: Index, line: Index, eight: Index): Index[] {
  const k = add(scale(clampBlock(e, s, div(inner, perBlock)), perBlock), mod(inner, perBlock));
  const [down, across] = s.inner ? [outer, k] : [k, outer];
  return wordAt(indexAlgebra, add(scale(down, unit), line), add(scale(across, unit), scale(eight, 8)));
}

/** Index variables of an invocation's part of two fragments: which of their halves, and where. Declared once for both operands. */
interface Own {
  /** Number among those that bring two fragments at a time. */
  readonly pair: Index;
  readonly lower: Index;
  readonly line: Index;
  readonly eight: Index;
}

/** What eight invocations store at a time lies in different banks: they have each second line. */
export function ownVectors(e: Emitter, threads: number): Own {
  return {
    pair: e.index("pair", threads / (2 * vectorsOf) - 1, `lid / ${2 * vectorsOf}u`),
    lower: e.index("low", 1, `(lid / ${vectorsOf}u) % 2u`),
    line: e.index("line", unit - 1, `(lid / 16u) % 2u * 8u + (lid / 8u) % 2u + (lid % 8u) / 2u * 2u`),
    eight: e.index("eight", 1, "lid % 2u"),
  };
}

/** Fragments that go through workgroup memory, from vector `base` of the array on. */
export function stagedFragments(e: Emitter, s: StoredSide, own: Own, base: number): Fragments {
  const [wide, deep] = [s.size / unit, s.depth / unit];
  const vectors = storedVectors(s.size, s.depth, s.inner);
  const pitch = s.inner ? fragmentPitch : linePitch(s.size);
  const slots = Array.from({ length: (wide * deep * 2 * vectorsOf) / s.threads }, (_, i) => {
    const at = add(own.pair, int((i * s.threads) / (2 * vectorsOf)));
    const register = e.fresh("r");
    e.line(`var ${register} = vec4<u32>();`);
    // In the order in which they lie in memory.
    return s.inner
      ? { register, outer: div(at, deep), inner: mod(at, deep) }
      : { register, outer: mod(at, wide), inner: div(at, wide) };
  });
  const place = (outer: Index, inner: Index, line: Index): Index =>
    s.inner
      ? add(scale(add(scale(outer, deep), inner), unit * fragmentPitch), scale(line, fragmentPitch))
      : add(add(scale(inner, unit * pitch), scale(line, pitch)), scale(outer, 2));
  return {
    vectors,
    pitch,
    along: s.inner ? "inner" : "outer",
    load(k) {
      for (const { register, outer, inner } of slots) {
        e.width = 4;
        const fragment = add(div(k, unit), inner);
        const [high, across, word] = wordIndex(e, s, add(div(s.at, unit), outer), fragment, own.line, own.eight);
        const index = [high, across, add(add(word as Index, scale(own.lower, lowerWords)), lane(4))] as Index[];
        const { text } = e.value(s.words, index);
        const term = add(scale(fragment, unit), s.inner ? scale(own.eight, 8) : own.line);
        const beyond = s.masked !== undefined && term.max >= s.masked;
        e.line(`${register} = ${beyond ? `select(vec4<u32>(), ${text}, ${indexText(term)} < ${s.masked}u)` : text};`);
      }
    },
    store(name) {
      for (const { register, outer, inner } of slots) {
        const at = add(add(place(outer, inner, own.line), own.eight), add(scale(own.lower, vectors), int(base)));
        e.line(`${name}[${indexText(at)}] = ${register};`);
      }
    },
    at(name, outer, inner) {
      const first = add(place(outer, int(inner), int(0)), int(base));
      return [first, add(first, int(vectors))].map((x) => `&${name}, ${indexText(x)}, ${pitch}u`) as [string, string];
    },
  };
}

/** Fragments that are loaded from where they are stored; `k` is where the tile is along the sum. */
export function directFragments(e: Emitter, s: StoredSide, k: () => Index): Fragments {
  const binding = e.boundTo(s.words) as Binding;
  binding.width = 4;
  return {
    ...{ vectors: 0, pitch: 0, along: "inner" },
    load() {},
    store() {},
    at(_, outer, inner) {
      const fragment = add(div(k(), unit), int(inner));
      const index = wordIndex(e, s, add(div(s.at, unit), outer), fragment, int(0), int(0));
      const first = div(ravel(index, shapeOf(s.words)), 4);
      return [first, add(first, int(lowerWords / 4))].map((x) => `&${binding.buffers[0]}, ${indexText(x)}, 2u`) as [
        string,
        string,
      ];
    },
  };
}
