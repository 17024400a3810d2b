import { isStored, readsOf } from "../fuse/pull.ts";
import type { Node } from "../ir/graph.ts";
import { add, type Index, int, isInt, substitute, variable } from "../ir/index-expr.ts";
import { rowOf } from "../ir/ops.ts";
import type { Emitter, Value } from "./emitter.ts";

/** An unsigned number of a few bits of a word, as f32, less a whole number: what unpacking computes. */
interface Unpacking {
  /** The node that is computed in another way. */
  readonly node: Node;
  readonly shifted: Node;
  readonly mask: number;
  readonly minus: number;
}

const constant = (n: Node | undefined): number | undefined => {
  let at = n;
  while (at?.op === "expand" || at?.op === "reshape") at = at.args[0];
  return at?.op === "const" ? (at.attrs.value as number) : undefined;
};

/** cast((word >> shift) & mask), with a number subtracted from it or not. */
function unpacking(n: Node): Unpacking | undefined {
  if (n.op === "sub" || n.op === "add") {
    const by = constant(n.args[1]);
    const inner = by !== undefined && Number.isInteger(by) ? unpacking(n.args[0] as Node) : undefined;
    if (inner?.minus !== 0 || Math.abs(by as number) > inner.mask) return undefined;
    return { ...inner, node: n, minus: n.op === "sub" ? (by as number) : -(by as number) };
  }
  const and = n.args[0];
  if (n.op !== "cast" || n.type.dtype !== "f32" || and?.op !== "and" || and.type.dtype !== "u32") return undefined;
  const mask = constant(and.args[1]);
  const shifted = and.args[0] as Node;
  if (mask === undefined || shifted.op !== "shiftRight" || mask < 1 || mask > 255 || (mask & (mask + 1)) !== 0)
    return undefined;
  return { node: n, shifted, mask, minus: 0 };
}

/** The first unpacking on the way to an operand. */
function findIn(operand: Node): Unpacking | undefined {
  const seen = new Set<Node>();
  const visit = (n: Node): Unpacking | undefined => {
    if (seen.has(n) || isStored(n)) return undefined;
    seen.add(n);
    const own = unpacking(n);
    if (own) return own;
    for (const a of n.args) {
      const found = visit(a);
      if (found) return found;
    }
    return undefined;
  };
  return visit(operand);
}

/** The value of a node that is made of positions and constants alone, at an index of known numbers. */
function numberAt(n: Node, index: readonly Index[]): number | undefined {
  if (n.op === "const") return n.attrs.value as number;
  if (n.op === "iota") {
    const at = index[n.attrs.axis as number] as Index;
    return isInt(at) ? at.base : undefined;
  }
  const args = isStored(n) ? [] : readsOf(n, index).map((r) => numberAt(r.arg, r.index));
  const [a, b] = args;
  if (a === undefined) return undefined;
  if (args.length === 1) return ["reshape", "expand", "slice", "transpose", "cast"].includes(n.op) ? a : undefined;
  if (b === undefined) return undefined;
  const by: Readonly<Record<string, number>> = { add: a + b, sub: a - b, mul: a * b, shiftLeft: a * 2 ** b };
  return by[n.op];
}

const bits = (mask: number): number => Math.log2(mask + 1);

/** What the number is made of, at an index of it: below one elementwise node, or two, or three, the same place. */
function shiftedAt({ node, shifted }: Unpacking, index: readonly Index[]): readonly [Read, Read] {
  let at = index;
  for (let n = node; n !== shifted; ) {
    const [first] = readsOf(n, at);
    n = first!.arg;
    at = first!.index;
  }
  return readsOf(shifted, at) as unknown as [Read, Read];
}

/** How far the numbers of each lane are shifted in their word, where that is known. */
const shiftsOf = (shift: Read, width: number): readonly (number | undefined)[] =>
  Array.from({ length: width }, (_, l) =>
    numberAt(
      shift.arg,
      shift.index.map((i) => substitute(i, "lane", int(l))),
    ),
  );

/**
 * Where numbers that are unpacked lie in their words: how many bits after the first of four neighbours, where that is so for all of
 * a unit of K from `begin` on, and where the operand is nothing but those numbers. `at`: its index at a position of K.
 */
