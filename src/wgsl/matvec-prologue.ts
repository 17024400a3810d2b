import { reach } from "../fuse/prologue.ts";
import { isStored, readsOf } from "../fuse/pull.ts";
import type { Node } from "../ir/graph.ts";
import {
  add,
  dependsOn,
  div,
  type Index,
  indexText,
  int,
  isInt,
  mod,
  ravel,
  scale,
  unravel,
  variable,
} from "../ir/index-expr.ts";
import { rowOf } from "../ir/ops.ts";
import { type Accumulator, accumulatorOf } from "./accumulate.ts";
import type { Product } from "./contraction.ts";
import { operandIndex } from "./contraction.ts";
import { crossInvocations } from "./cross.ts";
import { lane, shapeOf, type Value } from "./emitter.ts";
import type { Frame } from "./kernel.ts";
import type { RowWriter } from "./row-parts.ts";
import { typeOf } from "./storage.ts";

/** What a matrix-vector kernel has in workgroup memory besides partial sums. */
export interface Staged {
  /** Text of an element of a row. Undefined, as the other one, where rows are not staged this way. */
  readonly one?: (row: number, k: Index) => string;
  /** Text of four neighbours of a row: the `j`-th four of a block of as many elements as an invocation takes at a time. */
  readonly four?: (row: number, block: Index, j: number) => string;
  /** Text of what a row's products are to be multiplied by, where the rows were staged without it. */
  readonly factor?: (row: number) => string;
  readonly declarations: readonly string[];
  readonly bytes: number;
  readonly usesSubgroups: boolean;
}

const nothing: Staged = { declarations: [], bytes: 0, usesSubgroups: false };

/** That invocations keep what they read of the rows, and what four neighbours are multiplied by before. */
export interface Keeping {
  readonly times?: string | undefined;
}

