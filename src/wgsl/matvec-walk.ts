import type { Node } from "../ir/graph.ts";
import { add, type Index, int, scale, variable } from "../ir/index-expr.ts";
import { multiplyAdd, operandIndex, type Product } from "./contraction.ts";
import { lane, type Value } from "./emitter.ts";
import type { Frame } from "./kernel.ts";
import { Ahead, factorOf, packedAlong } from "./matvec-packed.ts";
import type { Staged } from "./matvec-prologue.ts";
import { unpackFast } from "./matvec-unpack.ts";
import { typeOf } from "./storage.ts";

/** What a walk along K needs to know. */
export interface Walk {
  readonly frame: Frame;
  /** Products of one first operand, of equal sizes. */
  readonly products: readonly Product[];
  readonly batch: readonly Index[];
  readonly staged: Staged;
  /** Invocations that share K; each knows its place among them as `part`. */
  readonly share: number;
  /** A sum of the first matrix's columns besides the rows' products. */
  readonly ones: boolean;
}

const wide = (v: Value, type: string): string => (v.width === 4 ? v.text : `${type}(${v.text})`);

/** Text of `c` plus the inner product of two vectors, by fused steps for floats. */
export function innerProduct({ frame }: Pick<Walk, "frame">, dtype: string, a: string, b: string, c: string): string {
  if (dtype !== "f32" && dtype !== "f16") return `${c} + dot(${a}, ${b})`;
  const name = frame.e.declare(
    "inner product",
    (fn) =>
      `fn ${fn}(a: vec4<f32>, b: vec4<f32>, c: f32) -> f32 {\n  return fma(a.x, b.x, fma(a.y, b.y, fma(a.z, b.z, fma(a.w, b.w, c))));\n}`,
  );
  return `${name}(${a}, ${b}, ${c})`;
}

/** How many neighbours along K an invocation takes at a time: as many as four words hold, or four. */
export function unitOf(frame: Pick<Frame, "region">, p: Product): number {
  const none = p.batch.map(() => int(0));
  return packedAlong(frame, p.b, (k) => operandIndex(p.b, none, k, int(0)), p.k)?.unit ?? 4;
}

/** Texts of sums of a product: of each row of A, then of ones, for each column. */
export type Sums = readonly (readonly string[])[];

function declare({ frame: { e }, products, ones }: Walk, columns: number, type: string): readonly Sums[] {
  const name = (): string => {
    const acc = e.fresh("acc");
    e.line(`var ${acc} = ${type}();`);
    return acc;
  };
  return products.map(({ m }) =>
    Array.from({ length: m + (ones ? 1 : 0) }, () => Array.from({ length: columns }, name)),
  );
}

/** Words of the blocks that come next. */
export interface Prefetch {
  /** For each product, for each column. */
  readonly lines: readonly (Ahead | undefined)[];
}

/** Begins to load the words of packed matrices: before anything else, and then always a few blocks ahead. */
export function prefetchWords(
  { frame, products, batch, share }: Omit<Walk, "staged">,
  columns: readonly Index[],
): Prefetch {
  const [p] = products as [Product];
  const none = p.batch.map(() => int(0));
  return {
    lines: products.map(({ b }) => {
      const packed = packedAlong(frame, b, (k) => operandIndex(b, none, k, int(0)), p.k);
      return (
        packed &&
        new Ahead(
          frame,
          packed,
          b,
          columns.map((c) => (k: Index) => operandIndex(b, batch, k, c)),
          { depth: p.k, share, products: products.length },
        )
      );
    }),
  };
}

/** Columns whose elements lie next to each other along K: vectors along it, summed up at the end. */
export function walkDepth(walk: Walk, columns: readonly Index[], prefetch: Prefetch): readonly Sums[] {
  const { frame, products, batch, staged, share } = walk;
  const { e } = frame;
  const [p] = products as [Product];
  const dtype = p.node.type.dtype;
  const vec = typeOf(dtype, 4);
  const unit = prefetch.lines[0]?.unit ?? 4;
  const sums = declare(walk, columns.length, typeOf(dtype, 1));
  const k = e.fresh("k");
  e.open(`for (var ${k} = part; ${k} < ${p.k / unit}u; ${k} += ${share}u) {`, [k]);
  const block = variable(k, p.k / unit - 1);
  const begin = scale(block, unit);
  for (const line of prefetch.lines) line?.take(k);
  const slow = products.map(({ b }) => (unit > 4 ? unpackFast(e, b) : () => {}));
  const matrices = products.map(({ b }, t) =>
    columns.map((c, r) =>
      columnOf(
        walk,
        b,
        c,
        begin,
        unit,
        sums[t]!.map((row) => row[r] as string),
      ),
    ),
  );
  for (let j = 0; j < unit; j += 4) {
    const four = add(begin, add(int(j), lane(4)));
    e.width = 4;
    const values = matrices.map((list) => list.map((column) => wide(column.value(four), vec)));
    const rows = sums[0]!.map((_, i) => {
      if (i === p.m) return `${vec}(${e.literal(1, dtype).text})`;
      if (staged.four) return e.let(staged.four(i, block, j / 4), 4, dtype).text;
      return wide(e.value(p.a, operandIndex(p.a, batch, int(i), four)), vec);
    });
    matrices.forEach((list, t) => {
      list.forEach((column, r) => {
        rows.forEach((a, i) => {
          const into = column.into[i] as string;
          e.line(`${into} = ${innerProduct(walk, dtype, a, values[t]![r] as string, into)};`);
        });
      });
    });
  }
  e.width = 1;
  for (const column of matrices.flat()) column.finish();
  e.close();
  for (const line of prefetch.lines) line?.stop();
  for (const undo of slow) undo();
  return sums;
}

