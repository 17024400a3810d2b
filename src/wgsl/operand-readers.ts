import { add, type Index, int, scale, substitute, variable } from "../ir/index-expr.ts";
import { always } from "./agree.ts";
import { vectorsAlong } from "./contiguity.ts";
import { operandIndex, type Product } from "./contraction.ts";
import { lane, type Value } from "./emitter.ts";
import type { Frame } from "./kernel.ts";
import { typeOf } from "./storage.ts";

/** Texts of an operand's elements, by number, at one position of K or at one of four neighbouring ones. */
export interface Reader {
  one(k: Index): (i: number) => string;
  four(k: Index): (kk: number) => (i: number) => string;
}

const component = (v: Value, i: number): string => (v.width === 1 ? v.text : `${v.text}.${"xyzw"[i]}`);

/** A's elements of a tile's rows: by vectors along whichever of K and the rows is contiguous. */
export function leftReader(
  { e, region }: Frame,
  p: Product,
  batch: readonly Index[],
  rows: readonly Index[],
  tileM: Index,
  tm: number,
): Reader {
  const one = (k: Index) => {
    e.width = 1;
    const values = rows.map((r) => e.value(p.a, operandIndex(p.a, batch, r, k)).text);
    return (i: number): string => values[i] as string;
  };
  const none = p.batch.map(() => int(0));
  const probe = add(scale(variable("probe_m", Math.max(1, p.m / 4 - 1)), 4), lane(4));
  const along = always(region, tm % 4 === 0 && p.m % tm === 0);
  if (
    along &&
    vectorsAlong(region, p.a, operandIndex(p.a, none, probe, variable("probe", Math.max(1, p.k - 1)))).unit
  ) {
    const vectors = (k: Index) => {
      e.width = 4;
      const values = Array.from({ length: tm / 4 }, (_, q) => {
        const m = add(scale(add(scale(tileM, tm / 4), int(q)), 4), lane(4));
        return e.value(p.a, operandIndex(p.a, batch, m, k));
      });
      return (i: number): string => component(values[i >> 2] as Value, i & 3);
    };
    return { one: vectors, four: (k) => each((kk) => vectors(add(k, int(kk)))) };
  }
  const four = (k: Index) => {
    e.width = 4;
    const values = rows.map((r) => e.value(p.a, operandIndex(p.a, batch, r, add(k, lane(4)))));
    return (kk: number) => (i: number) => component(values[i] as Value, kk);
  };
  return { one, four };
}

/** B's vectors of a tile's columns: put together from vectors along K where that is contiguous and the columns are not. */
export function rightReader(
  { e, region }: Frame,
  p: Product,
  batch: readonly Index[],
  cols: readonly Index[],
  width: number,
): Reader {
  const type = typeOf(p.node.type.dtype, width);
  const one = (k: Index) => {
    e.width = width;
    const values = cols.map((c) => e.value(p.b, operandIndex(p.b, batch, k, c)));
    return (j: number): string => {
      const v = values[j] as Value;
      return v.width === width ? v.text : `${type}(${v.text})`;
    };
  };
  const none = p.batch.map(() => int(0));
  const probeK = add(scale(variable("probe_k", Math.max(1, p.k / 4 - 1)), 4), lane(4));
  const lines =
    width > 1 && always(region, p.k % 4 === 0)
      ? vectorsAlong(region, p.b, operandIndex(p.b, none, probeK, variable("probe", Math.max(1, p.n - 1))))
      : undefined;
  if (!lines?.unit || !lines.aligned) return { one, four: (k) => each((kk) => one(add(k, int(kk)))) };
  const four = (k: Index) => {
    e.width = 4;
    const values = cols.map((c) =>
      Array.from({ length: width }, (_, l) =>
        e.value(p.b, operandIndex(p.b, batch, add(k, lane(4)), substitute(c, "lane", int(l)))),
      ),
    );
    return (kk: number) => (j: number) => `${type}(${(values[j] as Value[]).map((v) => component(v, kk)).join(", ")})`;
  };
  return { one, four };
}

/** One reader for each of four positions, asked for when its turn comes. */
const each =
  (make: (kk: number) => (i: number) => string) =>
  (kk: number): ((i: number) => string) =>
    make(kk);
