import { fail } from "../../base/diagnostic.ts";
import { type Dim, dimText, isSym, type Shape, shapeSize, shapeText } from "../dim.ts";
import { count } from "../ndarray.ts";
import type { IndexAlgebra } from "../op.ts";

/** A product of sizes as one number and the symbolic factors in a fixed order. */
function factors(shape: Shape): { number: number; symbols: string } {
  let number = 1;
  const symbols: string[] = [];
  const walk = (d: Dim): void => {
    if (!isSym(d)) number *= d;
    else if (d.dim === "mul") {
      walk(d.a);
      walk(d.b);
    } else symbols.push(dimText(d));
  };
  shape.forEach(walk);
  return { number, symbols: symbols.sort().join(" ") };
}

/**
 * Refuses shapes that cannot have equally many elements: when the symbolic factors are the same, the known ones must
 * agree too; otherwise the sizes decide when dims are bound.
 * @throws SinterError `shape-mismatch`
 */
export function requireSameSize(from: Shape, to: Shape): void {
  const [a, b] = [factors(from), factors(to)];
  if (a.symbols !== b.symbols || a.number === b.number) return;
  fail("shape-mismatch", `reshape: shape ${shapeText(from)} does not hold as many elements as ${shapeText(to)}`, {
    cause: `they hold ${dimText(shapeSize(from))} and ${dimText(shapeSize(to))} elements`,
    hint: "give a shape with the same product of sizes",
  });
}

/**
 * The index in shape `from` of the element at `index` in shape `to`. Axes are matched in the smallest groups of equal
 * product, so that splitting or merging some axes costs arithmetic on these axes only.
 */
export function mapReshape<I>(
  alg: IndexAlgebra<I>,
  index: readonly I[],
  from: readonly number[],
  to: readonly number[],
): I[] {
  const out = from.map(() => alg.int(0));
  if (count(from) === 0) return out;
  let f = 0;
  let t = 0;
  while (f < from.length && t < to.length) {
    const [f0, t0] = [f, t];
    let a = from[f++] as number;
    let b = to[t++] as number;
    while (a !== b) {
      if (a < b) a *= from[f++] as number;
      else b *= to[t++] as number;
    }
    mapGroup(alg, index.slice(t0, t), to.slice(t0, t), from.slice(f0, f)).forEach((i, k) => {
      out[f0 + k] = i;
    });
  }
  return out;
}

function mapGroup<I>(alg: IndexAlgebra<I>, index: readonly I[], to: readonly number[], from: readonly number[]): I[] {
  let linear: I | undefined;
  to.forEach((n, i) => {
    if (n === 1) return;
    const own = index[i] as I;
    linear = linear === undefined ? own : alg.add(alg.mul(linear, n), own);
  });
  const out = from.map(() => alg.int(0));
  if (linear === undefined) return out;
  const first = from.findIndex((n) => n !== 1);
  let inner = 1;
  for (let i = from.length - 1; i >= first; i--) {
    const n = from[i] as number;
    if (n === 1) continue;
    const outer = inner === 1 ? linear : alg.div(linear, inner);
    out[i] = i === first ? outer : alg.mod(outer, n);
    inner *= n;
  }
  return out;
}
