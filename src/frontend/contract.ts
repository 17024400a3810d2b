import { fail } from "../base/diagnostic.ts";
import { type Dim, dimText, shapeText } from "../ir/dim.ts";
import { type GraphBuilder, type Node, typeText } from "../ir/graph.ts";
import type { ProductPrecision } from "../ir/ops/contraction.ts";
import { mayEqual } from "../ir/ops/infer.ts";
import { enter } from "./enter.ts";
import { readOptions } from "./options.ts";
import { precisionAttr } from "./precision.ts";
import { node, type Tensor, wrap } from "./tensor.ts";

export type { ProductPrecision };

/** Options of {@link matmul}. */
export interface MatmulOptions {
  /** Use `a` with its last two axes exchanged. */
  readonly transposeA?: boolean;
  /** Use `b` with its last two axes exchanged. */
  readonly transposeB?: boolean;
  /**
   * How a product of f32 is computed, and those of its gradients: `"f16x3"` lets devices with matrix units of halves use them, in three
   * products whose sum is as accurate as one in f32; a product with an infinity in it may then be NaN. By default what the program was compiled with.
   */
  readonly precision?: ProductPrecision;
}

/**
 * The matrix product of `a` [..., M, K] and `b` [..., K, N], giving [..., M, N]. Leading axes broadcast. As in NumPy a
 * one-dimensional `a` is a row and a one-dimensional `b` a column, and the added axis is dropped from the result. Products
 * of f16 accumulate in f32.
 */
export function matmul(a: Tensor, b: Tensor, options?: MatmulOptions): Tensor {
  return enter((g) => {
    const o = readOptions("matmul", options, { transposeA: false, transposeB: false, precision: undefined });
    const [x, y] = [node("matmul", a, "a"), node("matmul", b, "b")];
    for (const [n, name] of [
      [x, "a"],
      [y, "b"],
    ] as const) {
      if (n.type.shape.length === 0) {
        fail("rank-mismatch", `matmul takes ${name} with at least one axis, not ${typeText(n.type)}`, {
          hint: "use mul to scale a tensor",
        });
      }
    }
    const row = x.type.shape.length === 1;
    const column = y.type.shape.length === 1;
    const left = row ? withShape(g, x, [1, x.type.shape[0] as Dim]) : o.transposeA ? swapLast(g, x) : x;
    const right = column ? withShape(g, y, [y.type.shape[0] as Dim, 1]) : o.transposeB ? swapLast(g, y) : y;
    if (row || column) requireContractible([x, y], left.type.shape.at(-1) as Dim, right.type.shape.at(-2) as Dim);
    const out = g.add("matmul", [left, right], precisionAttr("matmul", o.precision));
    if (!row && !column) return wrap(out);
    const shape = [...out.type.shape];
    if (column) shape.splice(-1, 1);
    if (row) shape.splice(column ? -1 : -2, 1);
    return wrap(withShape(g, out, shape));
  });
}

/** The row says this too, but of shapes that already have the added axis. */
function requireContractible([x, y]: readonly [Node, Node], k: Dim, k2: Dim): void {
  if (mayEqual(k, k2)) return;
  fail("shape-mismatch", `matmul: shapes ${shapeText(x.type.shape)} and ${shapeText(y.type.shape)} do not contract`, {
    cause: `the contracted axis has size ${dimText(k)} in the first and ${dimText(k2)} in the second`,
    hint: "reshape, slice or transpose one of them so that the sizes agree",
  });
}

const withShape = (g: GraphBuilder, x: Node, shape: readonly Dim[]): Node => g.add("reshape", [x], { shape });

function swapLast(g: GraphBuilder, x: Node): Node {
  const rank = x.type.shape.length;
  const perm = Array.from({ length: rank }, (_, i) => i);
  perm.push(...perm.splice(-2).reverse());
  return g.add("transpose", [x], { perm });
}
