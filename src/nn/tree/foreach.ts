import { fail } from "../../base/diagnostic.ts";
import { storageBytes } from "../../base/dtype.ts";
import { enter, leave } from "../../frontend/enter.ts";
import { describe, isTensor, type Tensor, wrap } from "../../frontend/tensor.ts";
import type { TensorTree } from "../../frontend/trace.ts";
import { isBranch, type Leaf } from "../../frontend/tree.ts";
import { isConcrete } from "../../ir/dim.ts";
import type { GraphBuilder, Node } from "../../ir/graph.ts";
import { rowOf } from "../../ir/ops.ts";
import { type Each, spread } from "./each.ts";
import { mapTensors, tensorsLike, tensorsOf } from "./leaves.ts";
import { type Layout, layoutOf, packNodes, zeroBetween } from "./pack.ts";

/** What a function of packed tensors gives: one of them or an object of several. */
type Packed = Tensor | Readonly<Record<string, Tensor>>;

/** The trees of what a function of packed tensors gives. */
export type Unpacked<R, P> = R extends Tensor ? P : { readonly [K in keyof R]: P };

/**
 * Applies an elementwise function to all leaves of one or several trees of equal structure at once. For each dtype (of all
 * trees together) the leaves are laid one after the other in a flat tensor, `fn` is called once with these tensors by the
 * names of the trees, and what it gives is cut into trees again. So a function of a thousand tensors is one graph over one
 * tensor, and one kernel. Between leaves there are up to 63 more elements (127 of f16), which are 0, and set to 0 again where
 * `fn` gives something else. `each` spreads numbers given for each leaf over their elements.
 *
 * ```ts
 * const next = foreach({ p: params, g: grads }, ({ p, g }) => p.sub(g.mul(lr)));
 * ```
 *
 * @throws SinterError `bad-tree`, `shape-mismatch`, `dtype-mismatch`, `unbound-dim`
 */
export function foreach<P extends TensorTree, K extends string, R extends Packed>(
  trees: Readonly<Record<K, P>>,
  fn: (packed: Record<K, Tensor>, each: Each) => R,
): Unpacked<R, P> {
  return enter(() => {
    if (!isBranch(trees) || Object.keys(trees).length === 0) {
      fail("bad-tree", `foreach takes an object of trees, not ${describe(trees)}`, {
        hint: "name the trees: foreach({ p: params }, ({ p }) => p.mul(2))",
      });
    }
    if (typeof fn !== "function") {
      fail("bad-option", `foreach takes a function of the packed tensors second, not ${describe(fn)}`, {
        hint: "write foreach({ p: params }, ({ p }) => p.mul(2))",
      });
    }
    return mapPacked("foreach", trees, (packed, each) => leave(() => fn(packed as Record<K, Tensor>, each)));
  }) as Unpacked<R, P>;
}

/** Leaves of one combination of dtypes, packed. */
export interface Group extends Layout {
  readonly paths: readonly string[];
  readonly shapes: readonly (readonly number[])[];
  readonly packed: Readonly<Record<string, Tensor>>;
}

/** {@link foreach} for functions of this library: `fn` is called with the place of the running call. */
export function mapPacked<R extends Packed>(
  op: string,
  trees: Readonly<Record<string, TensorTree>>,
  fn: (packed: Readonly<Record<string, Tensor>>, each: Each) => R,
): unknown {
  return enter((b) => {
    const { first, groups } = groupLeaves(op, b, trees);
    let lone = true;
    const byName = new Map<string, Map<string, Tensor>>();
    for (const group of groups) {
      const result = fn(group.packed, (scalars) => spread(op, b, scalars, first, group));
      lone = isTensor(result);
      for (const [name, x] of Object.entries(isTensor(result) ? { x: result } : result)) {
        const windows = byName.get(name) ?? new Map<string, Tensor>();
        byName.set(name, windows);
        windowsOf(op, b, x, group).forEach((w, i) => {
          windows.set(group.paths[i] as string, w);
        });
      }
    }
    const treeOf = (windows?: Map<string, Tensor>): unknown =>
      mapTensors(Object.values(trees)[0], (path) => windows?.get(path));
    if (lone) return treeOf(byName.get("x"));
    return Object.fromEntries([...byName].map(([name, windows]) => [name, treeOf(windows)]));
  });
}

