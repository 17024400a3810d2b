import type { Node } from "../ir/graph.ts";
import type { Index } from "../ir/index-expr.ts";
import { type Accumulator, accumulatorOf } from "./accumulate.ts";
import { crossInvocations } from "./cross.ts";
import type { Emitter, Value } from "./emitter.ts";
import type { RowWriter } from "./row.ts";
import { typeOf } from "./storage.ts";

/** A sum over a row that depends on the row's maximum. */
interface Dependent {
  readonly node: Node;
  /** Of where(place = this number, x - max, 0), place being the number of a column; without it, of exp(x - max). */
  readonly place?: Node;
}

/** A maximum and the sums over the same row that depend on it. */
export interface Online {
  readonly max: Node;
  /** What the maximum is of. */
  readonly x: Node;
  readonly sums: readonly Dependent[];
}

/**
 * The maximum of x and sums of exp(x - max), where two levels of reductions are that and nothing else: they need one pass
 * over the row (Milakov and Gimelshein, Online normalizer calculation for softmax, 2018).
 */
export function onlineOf(first: readonly Node[], second: readonly Node[] | undefined): Online | undefined {
  const [max] = first as [Node];
  const x = max.args[0] as Node;
  if (first.length !== 1 || max.op !== "reduceMax" || x.type.dtype !== "f32" || !second) return undefined;
  const sums = second.map((n) => dependent(n, max, x));
  return sums.every((s) => s !== undefined) && sums.some((s) => !s.place) ? { max, x, sums } : undefined;
}

function dependent(node: Node, max: Node, x: Node): Dependent | undefined {
  const [of] = node.args as [Node];
  if (node.op !== "sum" || node.type.dtype !== "f32") return undefined;
  const [a, b, c] = of.args as [Node, Node, Node];
  if (of.op === "exp") return isCentred(a, max, x) ? { node } : undefined;
  if (of.op !== "where" || a.op !== "equal" || !isCentred(b, max, x)) return undefined;
  const place = placeIn(a, max);
  return place && c.op === "const" && c.attrs.value === 0 ? { node, place } : undefined;
}

/** Is `n` x - max? */
const isCentred = (n: Node, max: Node, x: Node): boolean =>
  n.op === "sub" && n.args[0] === x && behindViews(n.args[1] as Node) === max;

const behindViews = (n: Node): Node =>
  n.op === "reshape" || n.op === "broadcastTo" ? behindViews(n.args[0] as Node) : n;

/** What the number along the reduced axis is compared with, where that is one number a row. */
function placeIn(equal: Node, max: Node): Node | undefined {
  const [axis, ...others] = max.attrs.axes as readonly number[];
  const rank = (max.args[0] as Node).type.shape.length;
  const iota = equal.args.find((n) => n.op === "iota" && n.attrs.axis === axis && n.type.shape.length === rank);
  const place = equal.args.find((n) => n !== iota);
  const alone = place?.type.shape.length === rank && place.type.shape[axis as number] === 1;
  return others.length === 0 && iota && alone ? place : undefined;
}

/** The least finite number: infinity less infinity is none, so what is below counts as this in exponents. */
const lowest = -3.4028234663852886e38;

/** e^x for x up to 0, and 0 below -87: powers of two are exact, and what is left is within WGSL's bound for exp2. */
const powerText = (name: string, type: string, i32: string): string =>
  [
    `fn ${name}(v: ${type}) -> ${type} {`,
    `  let x = max(v, ${type}(-87.0));`,
    "  let k = round(x * 1.44269504);",
    "  let r = (x - k * 0.693359375) + k * 2.12194440e-4;",
    `  let y = exp2(r * 1.44269504) * bitcast<${type}>((${i32}(k) + ${i32}(127)) * ${i32}(8388608));`,
    `  return select(y, ${type}(), v < ${type}(-87.0));`,
    "}",
  ].join("\n");

const power = (e: Emitter, text: string, width: number): Value => {
  const [type, i32] = [typeOf("f32", width), typeOf("i32", width)];
  const name = e.declare(`power ${type}`, (name) => powerText(name, type, i32));
  return e.let(`${name}(${text})`, width, "f32");
};

/** The powers are what outputs read of them too. */
export function providePowers(e: Emitter, { sums }: Online): void {
  for (const { node, place } of sums) {
    const [of] = node.args as [Node];
    if (place) continue;
    e.provide(of, (index) => {
      const { text, width } = e.value(of.args[0] as Node, index);
      return power(e, text, width);
    });
  }
}

/** The state of one pass: each lane has a maximum of its own, which its sum of powers is relative to. */
export class OnlineState {
  readonly #online: Online;
  readonly #e: Emitter;
  readonly #width: number;
  readonly #max: string;
  readonly #bits: string;
  readonly #sum: string;

