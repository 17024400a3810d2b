import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  coefOf,
  dependsOn,
  divisibleBy,
  type Index,
  indexAlgebra,
  indexText,
  ravel,
  substitute,
  unravel,
  variable,
} from "../../src/ir/index-expr.ts";
import { evaluateIndexText } from "../support/index-text.ts";
import { arbitraryTree, build, forEachAssignment, type Sizes, type Tree, valueAt } from "../support/index-tree.ts";
import { runs } from "./runs.ts";

const indexOf = (tree: Tree, sizes: Sizes): Index =>
  build(tree, indexAlgebra, (name) => variable(name, (sizes[name] as number) - 1));

/** Every assignment at which the tree has a value that is a position, with that value. */
function positions(tree: Tree, sizes: Sizes): { at: Record<string, number>; value: number }[] {
  const out: { at: Record<string, number>; value: number }[] = [];
  forEachAssignment(sizes, (at) => {
    const value = valueAt(tree, at);
    if (value !== undefined && value >= 0 && value < 2 ** 32) out.push({ at: { ...at }, value });
  });
  return out;
}

describe("simplified index expressions", () => {
  test("have the value of the tree they were built from", () => {
    fc.assert(
      fc.property(arbitraryTree, ({ tree, sizes }) => {
        const text = indexText(indexOf(tree, sizes));
        for (const { at, value } of positions(tree, sizes)) expect(evaluateIndexText(text, at), text).toBe(value);
      }),
      runs(2000),
    );
  });

  test("stay within the range they claim, and are multiples of what they claim", () => {
    fc.assert(
      fc.property(arbitraryTree, fc.integer({ min: 2, max: 8 }), ({ tree, sizes }, n) => {
        const e = indexOf(tree, sizes);
        const multiple = divisibleBy(e, n);
        // Where some assignment has no value, an operand was negative there and ranges say nothing.
        let total = 1;
        for (const size of Object.values(sizes)) total *= size;
        const all = positions(tree, sizes);
        for (const { value } of all) {
          if (all.length === total) expect(value >= e.min && value <= e.max).toBe(true);
          if (multiple) expect(value % n).toBe(0);
        }
      }),
      runs(1000),
    );
  });

  test("are linear with the coefficient they claim, and constant in variables they do not mention", () => {
    fc.assert(
      fc.property(arbitraryTree, ({ tree, sizes }) => {
        const e = indexOf(tree, sizes);
        const coef = coefOf(e, "i");
        const mentioned = dependsOn(e, "i");
        for (const { at, value } of positions(tree, sizes)) {
          const next = valueAt(tree, { ...at, i: (at.i as number) + 1 });
          if ((at.i as number) + 1 >= (sizes.i as number) || next === undefined || next < 0) continue;
          if (coef !== undefined) expect(next - value).toBe(coef);
          if (!mentioned) expect(next).toBe(value);
        }
      }),
      runs(1000),
    );
  });

  test("substitute as if written that way", () => {
    fc.assert(
      fc.property(
        arbitraryTree,
        fc.integer({ min: 1, max: 4 }),
        fc.integer({ min: 1, max: 3 }),
        ({ tree, sizes }, a, b) => {
          // i = a·p + q covers 0 … a·P-1 when q < a.
          const inner = { ...sizes, p: b, q: a };
          const wide = { ...sizes, i: a * b };
          const by = indexAlgebra.add(indexAlgebra.mul(variable("p", b - 1), a), variable("q", a - 1));
          const text = indexText(substitute(indexOf(tree, wide), "i", by));
          forEachAssignment(inner, (at) => {
            const value = valueAt(tree, { ...at, i: (at.p as number) * a + (at.q as number) });
            if (value !== undefined && value >= 0 && value < 2 ** 32)
              expect(evaluateIndexText(text, at), text).toBe(value);
          });
        },
      ),
      runs(500),
    );
  });

  test("of a linear index split and joined again are that index", () => {
    const shape = fc.array(fc.integer({ min: 1, max: 7 }), { minLength: 1, maxLength: 5 });
    fc.assert(
      fc.property(shape, (dims) => {
        const n = dims.reduce((p, d) => p * d, 1);
        const linear = variable("i", n - 1);
        expect(ravel(unravel(linear, dims), dims).key).toBe(linear.key);
      }),
      runs(300),
    );
  });

  test("of a reshape there and back again are the linear index", () => {
    const factors = fc.array(fc.integer({ min: 1, max: 5 }), { minLength: 2, maxLength: 5 });
    fc.assert(
      fc.property(factors, fc.nat(), (dims, seed) => {
        const cut = 1 + (seed % (dims.length - 1));
        const product = (list: readonly number[]): number => list.reduce((p, d) => p * d, 1);
        const merged = [product(dims.slice(0, cut)), product(dims.slice(cut))];
        const linear = variable("i", product(dims) - 1);
        expect(ravel(unravel(ravel(unravel(linear, dims), dims), merged), merged).key).toBe(linear.key);
      }),
      runs(300),
    );
  });
});