/** The leaves of all trees, packed by the dtypes they have in each. */
export function groupLeaves(
  op: string,
  b: GraphBuilder,
  trees: Readonly<Record<string, TensorTree>>,
): { readonly first: readonly Leaf<Tensor>[]; readonly groups: readonly Group[] } {
  const names = Object.keys(trees);
  const first = tensorsOf(op, names[0] as string, trees[names[0] as string]);
  for (const { path, value } of first) {
    if (isConcrete(value.shape)) continue;
    fail("unbound-dim", `${op}: ${JSON.stringify(path)} is ${value}, and its size is not known yet`, {
      cause: "leaves are laid one after the other, at places that are part of the program",
      hint: "use tensors without named dims, such as parameters",
    });
  }
  const columns = names.map((name, i) =>
    i === 0 ? first.map((l) => l.value) : tensorsLike(op, name, trees[name], first, names[0] as string),
  );
  const byDType = new Map<string, number[]>();
  first.forEach((_, i) => {
    const key = columns.map((c) => (c[i] as Tensor).dtype).join();
    byDType.set(key, [...(byDType.get(key) ?? []), i]);
  });
  const groups = [...byDType.values()].map((rows): Group => {
    const leaves = columns.map((c) => rows.map((i) => (c[i] as Tensor).node));
    requireOneSize(op, names, leaves);
    const types = (leaves[0] as Node[]).map((n) => n.type);
    return {
      paths: rows.map((i) => (first[i] as Leaf<Tensor>).path),
      shapes: types.map((t) => t.shape as number[]),
      ...layoutOf(leaves[0] as Node[]),
      packed: Object.fromEntries(names.map((name, i) => [name, wrap(packNodes(b, leaves[i] as Node[]))])),
    };
  });
  return { first, groups };
}

/** Elements of another size begin at other multiples of 256 bytes. */
function requireOneSize(op: string, names: readonly string[], leaves: readonly (readonly Node[])[]): void {
  const dtypes = leaves.map((column) => (column[0] as Node).type.dtype);
  const other = dtypes.findIndex((d) => storageBytes[d] !== storageBytes[dtypes[0] ?? "f32"]);
  if (other < 0) return;
  fail("dtype-mismatch", `${op}: ${names[0]} is ${dtypes[0]}, but ${names[other]} is ${dtypes[other]}`, {
    cause: "leaves of other element sizes lie at other places",
    hint: `cast one of the trees first: castTree(${names[other]}, "${dtypes[0]}")`,
  });
}

/** A flat tensor cut into the leaves of a group. */
function windowsOf(op: string, b: GraphBuilder, x: Tensor, group: Group): readonly Tensor[] {
  if (!isTensor(x) || x.rank !== 1 || x.shape[0] !== group.total) {
    fail("shape-mismatch", `${op}: the function gave ${describe(x)} for packed tensors of ${group.total} elements`, {
      cause: "its result is cut into leaves where its arguments were joined",
      hint: "make it elementwise; reduce outside of it",
    });
  }
  const moved = notElementwise(x.node, group);
  if (moved) {
    fail("bad-option", `${op}: the function uses ${moved.op}, which is not elementwise, on packed tensors`, {
      cause: "leaves lie one after the other with zeros between them, so positions in a packed tensor mean nothing",
      hint: "do it to each leaf, before or after",
      ...(moved.place ? { place: moved.place } : {}),
    });
  }
  const flat = zeroBetween(b, x.node, group);
  return group.shapes.map((shape, i) => wrap(b.add("window", [flat], { start: group.offsets[i], shape })));
}

const keepsPlaces: ReadonlySet<string> = new Set(["stopGradient", "reshape", "recompute"]);

/** A node on the way from the packed tensors to a result of their size that is not computed element by element. */
function notElementwise(result: Node, group: Group): Node | undefined {
  const packed = new Set(Object.values(group.packed).map((t) => t.node));
  const known = new Map<Node, boolean>();
  const depends = (n: Node): boolean => {
    const found = known.get(n);
    if (found !== undefined) return found;
    known.set(n, false);
    const own = packed.has(n) || n.args.some(depends);
    known.set(n, own);
    return own;
  };
  const seen = new Set<Node>();
  const visit = (n: Node): Node | undefined => {
    if (seen.has(n)) return undefined;
    seen.add(n);
    if (packed.has(n) || !depends(n) || n.type.shape[0] !== group.total) return undefined;
    if (!rowOf(n.op).elementwise && !keepsPlaces.has(n.op)) return n;
    for (const a of n.args) {
      const bad = visit(a);
      if (bad) return bad;
    }
    return undefined;
  };
  return visit(result);
}