export function spreadOf(
  operand: Node,
  at: (k: Index) => readonly Index[],
  begin: Index,
  unit: number,
): readonly number[] | undefined {
  const found = findIn(operand);
  if (!found) return undefined;
  let spread: readonly number[] | undefined;
  for (let j = 0; j < unit; j += 4) {
    let index = at(add(begin, add(int(j), variable("lane", 3))));
    for (let n = operand; n !== found.node; n = n.args[0] as Node) {
      if (rowOf(n.op).kind !== "view" || n.args.length !== 1) return undefined;
      index = readsOf(n, index)[0]!.index;
    }
    const shifts = shiftsOf(shiftedAt(found, index)[1], 4) as readonly number[];
    const least = Math.min(...shifts);
    const own = shifts.map((s) => s - least);
    if (!(Math.max(...own) + bits(found.mask) <= 23) || own.some((s, l) => s !== (spread ?? own)[l])) return undefined;
    spread = own;
  }
  return spread;
}

/**
 * Makes the unpacking of an operand's words cheap: four neighbours at a time by the bits of floats. Put where the bits of a number
 * begin at the units of a float of a power of two, a number is the float less that power: no shift for most and no conversion,
 * which GPUs do at a fraction of the rate. Exact. With `spread` each lane is 2^spread times the number, which saves an
 * operation a number: all of a word get the same exponent at once. Returns what undoes it; nothing is done where neighbours do not
 * share a word.
 */
export function unpackFast(e: Emitter, operand: Node, spread?: readonly number[]): () => void {
  const found = findIn(operand);
  if (!found) return () => {};
  const { node, mask, minus } = found;
  e.provide(node, (index): Value => {
    const [word, shift] = shiftedAt(found, index);
    const shifts = shiftsOf(shift, e.width);
    const value = e.value(word.arg, word.index);
    const least = Math.min(...(shifts as number[]));
    const most = Math.max(...(shifts as number[])) - least + bits(mask);
    if (e.width === 1 || value.width > 1 || !(most <= 23)) return slowly(e, found, value, shift);
    const list = (of: (shift: number) => string): string =>
      `(${shifts.map((s) => of((s as number) - least)).join(", ")})`;
    const [u, f] = [`vec${e.width}<u32>`, `vec${e.width}<f32>`];
    const low = least > 0 ? e.let(`${value.text} >> ${least}u`, 1, "u32", value.depth).text : value.text;
    if (spread) {
      const own = least + most < 32 ? `(${low} & ${2 ** most - 1}u)` : low;
      const all = e.let(`${own} | ${150 * 2 ** 23}u`, 1, "u32", value.depth).text;
      const kept = list((s) => `${255 * 2 ** 23 + mask * 2 ** s}u`);
      const zeros = list((s) => `${2 ** 23 + minus * 2 ** s}.0f`);
      return e.let(`bitcast<${f}>(${u}(${all}) & ${u}${kept}) - ${f}${zeros}`, e.width, "f32", value.depth);
    }
    const masks = list((s) => `${mask * 2 ** s}u`);
    const powers = list((s) => `${(150 - s) * 2 ** 23}u`);
    const offsets = list((s) => `${2 ** (23 - s) + minus}.0f`);
    const text = `bitcast<${f}>((${u}(${low}) & ${u}${masks}) | ${u}${powers}) - ${f}${offsets}`;
    return e.let(text, e.width, "f32", value.depth);
  });
  return () => e.withdraw(node);
}

interface Read {
  readonly arg: Node;
  readonly index: readonly Index[];
}

/** The same, as the nodes say. */
function slowly(e: Emitter, { shifted, mask, minus }: Unpacking, word: Value, shift: Read): Value {
  const by = e.value(shift.arg, shift.index);
  const moved = e.apply("shiftRight", [word, by], shifted.type.dtype);
  const kept = e.apply("and", [moved, e.literal(mask, "u32")], "u32");
  const wide = e.apply("cast", [kept], "f32", { dtype: "f32" });
  return minus === 0 ? wide : e.apply("sub", [wide, e.literal(minus, "f32")], "f32");
}
