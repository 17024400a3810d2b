import type { Region } from "../fuse/region.ts";
import type { Node } from "../ir/graph.ts";
import type { Index } from "../ir/index-expr.ts";
import { type Accumulator, accumulatorOf } from "./accumulate.ts";
import { crossInvocations } from "./cross.ts";
import type { Emitter, Value } from "./emitter.ts";
import { type Mask, maskOf } from "./masks.ts";
import type { RowWriter } from "./row-parts.ts";
import { typeOf } from "./storage.ts";

/** A sum over a row that depends on the row's maximum. */
interface Dependent {
  readonly node: Node;
  /** exp(x - max), which it is of, or */
  readonly power?: Node;
  /** of where(place = this number, x - max, 0), place being the number of a column. */
  readonly place?: Node;
}

/** A maximum and the sums over the same row that depend on it. */
export interface Online {
  readonly max: Node;
  /** What the maximum is of. */
  readonly x: Node;
  /** Columns of x that count: in others it is -inf. */
  readonly columns: number;
  readonly sums: readonly Dependent[];
}

/**
 * The maximum of x and sums of exp(x - max), where two levels of reductions are that and nothing else: they need one pass
 * over the row (Milakov and Gimelshein, Online normalizer calculation for softmax, 2018). All may leave out the last elements of
 * each row.
 */
export function onlineOf(first: readonly Node[], second: readonly Node[] | undefined): Online | undefined {
  const [max] = first as [Node];
  const x = max.args[0] as Node;
  if (first.length !== 1 || max.op !== "reduceMax" || x.type.dtype !== "f32" || !second) return undefined;
  const mask = maskOf(x);
  const most = x.type.shape.at(-1) as number;
  const columns = mask && isConst(mask.fill, Number.NEGATIVE_INFINITY) ? mask.columns : most;
  const own = columns < most ? (mask as Mask).inner : x;
  if (columns < most && String(max.attrs.axes) !== String(x.type.shape.length - 1)) return undefined;
  const sums = second.map((n) => dependent(n, max, own, columns));
  return sums.every((s) => s !== undefined) && sums.some((s) => s.power) ? { max, x, columns, sums } : undefined;
}

const isConst = (n: Node, value: number): boolean => n.op === "const" && n.attrs.value === value;

function dependent(node: Node, max: Node, x: Node, columns: number): Dependent | undefined {
  let [of] = node.args as [Node];
  if (node.op !== "sum" || node.type.dtype !== "f32") return undefined;
  const mask = maskOf(of);
  const masked = mask !== undefined && mask.columns === columns && isConst(mask.fill, 0);
  if (columns < (x.type.shape.at(-1) as number) && !masked) return undefined;
  if (masked) of = mask.inner;
  const [a, b, c] = of.args as [Node, Node, Node];
  if (of.op === "exp") return isCentred(a, max, x) ? { node, power: of } : undefined;
  if (of.op !== "where" || !isCentred(b, max, x)) return undefined;
  // Of rows that were made longer the last elements repeat.
  const place = placeIn(a.op === "pad" && a.attrs.mode === "edge" && masked ? (a.args[0] as Node) : a, max);
  return place && isConst(c, 0) ? { node, place } : undefined;
}

/** Is `n` x - max? */
const isCentred = (n: Node, max: Node, x: Node): boolean =>
  n.op === "sub" && n.args[0] === x && behindViews(n.args[1] as Node) === max;

const behindViews = (n: Node): Node =>
  n.op === "reshape" || n.op === "broadcastTo" ? behindViews(n.args[0] as Node) : n;

/** Is a maximum itself of account, or only differences from it? Of a row with an infinity those are NaN or never finite, whatever else is in it. */
function readsMax(max: Node, { inputs, outputs, anchors }: Region): boolean {
  const loaded = new Set(inputs);
  const seen = new Set<Node>();
  const visit = (n: Node): boolean => {
    if (n === max || loaded.has(n) || seen.has(n)) return false;
    seen.add(n);
    const reads = n.op !== "sub" && behindViews(n) !== max && n.args.some((a) => behindViews(a) === max);
    return reads || n.args.some(visit);
  };
  return outputs.some((n) => behindViews(n) === max) || [...outputs, ...anchors].some(visit);
}

