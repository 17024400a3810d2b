import { reach } from "../fuse/prologue.ts";
import type { Node } from "../ir/graph.ts";
import { add, type Index, indexText, int, isInt, ravel, scale, unravel, variable } from "../ir/index-expr.ts";
import { rowOf } from "../ir/ops.ts";
import { type Accumulator, accumulatorOf } from "./accumulate.ts";
import type { Product } from "./contraction.ts";
import { operandIndex } from "./contraction.ts";
import { crossInvocations } from "./cross.ts";
import { lane, shapeOf, type Value } from "./emitter.ts";
import type { Frame } from "./kernel.ts";
import type { RowWriter } from "./row.ts";
import { typeOf } from "./storage.ts";

/** What a matrix-vector kernel has in workgroup memory besides partial sums. */
export interface Staged {
  /** Text of an element of a row. Undefined, as the other one, where rows are not staged this way. */
  readonly one?: (row: number, k: Index) => string;
  /** Text of four neighbours of a row: the `j`-th four of a block of as many elements as an invocation takes at a time. */
  readonly four?: (row: number, block: Index, j: number) => string;
  readonly declarations: readonly string[];
  readonly bytes: number;
  readonly usesSubgroups: boolean;
}

const nothing: Staged = { declarations: [], bytes: 0, usesSubgroups: false };

/** Is an operand only read: through views, and casts, which cost no more than the load? */
function isPlain(frame: Frame, operand: Node): boolean {
  const inputs = new Set(frame.region.inputs);
  const visit = (n: Node): boolean =>
    inputs.has(n) || ((rowOf(n.op).kind === "view" || n.op === "cast") && n.op !== "pad" && n.args.every(visit));
  return visit(operand);
}

/** The reductions that the kernel computes for the rows of its first operand, by what needs what. */
export function prologueOf(frame: Pick<Frame, "region">, operand: Node): readonly (readonly Node[])[] {
  const inputs = new Set(frame.region.inputs);
  const stops = (n: Node): boolean => inputs.has(n);
  if (operand.type.shape.length !== 2) return [];
  const levels: Node[][] = [];
  const { reductions } = reach(operand, stops);
  const level = new Map<Node, number>();
  const depth = (n: Node): number => {
    const known = level.get(n);
    if (known !== undefined) return known;
    const below = inputs.has(n) ? 0 : Math.max(0, ...n.args.map(depth));
    const d = below + (reductions.has(n) ? 1 : 0);
    level.set(n, d);
    return d;
  };
  for (const n of reductions) (levels[depth(n) - 1] ??= []).push(n);
  return levels.filter((l) => l);
}

/**
 * Computes what the rows of the first operand are made of: reductions along them by all invocations together, then, where
 * more than a load is left of an element, the rows themselves into workgroup memory. `unit`: how many neighbours an invocation
 * takes at a time, where it takes vectors; then those that invocations read together lie together.
 */
export function writePrologue(
  frame: Frame,
  p: Product,
  batch: readonly Index[],
  threads: number,
  unit: number,
  room: number,
): Staged {
  const levels = prologueOf(frame, p.a);
  const elements = p.m * p.k;
  const fits = elements * 4 <= room;
  // Blocks that are far apart would be read from as many lines of the cache.
  const apart = unit > 4 && fits && elements * 4 > 0;
  if (frame.region.uniform || (isPlain(frame, p.a) && !apart)) return nothing;
  if (!fits && levels.length === 0) return nothing;
  const { e } = frame;
  const w = rowWriter(frame, p, threads);
  if (levels.length) e.index("thread", threads - 1, "lid");
  for (const level of levels) reduceRows(w, level, p.m);
  const shared = w.shared.map((a) => `var<workgroup> ${a.name}: array<${a.type}, ${a.size}>;`);
  const bytes = w.shared.reduce((n, a) => n + a.bytes, 0);
  if (!fits) return { declarations: shared, bytes, usesSubgroups: w.usesSubgroups };
  const dtype = p.node.type.dtype;
  const four = unit >= 4;
  const blocks = p.k / unit;
  const s = e.fresh("s");
  e.open(`for (var ${s} = lid; ${s} < ${p.k / 4}u; ${s} += ${threads}u) {`, [s]);
  const at = variable(s, p.k / 4 - 1);
  for (let i = 0; i < p.m; i++) {
    e.width = 4;
    const v = e.value(p.a, operandIndex(p.a, batch, int(i), add(scale(at, 4), lane(4))));
    const wide = v.width === 4 ? v.text : `${typeOf(dtype, 4)}(${v.text})`;
    if (unit > 4) e.line(`sa[${s} % ${unit / 4}u * ${blocks}u + ${s} / ${unit / 4}u + ${(i * p.k) / 4}u] = ${wide};`);
    else if (unit === 4) e.line(`sa[${s} + ${(i * p.k) / 4}u] = ${wide};`);
    else {
      const name = e.let(wide, 4, dtype).text;
      for (let l = 0; l < 4; l++) e.line(`sa[${s} * 4u + ${i * p.k + l}u] = ${name}.${"xyzw"[l]};`);
    }
  }
  e.close();
  e.line("workgroupBarrier();");
  const size = four ? elements / 4 : elements;
  return {
    ...(four
      ? { four: (row, block, j) => `sa[${indexText(add(block, int(j * blocks + (row * p.k) / 4)))}]` }
      : { one: (row, k) => `sa[${indexText(add(k, int(row * p.k)))}]` }),
    declarations: [...shared, `var<workgroup> sa: array<${typeOf(dtype, four ? 4 : 1)}, ${size}>;`],
    bytes: bytes + elements * 4,
    usesSubgroups: w.usesSubgroups,
  };
}