/** Is an operand only read: through views, and casts, which cost no more than the load? */
export function isPlain(frame: Pick<Frame, "region">, operand: Node): boolean {
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
 * takes at a time, where it takes vectors; then those that invocations read together lie together. `keeps`: invocations
 * keep what they read, so that what is only loaded is not staged.
 */
export function writePrologue(
  frame: Frame,
  p: Product,
  batch: readonly Index[],
  threads: number,
  unit: number,
  room: number,
  keeps?: Keeping,
): Staged {
  const levels = prologueOf(frame, p.a);
  const elements = p.m * p.k;
  const fits = elements * 4 <= room;
  // Blocks that are far apart would be read from as many lines of the cache.
  const apart = unit > 4 && fits && !keeps;
  if (frame.region.uniform || (isPlain(frame, p.a) && !apart)) return nothing;
  if (!fits && levels.length === 0) return nothing;
  const { e } = frame;
  const w = rowWriter(frame, p, threads);
  if (levels.length) e.index("thread", threads - 1, "lid");
  const rounds = roundsOf(frame, p, threads);
  const fours = (row: number, four: Index): readonly Index[] =>
    operandIndex(p.a, batch, int(row), add(scale(four, 4), lane(4)));
  if (levels.length && fits) {
    e.width = 4;
    for (let i = 0; i < p.m; i++) for (const four of rounds) loadBelow(frame, p.a, fours(i, four));
    e.width = 1;
  }
  const dtype = p.node.type.dtype;
  const four = unit >= 4;
  const blocks = p.k / unit;
  // Neighbours of an odd number of vectors apart lie in banks of their own.
  const apartBy = keeps && blocks % 2 === 0 ? blocks + 1 : blocks;
  const perRow = four ? apartBy * (unit / 4) : p.k;
  const stage = (at4: Index): void => {
    const s = indexText(at4);
    for (let i = 0; i < p.m; i++) {
      e.width = 4;
      const v = e.value(p.a, fours(i, at4));
      const own = v.width === 4 ? v.text : `${typeOf(dtype, 4)}(${v.text})`;
      const wide = keeps?.times ? `${own} * ${keeps.times}` : own;
      if (unit > 4) {
        const each = unit / 4;
        const at = add(add(scale(mod(at4, each), apartBy), div(at4, each)), int(i * perRow));
        e.line(`sa[${indexText(at)}] = ${wide};`);
      } else if (unit === 4) e.line(`sa[${s} + ${(i * p.k) / 4}u] = ${wide};`);
      else {
        const name = e.let(wide, 4, dtype).text;
        for (let l = 0; l < 4; l++) e.line(`sa[(${s}) * 4u + ${i * p.k + l}u] = ${name}.${"xyzw"[l]};`);
      }
    }
    e.width = 1;
  };
  const stageAll = (): void => {
    for (const round of rounds) stage(round);
    if (rounds.length === 0) {
      const s = e.fresh("s");
      e.open(`for (var ${s} = lid; ${s} < ${p.k / 4}u; ${s} += ${threads}u) {`, [s]);
      stage(variable(s, p.k / 4 - 1));
      e.close();
    }
  };
  const factors = keeps && fits && levels.length === 1 ? rowFactors(frame, p, batch) : undefined;
  // What is staged without waiting for the reductions is there after the barrier at which these meet.
  if (factors) {
    e.provide(factors[0]!.node, () => e.literal(1, p.node.type.dtype));
    stageAll();
    e.withdraw(factors[0]!.node);
  }
  for (const level of levels) reduceRows(w, level, p.m, rounds);
  const shared = w.shared.map((a) => `var<workgroup> ${a.name}: array<${a.type}, ${a.size}>;`);
  const bytes = w.shared.reduce((n, a) => n + a.bytes, 0);
  if (!fits) return { declarations: shared, bytes, usesSubgroups: w.usesSubgroups };
  if (!factors) stageAll();
  if (!factors || shared.length === 0) e.line("workgroupBarrier();");
  const factorTexts = (factors ?? []).map(({ node, index }) => e.value(node, index).text);
  return {
    ...(four
      ? { four: (row, block, j) => `sa[${indexText(add(block, int(j * apartBy + row * perRow)))}]` }
      : { one: (row, k) => `sa[${indexText(add(k, int(row * p.k)))}]` }),
    ...(factors ? { factor: (row) => factorTexts[row] as string } : {}),
    declarations: [...shared, `var<workgroup> sa: array<${typeOf(dtype, four ? 4 : 1)}, ${p.m * perRow}>;`],
    bytes: bytes + p.m * perRow * (four ? 16 : 4),
    usesSubgroups: w.usesSubgroups,
  };
}

interface RowFactor {
  readonly node: Node;
  readonly index: readonly Index[];
}

/** A factor of the rows that is one number a row and all that is reduced of them: of RMS normalisation, say. */
function rowFactors({ region }: Frame, p: Product, batch: readonly Index[]): readonly RowFactor[] | undefined {
  const inputs = new Set(region.inputs);
  const reduces = (n: Node): boolean =>
    !inputs.has(n) && !isStored(n) && (rowOf(n.op).reduction !== undefined || n.args.some(reduces));
  const along = variable("probe_k", p.k - 1);
  const factorOfRow = (row: number): RowFactor | undefined => {
    let node = p.a;
    let index: readonly Index[] = operandIndex(p.a, batch, int(row), along);
    for (;;) {
      const own = index.map((x, i) => (shapeOf(node)[i] === 1 ? int(0) : x));
      if (!own.some((x) => dependsOn(x, "probe_k"))) return { node, index: own };
      if (inputs.has(node) || isStored(node)) return undefined;
      const reads = readsOf(node, own).filter((r) => reduces(r.arg));
      const through = node.op === "mul" || (rowOf(node.op).kind === "view" && node.args.length === 1);
      if (!through || reads.length !== 1) return undefined;
      ({ arg: node, index } = reads[0] as { readonly arg: Node; readonly index: readonly Index[] });
    }
  };
  const found = Array.from({ length: p.m }, (_, row) => factorOfRow(row));
  return found.every((f) => f !== undefined) ? (found as readonly RowFactor[]) : undefined;
}

/** Steps that are written out, so that what one reduction loads stays in registers for the next and for the rows. */
const mostRounds = 4;

/** Vectors of a row that an invocation takes one after the other, where each takes as many and these are few; else none. */
function roundsOf({ region, capabilities }: Frame, { m, k }: Product, threads: number): readonly Index[] {
  const rounds = k / 4 / threads;
  if (region.uniform || capabilities.software || !Number.isInteger(rounds) || rounds * m > mostRounds) return [];
  return Array.from({ length: rounds }, (_, i) => add(variable("lid", threads - 1), int(i * threads)));
}

/** Writes the loads of all that an operand needs at a place: they are under way while its rows are reduced. */
function loadBelow({ e, region }: Frame, operand: Node, index: readonly Index[]): void {
  const inputs = new Set(region.inputs);
  const { reductions } = reach(operand, (n) => inputs.has(n));
  const visit = (n: Node, at: readonly Index[]): void => {
    if (inputs.has(n)) e.value(n, at);
    else if (!reductions.has(n) && !isStored(n)) for (const r of readsOf(n, at)) visit(r.arg, r.index);
  };
  visit(operand, index);
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
  turns: 0,
});

interface State {
  readonly acc: Accumulator;
  readonly name: string;
  readonly node: Node;
  readonly row: number;
}

/** Reductions that need none of each other, for every row. */
function reduceRows(w: RowWriter, level: readonly Node[], rows: number, rounds: readonly Index[]): void {
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
    const steps = length / width;
    const step = (at: Index): void => {
      e.width = width;
      const column = add(scale(at, width), lane(width));
      for (const s of states) {
        const index = unravel(add(int(s.row * length), column), shapeOf(x));
        const v = { ...e.value(x, index), depth: e.depth };
        const [next] = acc.combine(e, [{ text: s.name, width, dtype, depth: e.depth }], [v]) as [Value];
        e.line(`${s.name} = ${next.width === width ? next.text : `${typeOf(dtype, width)}(${next.text})`};`);
      }
      e.width = 1;
    };
    if (steps === rounds.length * threads) for (const round of rounds) step(round);
    else {
      const c = e.fresh("c");
      e.open(`for (var ${c} = lid; ${c} < ${steps}u; ${c} += ${threads}u) {`, [c]);
      step(variable(c, steps - 1));
      e.close();
    }
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