/** What the number along the reduced axis is compared with, where that is one number a row. */
function placeIn(equal: Node, max: Node): Node | undefined {
  if (equal.op !== "equal") return undefined;
  const [axis, ...others] = max.attrs.axes as readonly number[];
  const rank = (max.args[0] as Node).type.shape.length;
  const iota = equal.args.find((n) => n.op === "iota" && n.attrs.axis === axis && n.type.shape.length === rank);
  const place = equal.args.find((n) => n !== iota);
  const alone = place?.type.shape.length === rank && place.type.shape[axis as number] === 1;
  return others.length === 0 && iota && alone ? place : undefined;
}

/** The least finite number: infinity less infinity is none, so what is below counts as this in exponents. */
const lowest = -3.4028234663852886e38;

/**
 * e^x for x up to 0, and 0 far below it: 2^(x log2 e), and what the product rounds off is made good to first order. The error is that of
 * exp2; without fused multiply-adds also that of the product.
 */
const powerText = (name: string, type: string): string =>
  [
    `fn ${name}(v: ${type}) -> ${type} {`,
    `  let x = max(v, ${type}(-104.0));`,
    "  let t = x * 1.44269504;",
    "  let y = exp2(t);",
    `  let r = fma(t, ${type}(2.12194440e-4), fma(t, ${type}(-0.693359375), x));`,
    "  return fma(y, r, y);",
    "}",
  ].join("\n");

/** e^x of a text, for x up to 0. */
export const power = (e: Emitter, text: string, width: number): Value => {
  const type = typeOf("f32", width);
  const name = e.declare(`power ${type}`, (name) => powerText(name, type));
  return e.let(`${name}(${text})`, width, "f32");
};

/** The state of one pass: each invocation has a maximum of its own, which its sums of powers, one a lane, are relative to. */
export class OnlineState {
  readonly #online: Online;
  readonly #e: Emitter;
  readonly #width: number;
  readonly #max: string;
  /** Largest magnitude, as bits, or where differences from the maximum alone are of account a sum that a NaN makes one. */
  readonly #odd: string;
  readonly #exact: boolean;
  readonly #sum: string;
  readonly #picked: ReadonlyMap<Node, Picked>;

