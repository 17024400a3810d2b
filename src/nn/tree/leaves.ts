import { fail } from "../../base/diagnostic.ts";
import { isTensor, type Tensor } from "../../frontend/tensor.ts";
import { flatten, type Leaf, mapTree } from "../../frontend/tree.ts";
import { shapeEqual } from "../../ir/dim.ts";

/** The path of the only leaf of a tree that is a tensor itself. */
const lone = "it";

/** The tensors of a tree in the order of its keys. */
export const tensorsOf = (op: string, what: string, tree: unknown): Leaf<Tensor>[] =>
  flatten(tree, isTensor, lone, {
    tree: `${op}: ${what}`,
    leaf: "a tensor",
    hint: "give nested objects and arrays of tensors",
  });

/** A tree of tensors with each replaced by `fn(path, tensor)`. */
export const mapTensors = (tree: unknown, fn: (path: string, x: Tensor) => unknown): unknown =>
  mapTree(tree, isTensor, lone, fn);

/**
 * The tensors of a tree that is built as `like`, the leaves of the tree `first`, in their order.
 * @throws SinterError `bad-tree` where a path is missing or too many, `shape-mismatch`
 */
export function tensorsLike(
  op: string,
  what: string,
  tree: unknown,
  like: readonly Leaf<Tensor>[],
  first: string,
): Tensor[] {
  const byPath = new Map(tensorsOf(op, what, tree).map((l) => [l.path, l.value]));
  const out = like.map(({ path, value }) => {
    const x = byPath.get(path);
    if (!x) {
      return fail("bad-tree", `${op}: ${what} has no ${JSON.stringify(path)}, which ${first} has`, {
        cause: "the trees must have the same keys",
        hint: "give trees of one structure",
      });
    }
    if (!shapeEqual(x.shape, value.shape)) {
      fail("shape-mismatch", `${op}: ${JSON.stringify(path)} of ${what} is ${x}, but that of ${first} is ${value}`, {
        cause: "leaves of the same path must have the same shape",
        hint: "give trees that belong together",
      });
    }
    return x;
  });
  if (byPath.size > like.length) {
    const own = new Set(like.map((l) => l.path));
    const extra = [...byPath.keys()].find((p) => !own.has(p));
    fail("bad-tree", `${op}: ${what} has ${JSON.stringify(extra)}, which ${first} has not`, {
      cause: "the trees must have the same keys",
      hint: "give trees of one structure",
    });
  }
  return out;
}
