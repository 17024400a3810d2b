import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { dim, dimText } from "../../src/ir/dim.ts";
import { count, forEachIndex, type NDArray, ndarray, stridesOf } from "../../src/ir/ndarray.ts";
import { expectClose, refused, run, t, typed, values } from "./run.ts";

const m = t([
  [1, 2, 3],
  [4, 5, 6],
  [7, 8, 10],
]);

/** The definition: for every assignment of indices to labels, the product of the elements is added to the result's. */
function byDefinition(terms: readonly string[], output: string, xs: readonly NDArray[]): Float64Array {
  const size = new Map<string, number>();
  terms.forEach((term, i) => {
    [...term].forEach((l, axis) => {
      size.set(l, Math.max(size.get(l) ?? 1, xs[i]?.shape[axis] as number));
    });
  });
  const labels = [...size.keys()];
  const at = (term: string, shape: readonly number[], index: readonly number[]): number => {
    const strides = stridesOf(shape);
    return [...term].reduce((n, l, axis) => {
      const i = shape[axis] === 1 ? 0 : (index[labels.indexOf(l)] as number);
      return n + i * (strides[axis] as number);
    }, 0);
  };
  const to = [...output].map((l) => size.get(l) as number);
  const out = new Float64Array(count(to));
  forEachIndex([...size.values()], (index) => {
    const product = xs.reduce((p, x, i) => p * (x.data[at(terms[i] as string, x.shape, index)] as number), 1);
    const k = at(output, to, index);
    out[k] = (out[k] as number) + product;
  });
  return out;
}

describe("einsum", () => {
  it("does what its equations are known for", () => {
    const a = t([
      [1, 2],
      [3, 4],
    ]);
    const b = t([
      [5, 6],
      [7, 8],
    ]);
    const es = (equation: string, ...xs: NDArray[]) => values("einsum", xs, { equation });
    expect(es("ij,jk->ik", a, b)).toEqual([
      [19, 22],
      [43, 50],
    ]);
    expect(es("ij,jk", a, b)).toEqual([
      [19, 22],
      [43, 50],
    ]);
    expect(es("ij,kj->ik", a, b)).toEqual([
      [17, 23],
      [39, 53],
    ]);
    expect(es("ii->i", m)).toEqual([1, 5, 10]);
    expect(es("ii", m)).toBe(16);
    expect(es("ij->", a)).toBe(10);
    expect(es("ba", a)).toEqual([
      [1, 3],
      [2, 4],
    ]);
    expect(es("i,j->ij", t([1, 2]), t([3, 4]))).toEqual([
      [3, 4],
      [6, 8],
    ]);
    expect(es("i,i", t([1, 2]), t([3, 4]))).toBe(11);
    expect(es("ij,ij->ij", a, b)).toEqual([
      [5, 12],
      [21, 32],
    ]);
    expect(es(" i j , j -> i ", a, t([1, 1]))).toEqual([3, 7]);
    expect(es(",i->i", t(3), t([1, 2]))).toEqual([3, 6]);
  });
  it("broadcasts the axes of an ellipsis", () => {
    const x = ndarray(
      "f32",
      [2, 1, 2, 3],
      Array.from({ length: 12 }, (_, i) => i),
    );
    const y = ndarray(
      "f32",
      [4, 3, 2],
      Array.from({ length: 24 }, (_, i) => i),
    );
    const want = run("matmul", [x, y]);
    expect(run("einsum", [x, y], { equation: "...ij,...jk->...ik" })).toEqual(want);
    expect(run("einsum", [x, y], { equation: "...ij,...jk" })).toEqual(want);
    const moved = run("einsum", [x], { equation: "...j->j..." });
    expect(moved.shape).toEqual([3, 2, 1, 2]);
  });
  it("contracts any number of operands from left to right", () => {
    const xs = [
      t([
        [1, 2],
        [3, 4],
      ]),
      t([
        [1, 0],
        [0, 2],
      ]),
      t([5, 7]),
    ];
    expectClose(run("einsum", xs, { equation: "ij,jk,k->i" }), byDefinition(["ij", "jk", "k"], "i", xs));
  });
  it("multiplies integers", () => {
    const x = t(
      [
        [1, 2],
        [3, 4],
      ],
      "i32",
    );
    expect(run("einsum", [x, x], { equation: "ij,jk->ik" }).dtype).toBe("i32");
  });

  it("agrees with its definition on random equations", () => {
    const label = fc.constantFrom("a", "b", "c", "d");
    const term = fc.array(label, { maxLength: 3 }).map((l) => l.join(""));
    const sizes = fc.record({
      a: fc.integer({ min: 0, max: 3 }),
      b: fc.constantFrom(1, 2),
      c: fc.constantFrom(2, 3),
      d: fc.constantFrom(1, 3),
    });
    fc.assert(
      fc.property(
        fc.array(term, { minLength: 1, maxLength: 3 }),
        sizes,
        fc.infiniteStream(fc.boolean()),
        (terms, size, coin) => {
          const flip = (): boolean => coin.next().value as boolean;
          const xs = terms.map((labels, k) => {
            const once = (l: string): boolean => labels.indexOf(l) === labels.lastIndexOf(l);
            // Lone axes of size 1 broadcast against the size that the label has elsewhere.
            const shape = [...labels].map((l) => (once(l) && flip() && flip() ? 1 : size[l as keyof typeof size]));
            return ndarray(
              "f32",
              shape,
              Array.from({ length: count(shape) }, (_, i) => Math.cos(i * 3.7 + k)),
            );
          });
          const used = [...new Set(terms.join(""))];
          const output = used
            .filter(flip)
            .sort(() => (flip() ? 1 : -1))
            .join("");
          const empty = xs.some((x) => x.data.length === 0);
          const got = run("einsum", xs, { equation: `${terms.join(",")}->${output}` });
          const want = byDefinition(terms, output, xs);
          if (!empty) expectClose(got, want, 1e-10, 1e-10);
          else expect([...got.data].every((v) => v === 0)).toBe(true);
        },
      ),
      { numRuns: 300 },
    );
  });

  it("infers symbolic shapes", () => {
    const T = dim("T");
    const node = typed(
      "einsum",
      [
        [2, T, 8],
        [2, dim("S"), 8],
      ],
      { equation: "btd,bsd->bts" },
    );
    expect(node.type.shape.map(dimText)).toEqual(["2", "T", "S"]);
  });
  it("refuses equations that do not describe the operands", () => {
    const bad = (equation: string, ...shapes: number[][]) => refused("bad-equation", "einsum", shapes, { equation });
    bad("ij,jk->ik", [2, 2]);
    bad("ijk->i", [2, 2]);
    bad("i->i", [2, 2]);
    bad("ij->k", [2, 2]);
    bad("ij->ii", [2, 2]);
    bad("i1->i", [2, 2]);
    bad("ij->i->j", [2, 2]);
    bad("......->", [2, 2]);
    refused(
      "shape-mismatch",
      "einsum",
      [
        [2, 3],
        [4, 5],
      ],
      { equation: "ij,jk->ik" },
    );
    refused("shape-mismatch", "einsum", [[1, 3]], { equation: "ii->i" });
    refused("dtype-mismatch", "einsum", [["bool", 2]], { equation: "i->" });
  });
});