  /** `at` reads a node at a column. */
  constructor(online: Online, w: RowWriter, width: number, at: (n: Node, col: Index) => Value) {
    const { e } = w.frame;
    this.#online = online;
    this.#e = e;
    this.#width = width;
    const declare = (prefix: string, start: string): string => {
      const name = e.fresh(prefix);
      e.line(`var ${name} = ${start};`);
      return name;
    };
    this.#max = declare("top", e.literal(Number.NEGATIVE_INFINITY, "f32").text);
    this.#exact = readsMax(online.max, w.frame.region);
    this.#odd = declare("odd", `${typeOf(this.#exact ? "u32" : "f32", width)}()`);
    this.#sum = declare("acc", `${typeOf("f32", width)}()`);
    // Before anything is written, in whose place it may be; and early, since one load waits for another.
    e.width = 1;
    const pick = (s: Dependent) => (s.place ? [[s.node, this.#pick(w, s.place, at)] as const] : []);
    this.#picked = new Map(online.sums.flatMap(pick));
    e.width = width;
  }

  /** Takes several steps of a row. Returns their powers, and the number that these are relative to. */
  take(xs: readonly Value[]): { readonly powers: readonly string[]; readonly base: string } {
    const e = this.#e;
    const width = this.#width;
    const texts = xs.map((v) => (v.width === width ? v.text : `${typeOf("f32", width)}(${v.text})`));
    const most = (first: string, list: readonly string[]): string => list.reduce((a, b) => `max(${a}, ${b})`, first);
    const [first, ...others] = texts as [string, ...string[]];
    const own = e.let(most(first, others), width, "f32").text;
    const next = e.let(most(this.#max, this.#lanes(own)), 1, "f32").text;
    this.#look(texts, most);
    const base = this.#finite(next);
    const scale = this.#power(`${this.#finite(this.#max)} - ${base}`, 1);
    const powers = texts.map((t) => this.#power(`${t} - ${base}`, width));
    e.line(`${this.#sum} = ${this.#sum} * ${scale} + (${powers.join(" + ")});`);
    e.line(`${this.#max} = ${next};`);
    return { powers, base };
  }

  /**
   * The row's results, over lanes and over the invocations that share it, and how powers relative to another number become
   * those of the row.
   */
  finish(w: RowWriter): { readonly results: Map<Node, Value>; readonly factor: (base: string) => string } {
    const e = this.#e;
    const width = this.#width;
    const { max, sums } = this.#online;
    const across = (own: Value, acc: Accumulator): string =>
      ((w.s.threads > 1 ? crossInvocations(w, acc, [own]) : [own])[0] as Value).text;
    e.width = 1;
    const nan = e.literal(Number.NaN, "f32").text;
    const lanes = this.#lanes(this.#odd);
    const bits = this.#exact
      ? lanes.reduce((a, b) => `max(${a}, ${b})`)
      : `(bitcast<u32>(${lanes.join(" + ")}) & 0x7fffffffu)`;
    e.line(`${this.#max} = select(${this.#max}, ${nan}, ${bits} > 0x7f800000u);`);
    const top = across(e.let(this.#max, 1, "f32"), accumulatorOf(max));
    const base = this.#finite(top);
    const factor = (from: string): string => this.#power(`${from} - ${base}`, 1);
    const own = factor(this.#finite(this.#max));
    const results = new Map<Node, Value>([[max, e.let(top, 1, "f32")]]);
    for (const { node, place } of sums) {
      if (place) {
        const { value, inside } = this.#picked.get(node) as Picked;
        results.set(node, e.let(`select(0.0, ${value} - ${top}, ${inside})`, 1, "f32"));
        continue;
      }
      const acc = accumulatorOf(node);
      const parts = this.#lanes(this.#sum);
      const sum = across(e.let(`${this.#join(parts, acc).text} * ${own}`, 1, "f32"), acc);
      // A maximum that is no finite number leaves none to any difference from it.
      const finite = `(bitcast<u32>(${top}) & 0x7fffffffu) < 0x7f800000u`;
      results.set(node, e.let(`select(${nan}, ${sum}, ${finite})`, 1, "f32"));
    }
    e.width = width;
    return { results, factor };
  }

  /** Looks for NaNs, which the built-in maximum may lose. Scaled down, finite numbers never add up to an infinity. */
  #look(texts: readonly string[], most: (first: string, list: readonly string[]) => string): void {
    const e = this.#e;
    if (this.#exact) {
      const u32 = typeOf("u32", this.#width);
      const magnitudes = texts.map((t) => `bitcast<${u32}>(${t}) & ${u32}(0x7fffffffu)`);
      e.line(`${this.#odd} = ${most(this.#odd, magnitudes)};`);
      return;
    }
    const small = e.literal(1e-6, "f32", this.#width).text;
    for (const t of texts) e.line(`${this.#odd} = fma(${t}, ${small}, ${this.#odd});`);
  }

  #lanes(name: string): string[] {
    return Array.from({ length: this.#width }, (_, l) => (this.#width === 1 ? name : `${name}.${"xyzw"[l]}`));
  }

  #pick(w: RowWriter, place: Node, at: (n: Node, col: Index) => Value): Picked {
    const e = this.#e;
    const id = at(place, w.thread);
    const last = this.#online.columns - 1;
    const col = e.opaque(`min(u32(${id.text}), ${last}u)`, last, e.depth);
    const inside = id.dtype === "u32" ? `${id.text} <= ${last}u` : `u32(${id.text}) <= ${last}u`;
    return { value: at(this.#online.x, col).text, inside: `(${inside})` };
  }

  readonly #finite = (text: string): string =>
    this.#e.let(`max(${text}, ${this.#e.literal(lowest, "f32").text})`, 1, "f32").text;

  readonly #power = (text: string, width: number): string => power(this.#e, text, width).text;

  /** In lane order. */
  #join(texts: readonly string[], acc: Accumulator): Value {
    const e = this.#e;
    let parts = texts.map((text): Value => e.let(text, 1, "f32"));
    while (parts.length > 1) {
      parts = Array.from({ length: parts.length / 2 }, (_, i) => ({
        ...(acc.combine(e, [parts[2 * i] as Value], [parts[2 * i + 1] as Value])[0] as Value),
        depth: e.depth,
      }));
    }
    return parts[0] as Value;
  }
}

interface Picked {
  readonly value: string;
  readonly inside: string;
}