interface Column {
  /** The four elements at a position of K, without the factor. */
  value(four: Index): Value;
  /** What a step of the loop adds to: the sums of the rows, or those of the step where a factor follows. */
  readonly into: readonly string[];
  finish(): void;
}

function columnOf(
  { frame: { e }, batch }: Walk,
  b: Node,
  column: Index,
  begin: Index,
  unit: number,
  own: readonly string[],
): Column {
  const at = (k: Index): readonly Index[] => operandIndex(b, batch, k, column);
  const f = unit > 4 ? factorOf(b, at, begin, unit) : undefined;
  if (!f) return { value: (four) => e.value(b, at(four)), into: own, finish: () => {} };
  const parts = own.map(() => {
    const part = e.fresh("part");
    e.line(`var ${part} = 0.0f;`);
    return part;
  });
  return {
    value: (four) => e.value(f.rest, f.restAt(four)),
    into: parts,
    finish: () => {
      const factor = e.value(f.factor, f.factorAt).text;
      own.forEach((name, i) => {
        e.line(`${name} = fma(${parts[i]}, ${factor}, ${name});`);
      });
    },
  };
}

/** Most steps along K whose loads are under way at the same time. */
const ahead = 12;

/** A walk along K by steps, whose first loads have been written. */
interface ColumnWalk {
  /** The rest, once the rows of the first operand are there. */
  finish(walk: Walk): readonly Sums[];
}

/**
 * A vector of columns that lie next to each other, a step along K at a time. The first loads come before what the kernel
 * computes for the rows: they take as long.
 */
export function walkColumns(start: Omit<Walk, "staged">, column: Index, width: number): ColumnWalk {
  const { frame, products, batch, share } = start;
  const { e } = frame;
  const [p] = products as [Product];
  const dtype = p.node.type.dtype;
  const type = typeOf(dtype, width);
  const together = frame.region.uniform
    ? 1
    : Math.max(1, Math.min(Math.floor(ahead / products.length), Math.floor(p.k / share)));
  const load = (ks: readonly Index[]): readonly (readonly string[])[] => {
    e.width = width;
    return products.map(({ b }) =>
      ks.map((k) => {
        const v = e.value(b, operandIndex(b, batch, k, column));
        return v.width === width ? v.text : `${type}(${v.text})`;
      }),
    );
  };
  const round = (k: Index): readonly Index[] => Array.from({ length: together }, (_, j) => add(k, int(j * share)));
  const own = e.index("own", share - 1, "part");
  // With more invocations than terms, some have none.
  const first = frame.region.uniform || p.k < share ? undefined : load(round(own));
  const finish = (walk: Walk): readonly Sums[] => {
    const { staged } = walk;
    const sums = declare(walk, 1, type);
    const step = (ks: readonly Index[], matrices: readonly (readonly string[])[]): void => {
      e.width = width;
      ks.forEach((k, j) => {
        sums[0]!.forEach((_, i) => {
          const a =
            i === p.m
              ? e.literal(1, dtype).text
              : (staged.one?.(i, k) ?? e.value(p.a, operandIndex(p.a, batch, int(i), k)).text);
          const across = width === 1 ? a : e.let(`${type}(${a})`, width, dtype).text;
          sums.forEach((list, t) => {
            const [name] = list[i] as readonly [string];
            e.line(`${name} = ${multiplyAdd(dtype, across, matrices[t]![j] as string, name)};`);
          });
        });
      });
    };
    if (first) step(round(own), first);
    const done = first ? share * together : 0;
    const k = e.fresh("k");
    const at = (last: number): Index => variable(k, Math.max(0, last));
    if (done < p.k) e.line(`var ${k} = part + ${done}u;`);
    const last = p.k - 1 - (together - 1) * share;
    if (together > 1 && last >= done) {
      e.open(`for (; ${k} < ${last + 1}u; ${k} += ${share * together}u) {`, [k]);
      step(round(at(last)), load(round(at(last))));
      e.close();
    }
    if (done < p.k && (together === 1 || p.k % (share * together) !== 0)) {
      e.open(`for (; ${k} < ${p.k}u; ${k} += ${share}u) {`, [k]);
      step([at(p.k - 1)], load([at(p.k - 1)]));
      e.close();
    }
    return sums;
  };
  return { finish };
}
