import { fail } from "../../base/diagnostic.ts";
import { isTensor, type Tensor, type TensorLike, wrap } from "../../frontend/tensor.ts";
import { flatten, isBranch, type Leaf, type Tree } from "../../frontend/tree.ts";
import type { GraphBuilder, Node } from "../../ir/graph.ts";
import { readScalar, type Scalar } from "../scalar.ts";
import type { Group } from "./foreach.ts";

/**
 * One number for each leaf: numbers and booleans, which are part of the program, or 0-d tensors, which are data. Many of
 * these are better given as one tensor with an element for each leaf, in the order of the tree.
 */
export type ScalarTree = Tree<Scalar | boolean>;

/** Gives each element of the packed tensors the number of its leaf: a number when all are the same, else a tensor. */
export type Each = (scalars: ScalarTree) => TensorLike;

/** For each element of a group's packed tensors the number of its leaf; a number when all leaves have the same. */
export function spread(
  op: string,
  b: GraphBuilder,
  scalars: ScalarTree,
  first: readonly Leaf<Tensor>[],
  group: Group,
): TensorLike {
  if (isTensor(scalars) && scalars.rank === 1) return perElement(b, rowsOf(op, b, scalars, first, group), group);
  const given = scalarsOf(op, scalars, first);
  const values = group.paths.map((path) => {
    const v = given.get(path);
    return typeof v === "boolean" ? Number(v) : readScalar(op, `the number of ${JSON.stringify(path)}`, v);
  });
  const [head] = values;
  if (typeof head === "number" && values.every((v) => v === head)) return head;
  return perElement(b, tableOf(b, values), group);
}

/** The numbers of a group's leaves from a tensor of the numbers of all. */
function rowsOf(op: string, b: GraphBuilder, all: Tensor, first: readonly Leaf<Tensor>[], { paths }: Group): Node {
  if (all.shape[0] !== first.length) {
    fail("shape-mismatch", `${op}: the numbers for each leaf are ${all}, and there are ${first.length} leaves`, {
      cause: "there is one for each leaf, in the order of the tree",
      hint: `declare them as f32(${first.length})`,
    });
  }
  const numbers = all.dtype === "f32" ? all.node : b.add("cast", [all.node], { dtype: "f32" });
  if (paths.length === first.length) return numbers;
  const rows = Int32Array.from(paths, (path) => first.findIndex((l) => l.path === path));
  return b.add("gather", [numbers, b.add("literal", [], { data: rows, dtype: "i32", shape: [rows.length] })], {
    axis: 0,
  });
}

/** The number of each leaf by path. */
function scalarsOf(op: string, scalars: ScalarTree, first: readonly Leaf<Tensor>[]): Map<string, Scalar | boolean> {
  const isScalar = (v: unknown): v is Scalar | boolean => !isBranch(v);
  const given = new Map(
    flatten(scalars, isScalar, "it", {
      tree: `${op}: numbers for each leaf`,
      leaf: "a number",
      hint: "give a tree of numbers like the tree of tensors",
    }).map((l) => [l.path, l.value]),
  );
  const stranger = [...given.keys()].find((p) => !first.some((l) => l.path === p));
  const lacking = first.find((l) => !given.has(l.path))?.path;
  if (stranger !== undefined || lacking !== undefined) {
    const what =
      lacking === undefined
        ? `have ${JSON.stringify(stranger)}, which no tensor has`
        : `lack ${JSON.stringify(lacking)}`;
    fail("bad-tree", `${op}: the numbers for each leaf ${what}`, {
      cause: "there is one for each leaf, under the same keys",
      hint: "give a tree of numbers like the tree of tensors",
    });
  }
  return given;
}

const tableOf = (b: GraphBuilder, values: readonly Scalar[]): Node =>
  values.every((v) => typeof v === "number")
    ? b.add("literal", [], { data: Float32Array.from(values), dtype: "f32", shape: [values.length] })
    : b.add(
        "stack",
        values.map((v) => (typeof v === "number" ? b.const(Math.fround(v), "f32") : v.node)),
        { axis: 0 },
      );

function perElement(b: GraphBuilder, table: Node, { shapes, offsets, total }: Group): Tensor {
  const sizes = shapes.map((_, i) => (offsets[i + 1] ?? total) - (offsets[i] as number));
  return wrap(b.add("gather", [table, b.add("segments", [], { sizes })], { axis: 0 }));
}
