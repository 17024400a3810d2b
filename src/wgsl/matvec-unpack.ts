import { isStored, readsOf } from "../fuse/pull.ts";
import type { Node } from "../ir/graph.ts";
import { type Index, int, isInt, substitute } from "../ir/index-expr.ts";
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

/**
 * Makes the unpacking of an operand's words cheap: four neighbours at a time by the bits of floats. Put where the bits of a number
 * begin at the units of a float of a power of two, a number is the float less that power: no shift for most and no conversion,
 * which GPUs do at a fraction of the rate. Exact. Returns what undoes it; nothing is done where neighbours do not share
 * a word.
 */
export function unpackFast(e: Emitter, operand: Node): () => void {
  const found = findIn(operand);
  if (!found) return () => {};
  const { node, shifted, mask, minus } = found;
  e.provide(node, (index): Value => {
    // Below an elementwise node, or two, or three: the same place.
    let at = index;
    for (let n = node; n !== shifted; ) {
      const [first] = readsOf(n, at);
      n = first!.arg;
      at = first!.index;
    }
    const [word, shift] = readsOf(shifted, at) as [Read, Read];
    const shifts = Array.from({ length: e.width }, (_, l) =>
      numberAt(
        shift.arg,
        shift.index.map((i) => substitute(i, "lane", int(l))),
      ),
    );
    const value = e.value(word.arg, word.index);
    const least = Math.min(...(shifts as number[]));
    const most = Math.max(...(shifts as number[])) - least + bits(mask);
    if (e.width === 1 || value.width > 1 || !(most <= 23)) return slowly(e, found, value, shift);
    const list = (of: (shift: number) => string): string =>
      `(${shifts.map((s) => of((s as number) - least)).join(", ")})`;
    const [u, f] = [`vec${e.width}<u32>`, `vec${e.width}<f32>`];
    const low = least > 0 ? e.let(`${value.text} >> ${least}u`, 1, "u32", value.depth).text : value.text;
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
