import { countOf, isStored, readsOf } from "../fuse/pull.ts";
import type { Node } from "../ir/graph.ts";
import { add, dependsOn, divisibleBy, type Index, int, isInt, ravel, scale, sub, variable } from "../ir/index-expr.ts";
import { lane, shapeOf, type Value } from "./emitter.ts";
import type { Frame } from "./kernel.ts";
import type { Binding } from "./storage.ts";

/** Elements along K that an invocation takes at a time, four at least. */
const units = [64, 32, 16, 8];

type At = (k: Index) => readonly Index[];

/** Tensors that an operand reads at an index, with where. */
function leaves(frame: Pick<Frame, "region">, operand: Node, index: readonly Index[]): Map<Node, Index> {
  const inputs = new Set(frame.region.inputs);
  const out = new Map<Node, Index>();
  const visit = (n: Node, at: readonly Index[]): void => {
    if (inputs.has(n) || isStored(n)) {
      out.set(n, ravel(at, shapeOf(n)));
      return;
    }
    for (const r of readsOf(n, at)) visit(r.arg, r.index);
  };
  visit(operand, index);
  return out;
}

/** A tensor of words that hold several neighbours along K each, and how many neighbours four of its words are. */
export interface Packed {
  readonly words: Node;
  readonly unit: number;
}

/**
 * The words of a packed operand (int4, int8): four of them are loaded as a vector. `at` gives the operand's index at a
 * position of K and column 0.
 */
export function packedAlong(frame: Pick<Frame, "region">, operand: Node, at: At, depth: number): Packed | undefined {
  if (frame.region.uniform) return undefined;
  for (const unit of units) {
    if (depth % unit !== 0 || depth === unit) continue;
    const block = scale(variable("probe_k", depth / unit - 1), unit);
    const first = leaves(frame, operand, at(block));
    for (const [words, begin] of first) {
      if (words.type.dtype !== "u32" && words.type.dtype !== "i32") continue;
      const each = unit / 4;
      const steady = Array.from({ length: unit }, (_, k) => {
        const offset = leaves(frame, operand, at(add(block, int(k)))).get(words) as Index;
        return isInt(sub(offset, begin), Math.floor(k / each));
      });
      if (steady.every(Boolean) && divisibleBy(begin, 4) && countOf(words) % 4 === 0) return { words, unit };
    }
  }
  return undefined;
}

/** Where the words of a block of K begin. */
export const wordsAt = (frame: Frame, packed: Packed, operand: Node, at: At, block: Index): Index =>
  leaves(frame, operand, at(scale(block, packed.unit))).get(packed.words) as Index;

/** Four words that were loaded, and where they begin. */
export interface Loaded {
  readonly begin: Index;
  readonly value: Value;
}

/** Reads of the words become components of what was loaded, until they are withdrawn. */
export function provideWords({ e }: Frame, words: Node, loaded: readonly Loaded[]): void {
  const binding = e.boundTo(words) as Binding;
  e.provide(words, (index): Value => {
    const offset = ravel(index, shapeOf(words));
    for (const { begin, value } of loaded) {
      const along = sub(offset, begin);
      if (isInt(along) && along.base >= 0 && along.base < 4)
        return { ...value, text: `${value.text}.${"xyzw"[along.base]}`, width: 1 };
    }
    return e.let(e.storage.load(binding, offset, 1), 1, words.type.dtype);
  });
}

/** Blocks whose words are under way at the same time, and vectors of all columns together: more leave registers. */
const ahead = 3;
const mostVectors = 8;

/** Loads of the words of several columns, each a vector a block of K, that run ahead of where they are used. */
export class Ahead {
  readonly unit: number;
  readonly #frame: Frame;
  readonly #packed: Packed;
  readonly #columns: readonly { readonly begin: (block: Index) => Index; readonly names: readonly string[] }[];
  readonly #blocks: number;
  readonly #share: number;

