import { type Dim, type Shape, shapeSize } from "../dim.ts";
import type { GraphBuilder, Node } from "../graph.ts";
import type { Derivative } from "../op.ts";
import { range } from "../ops/axes.ts";
import { reshape, transpose } from "../ops/composite-helpers.ts";
import { precisionOf } from "../ops/contraction.ts";

const swap = (b: GraphBuilder, x: Node): Node => {
  const rank = x.type.shape.length;
  return b.add("transpose", [x], { perm: [...range(rank - 2), rank - 1, rank - 2] });
};

/** Batch axes of the result along which an operand of these sizes was repeated. */
const repeated = (own: Shape, batch: Shape): number[] => {
  const lead = batch.length - (own.length - 2);
  return range(batch.length).filter((i) => batch[i] !== 1 && (i < lead || own[i - lead] === 1));
};

/**
 * `x` [batch..., P, Q] with the batch axes `folded` merged into P, which becomes the axis to contract:
 * [other batch axes..., folded * P, Q].
 */
function foldBatch(b: GraphBuilder, x: Node, rank: number, folded: readonly number[]): Node {
  const { shape } = x.type;
  const full: Dim[] = [...new Array<Dim>(rank + 2 - shape.length).fill(1), ...shape];
  const stay = range(rank).filter((i) => !folded.includes(i));
  const moved = transpose(b, reshape(b, x, full), [...stay, ...folded, rank, rank + 1]);
  const rows = [...folded, rank].map((i) => full[i] as Dim);
  return reshape(b, moved, [...stay.map((i) => full[i] as Dim), shapeSize(rows), full[rank + 1] as Dim]);
}

/**
 * da = ct b', db = a' ct. Where an operand was repeated along batch axes its cotangent is a sum over them: they are folded
 * into the axis that is contracted, so that it is still one matmul.
 */
const matmul: Derivative = ({ b, node, args, ct, needs }) => {
  const [x, y] = args as [Node, Node];
  const product = (...factors: Node[]): Node => b.add("matmul", factors, precisionOf(node.attrs));
  const batch = ct.type.shape.slice(0, -2);
  const left = (): Node => {
    const folded = repeated(x.type.shape, batch);
    if (folded.length === 0) return product(ct, swap(b, y));
    const [rows, columns] = [swap(b, ct), swap(b, y)].map((t) => foldBatch(b, t, batch.length, folded));
    return product(swap(b, rows as Node), columns as Node);
  };
  const right = (): Node => {
    const folded = repeated(y.type.shape, batch);
    if (folded.length === 0) return product(swap(b, x), ct);
    const [rows, columns] = [x, ct].map((t) => foldBatch(b, t, batch.length, folded));
    return product(swap(b, rows as Node), columns as Node);
  };
  return [
    needs(0) ? reshape(b, left(), x.type.shape) : undefined,
    needs(1) ? reshape(b, right(), y.type.shape) : undefined,
  ];
};

export const contractionDerivatives: Readonly<Record<string, Derivative | null>> = { matmul };
