import { fail } from "../base/diagnostic.ts";
import { enter } from "./enter.ts";
import { describe, node, type Tensor, wrap } from "./tensor.ts";

/**
 * A sum of products by index letters: `einsum("bij,bjk->bik", a, b)`. Each tensor's axes are named by letters, letters that
 * the result lacks are summed over, and a letter named twice in one tensor takes its diagonal. Without `->` the result has
 * the letters that occur once, in alphabetical order; `...` stands for axes that broadcast.
 */
export function einsum(equation: string, ...xs: readonly Tensor[]): Tensor {
  return enter((g) => {
    if (typeof equation !== "string") {
      fail("bad-option", `einsum takes an equation first, not ${describe(equation)}`, {
        hint: 'write einsum("ij,jk->ik", a, b)',
      });
    }
    const args = xs.map((x, i) => node("einsum", x, `argument ${i + 2}`));
    return wrap(g.add("einsum", args, { equation: equation.replace(/\s/g, "") }));
  });
}
