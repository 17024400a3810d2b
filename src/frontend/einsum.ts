import { fail } from "../base/diagnostic.ts";
import type { MatmulOptions } from "./contract.ts";
import { enter } from "./enter.ts";
import { readOptions } from "./options.ts";
import { precisionAttr } from "./precision.ts";
import { describe, isTensor, node, type Tensor, wrap } from "./tensor.ts";

/** Options of {@link einsum}. */
export interface EinsumOptions {
  /** How the products that it consists of are computed, as for `matmul`. */
  readonly precision?: MatmulOptions["precision"];
}

/**
 * A sum of products by index letters: `einsum("bij,bjk->bik", a, b)`. Each tensor's axes are named by letters, letters that
 * the result lacks are summed over, and a letter named twice in one tensor takes its diagonal. Without `->` the result has
 * the letters that occur once, in alphabetical order; `...` stands for axes that broadcast. Options may
 * follow the last tensor.
 */
export function einsum(equation: string, ...xs: readonly [...Tensor[], Tensor | EinsumOptions]): Tensor {
  return enter((g) => {
    if (typeof equation !== "string") {
      fail("bad-option", `einsum takes an equation first, not ${describe(equation)}`, {
        hint: 'write einsum("ij,jk->ik", a, b)',
      });
    }
    const last = xs.at(-1);
    const given = isOptions(last) ? last : undefined;
    const tensors = (given ? xs.slice(0, -1) : xs) as readonly Tensor[];
    const { precision } = readOptions("einsum", given, { precision: undefined });
    const args = tensors.map((x, i) => node("einsum", x, `argument ${i + 2}`));
    return wrap(
      g.add("einsum", args, { equation: equation.replace(/\s/g, ""), ...precisionAttr("einsum", precision) }),
    );
  });
}

/** An object that is no tensor and nothing that one could be given for. */
const isOptions = (x: unknown): x is EinsumOptions =>
  x !== null && typeof x === "object" && !isTensor(x) && Object.getPrototypeOf(x) === Object.prototype;