  /** `at`: for each column, the operand's index at a position of K. Writes the loads of the first blocks of each invocation. */
  constructor(
    frame: Frame,
    packed: Packed,
    operand: Node,
    at: readonly At[],
    { depth, share, products }: { readonly depth: number; readonly share: number; readonly products: number },
  ) {
    this.unit = packed.unit;
    this.#frame = frame;
    this.#packed = packed;
    this.#blocks = depth / packed.unit;
    this.#share = share;
    const { e } = frame;
    const rounds = Math.max(1, Math.min(ahead, Math.floor(mostVectors / (at.length * products))));
    this.#columns = at.map((index) => {
      const begin = (block: Index): Index => wordsAt(frame, packed, operand, index, block);
      const names = Array.from({ length: Math.min(rounds, Math.ceil(this.#blocks / share)) }, (_, i) => {
        const name = e.fresh("words");
        e.line(`var ${name} = ${this.#load(begin, `part + ${i * share}u`)};`);
        return name;
      });
      return { begin, names };
    });
  }

  /** The vector of the block whose number is a text; past the last one, that one. */
  #load(begin: (block: Index) => Index, block: string): string {
    const { e } = this.#frame;
    const at = e.opaque(`min(${block}, ${this.#blocks - 1}u)`, this.#blocks - 1, e.depth);
    return e.storage.load(e.boundTo(this.#packed.words) as Binding, begin(at), 4);
  }

  /** In the loop over blocks `k`: reads of the words become components of what was loaded; the next loads begin. */
  take(k: string): void {
    const { e } = this.#frame;
    const { dtype } = this.#packed.words.type;
    const own = this.#columns.map(({ begin, names }) => {
      const value = e.let(names[0] as string, 4, dtype);
      names.slice(1).forEach((name, i) => {
        e.line(`${names[i]} = ${name};`);
      });
      return { begin: begin(variable(k, this.#blocks - 1)), value };
    });
    this.#columns.forEach(({ begin, names }) => {
      e.line(`${names.at(-1)} = ${this.#load(begin, `${k} + ${names.length * this.#share}u`)};`);
    });
    provideWords(this.#frame, this.#packed.words, own);
  }

  /** Reads of the words are loads again. */
  stop(): void {
    this.#frame.e.withdraw(this.#packed.words);
  }
}

/** A factor of an operand that is the same for all of a unit along K, and what it multiplies, with their indices. */
export interface Factored {
  readonly factor: Node;
  readonly factorAt: readonly Index[];
  readonly rest: Node;
  restAt(k: Index): readonly Index[];
}

/** Takes a scale out of the sum over a unit: f32 operands that are a product, below their views. */
export function factorOf(operand: Node, at: At, begin: Index, unit: number): Factored | undefined {
  const steps = Array.from({ length: unit / 4 }, (_, j) => add(begin, add(int(4 * j), lane(4))));
  let node = operand;
  let indices = steps.map(at);
  const down = (n: Node, index: readonly Index[]): readonly Index[] => readsOf(n, index)[0]!.index;
  const chain: Node[] = [];
  while (["reshape", "transpose", "slice"].includes(node.op)) {
    const view = node;
    chain.push(view);
    indices = indices.map((index) => down(view, index));
    node = node.args[0] as Node;
  }
  if (node.op !== "mul" || node.type.dtype !== "f32") return undefined;
  for (const side of [0, 1]) {
    const places = indices.map((index) => readsOf(node, index)[side]!.index);
    const [place] = places as [readonly Index[]];
    const key = (x: readonly Index[]): string => x.map((i) => i.key).join();
    if (!places.every((x) => key(x) === key(place)) || place.some((i) => dependsOn(i, "lane"))) continue;
    const through = (k: Index): readonly Index[] => chain.reduce((index, v) => down(v, index), at(k));
    return {
      factor: node.args[side] as Node,
      factorAt: place,
      rest: node.args[1 - side] as Node,
      restAt: (k) => readsOf(node, through(k))[1 - side]!.index,
    };
  }
  return undefined;
}