/** What the exchange between the invocations of a row kernel asks for, here with one row at a time for all of them. */
const rowWriter = (frame: Frame, p: Product, threads: number): RowWriter => ({
  frame,
  s: {
    ...{ name: "", rows: p.m, cols: p.k, contiguous: true, colWidth: 1, rowWidth: 1 },
    ...{ threads, rowsPerGroup: 1 },
  },
  row: int(0),
  thread: int(0),
  valid: "",
  shared: [],
  taken: new Set(),
  done: new Set(),
  usesSubgroups: false,
});

interface State {
  readonly acc: Accumulator;
  readonly name: string;
  readonly node: Node;
  readonly row: number;
}

/** Reductions that need none of each other, for every row. */
function reduceRows(w: RowWriter, level: readonly Node[], rows: number): void {
  const { e } = w.frame;
  const { threads } = w.s;
  const results = new Map<Node, Value[]>(level.map((n) => [n, []]));
  for (const node of level) {
    const x = node.args[0] as Node;
    const length = shapeOf(x).reduce((a, d) => a * d, 1) / rows;
    const width = length % 4 === 0 ? 4 : 1;
    const acc = accumulatorOf(node);
    const dtype = acc.dtypes[0] as Value["dtype"];
    const states: State[] = Array.from({ length: rows }, (_, row) => {
      const name = e.fresh("acc");
      e.line(`var ${name}: ${typeOf(dtype, width)} = ${e.literal(acc.identity[0] as number, dtype, width).text};`);
      return { acc, name, node, row };
    });
    const c = e.fresh("c");
    const steps = length / width;
    e.open(`for (var ${c} = lid; ${c} < ${steps}u; ${c} += ${threads}u) {`, [c]);
    e.width = width;
    const column = add(scale(variable(c, steps - 1), width), lane(width));
    for (const s of states) {
      const index = unravel(add(int(s.row * length), column), shapeOf(x));
      const v = { ...e.value(x, index), depth: e.depth };
      const [next] = acc.combine(e, [{ text: s.name, width, dtype, depth: e.depth }], [v]) as [Value];
      e.line(`${s.name} = ${next.width === width ? next.text : `${typeOf(dtype, width)}(${next.text})`};`);
    }
    e.close();
    e.width = 1;
    for (const s of states) {
      let parts: Value[] = Array.from({ length: width }, (_, l) => ({
        ...{ text: width === 1 ? s.name : `${s.name}.${"xyzw"[l]}`, width: 1, dtype, depth: e.depth },
      }));
      while (parts.length > 1) {
        parts = Array.from({ length: parts.length / 2 }, (_, i) => ({
          ...(acc.combine(e, [parts[2 * i] as Value], [parts[2 * i + 1] as Value])[0] as Value),
          depth: e.depth,
        }));
      }
      (results.get(node) as Value[])[s.row] = crossInvocations(w, acc, parts)[0] as Value;
    }
  }
  for (const [node, values] of results) {
    e.provide(node, (index) => {
      const row = ravel(index, shapeOf(node));
      if (!isInt(row)) throw new Error(`${node.op} of a row that is not known`);
      return values[row.base] as Value;
    });
  }
}
