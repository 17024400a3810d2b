import type { Node } from "../ir/graph.ts";
import { div, type Index, indexAlgebra } from "../ir/index-expr.ts";
import { halvesBlock } from "../ir/ops/halves.ts";
import { rowOf } from "../ir/ops.ts";
import type { MatrixSide } from "./contraction-matrix-stage.ts";
import { shapeOf } from "./emitter.ts";
import type { Frame } from "./kernel.ts";

/** An operand in halves, as the words that hold it. */
export interface StoredHalves {
  readonly side: MatrixSide;
  /** The text of the exponent of the block that holds (outer, inner). */
  exponentAt(outer: Index, inner: Index): string;
}

/** Views that leave elements in their blocks, or move those beyond the end into the last ones. */
const keeps = (n: Node): boolean => {
  const { op, attrs } = n;
  const zeros = (list: unknown): boolean => (list as readonly number[]).every((x) => x === 0);
  if (op === "transpose") return n.type.shape.length === 2;
  if (op === "pad") return attrs.mode === "edge" && zeros(attrs.low);
  return op === "slice" && zeros(attrs.starts) && (attrs.steps as readonly number[]).every((x) => x === 1);
};

export const isWords = (n: Node): boolean => n.type.dtype === "u32";

/** The matrix in halves that an operand is by such views. */
function halvesBelow(operand: Node): Node | undefined {
  let n = operand;
  while (keeps(n)) n = n.args[0] as Node;
  return n.op === "fromHalves" ? n : undefined;
}

/**
 * The words of an operand that is in halves, if tiles of it can be loaded as they are: its words are in memory, four of the depth
 * lie together, and each tile is in one block.
 */
export function storedHalves({ e }: Frame, s: MatrixSide): StoredHalves | undefined {
  const base = halvesBelow(s.operand);
  if (!base || s.depthLimit % 4 !== 0 || halvesBlock % s.size !== 0) return undefined;
  const [words, exponents] = base.args as [Node, Node];
  if (!e.boundTo(words) || !e.boundTo(exponents)) return undefined;
  const at = (outer: Index, inner: Index): Index[] => {
    let index: readonly Index[] = s.at(outer, inner);
    for (let n = s.operand; n !== base; n = n.args[0] as Node) {
      const [from, to] = [shapeOf(n.args[0] as Node), shapeOf(n)];
      index = rowOf(n.op).view!.map(indexAlgebra, index, { attrs: n.attrs, from, to });
    }
    return [...index];
  };
  return {
    side: { ...s, operand: words, at },
    exponentAt(outer, inner) {
      e.width = 1;
      return e.value(
        exponents,
        at(outer, inner).map((x) => div(x, halvesBlock)),
      ).text;
    },
  };
}