  constructor(online: Online, e: Emitter, width: number) {
    this.#online = online;
    this.#e = e;
    this.#width = width;
    const declare = (prefix: string, start: string): string => {
      const name = e.fresh(prefix);
      e.line(`var ${name} = ${start};`);
      return name;
    };
    this.#max = declare("top", e.literal(Number.NEGATIVE_INFINITY, "f32", width).text);
    this.#bits = declare("bits", `${typeOf("u32", width)}()`);
    this.#sum = declare("acc", `${typeOf("f32", width)}()`);
  }

  /** Takes several steps of a row. */
  take(xs: readonly Value[]): void {
    const e = this.#e;
    const width = this.#width;
    const u32 = typeOf("u32", width);
    const texts = xs.map((v) => (v.width === width ? v.text : `${typeOf("f32", width)}(${v.text})`));
    const most = (first: string, list: readonly string[]): string => list.reduce((a, b) => `max(${a}, ${b})`, first);
    const next = e.let(most(this.#max, texts), width, "f32").text;
    const magnitudes = texts.map((t) => `bitcast<${u32}>(${t}) & ${u32}(0x7fffffffu)`);
    e.line(`${this.#bits} = ${most(this.#bits, magnitudes)};`);
    const base = this.#finite(next, width);
    const scale = this.#power(`${this.#finite(this.#max, width)} - ${base}`, width);
    const powers = texts.map((t) => this.#power(`${t} - ${base}`, width));
    e.line(`${this.#sum} = ${this.#sum} * ${scale} + (${powers.join(" + ")});`);
    e.line(`${this.#max} = ${next};`);
  }

  /** The row's results, over lanes and over the invocations that share it. `at` reads a node at a column. */
  finish(w: RowWriter, at: (n: Node, col: Index) => Value): Map<Node, Value> {
    const e = this.#e;
    const width = this.#width;
    const { max, x, sums } = this.#online;
    // Before anything is written: the results may be in the place of what is read.
    const picked = new Map(sums.flatMap((s) => (s.place ? [[s.node, this.#pick(w, s.place, x, at)] as const] : [])));
    const nan = e.literal(Number.NaN, "f32", width).text;
    e.line(`${this.#max} = select(${this.#max}, ${nan}, ${this.#bits} > ${typeOf("u32", width)}(0x7f800000u));`);
    const lanes = Array.from({ length: width }, (_, l) => (width === 1 ? "" : `.${"xyzw"[l]}`));
    const across = (texts: readonly string[], acc: Accumulator): string => {
      const own = this.#join(texts, acc);
      return ((w.s.threads > 1 ? crossInvocations(w, acc, [own]) : [own])[0] as Value).text;
    };
    const top = across(
      lanes.map((l) => this.#max + l),
      accumulatorOf(max),
    );
    const base = this.#finite(top, 1);
    const out = new Map<Node, Value>([[max, e.let(top, 1, "f32")]]);
    for (const { node, place } of sums) {
      if (place) {
        const { value, inside } = picked.get(node) as Picked;
        out.set(node, e.let(`select(0.0, ${value} - ${top}, ${inside})`, 1, "f32"));
        continue;
      }
      const parts = lanes.map(
        (l) => `${this.#sum + l} * ${this.#power(`${this.#finite(this.#max + l, 1)} - ${base}`, 1)}`,
      );
      const sum = across(parts, accumulatorOf(node));
      // A maximum that is no finite number leaves none to any difference from it.
      const finite = `(bitcast<u32>(${top}) & 0x7fffffffu) < 0x7f800000u`;
      out.set(node, e.let(`select(${e.literal(Number.NaN, "f32").text}, ${sum}, ${finite})`, 1, "f32"));
    }
    return out;
  }

  #pick(w: RowWriter, place: Node, x: Node, at: (n: Node, col: Index) => Value): Picked {
    const e = this.#e;
    const id = at(place, w.thread);
    const last = w.s.cols - 1;
    const col = e.opaque(`min(u32(${id.text}), ${last}u)`, last, e.depth);
    const inside = id.dtype === "u32" ? `${id.text} <= ${last}u` : `u32(${id.text}) <= ${last}u`;
    return { value: at(x, col).text, inside: `(${inside})` };
  }

  readonly #finite = (text: string, width: number): string =>
    this.#e.let(`max(${text}, ${this.#e.literal(lowest, "f32", width).text})`, width, "f32").text;

  readonly #power = (text: string, width: number): string => power(this.#e, text, width).text;

  /** In lane order. */
  #join(texts: readonly string[], acc: Accumulator): Value {
    const e = this.#e;
    e.width = 1;
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
