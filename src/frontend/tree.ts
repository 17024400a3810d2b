import { fail } from "../base/diagnostic.ts";
import { describe } from "./tensor.ts";

/** Nested objects and arrays of leaves. */
export type Tree<L> = L | readonly Tree<L>[] | { readonly [name: string]: Tree<L> };

/** The same tree with other leaves. */
export type MapTree<T, L, To> = T extends L ? To : { [K in keyof T]: MapTree<T[K], L, To> };

export interface Leaf<L> {
  /** Keys from the root, joined by dots; the name given for the root when the tree is one leaf. */
  readonly path: string;
  readonly value: L;
}

/** Whether a value is an inner node: an array or an object made by a literal. */
export function isBranch(v: unknown): v is Readonly<Record<string, unknown>> {
  if (typeof v !== "object" || v === null) return false;
  const proto = Object.getPrototypeOf(v);
  return Array.isArray(v) || proto === Object.prototype || proto === null;
}

export const joinPath = (path: string, key: string): string => (path === "" ? key : `${path}.${key}`);

/**
 * The leaves of a tree in the order of its keys. `root` names the leaf of a tree that is a leaf itself.
 * @throws SinterError `bad-tree` where a value is neither a leaf nor a branch, or two leaves have one path
 */
export function flatten<L>(
  tree: unknown,
  isLeaf: (v: unknown) => v is L,
  root: string,
  what: { readonly tree: string; readonly leaf: string; readonly hint: string },
): Leaf<L>[] {
  const out: Leaf<L>[] = [];
  const seen = new Set<string>();
  const visit = (v: unknown, path: string): void => {
    if (isLeaf(v)) {
      const name = path === "" ? root : path;
      if (seen.has(name)) {
        fail("bad-tree", `${what.tree}: two leaves have the path ${JSON.stringify(name)}`, {
          cause: "a path joins keys by dots, and a key may hold dots itself",
          hint: "rename one of the keys",
        });
      }
      seen.add(name);
      out.push({ path: name, value: v });
    } else if (isBranch(v)) {
      for (const key of Object.keys(v)) visit(v[key], joinPath(path, key));
    } else {
      fail(
        "bad-tree",
        `${what.tree}: ${path === "" ? "it" : JSON.stringify(path)} is ${describe(v)}, not ${what.leaf}`,
        {
          hint: what.hint,
        },
      );
    }
  };
  visit(tree, "");
  return out;
}

/** The tree with each leaf replaced by `fn(path, leaf)`. */
export function mapTree<L>(
  tree: unknown,
  isLeaf: (v: unknown) => v is L,
  root: string,
  fn: (path: string, leaf: L) => unknown,
): unknown {
  const visit = (v: unknown, path: string): unknown => {
    if (isLeaf(v)) return fn(path === "" ? root : path, v);
    if (Array.isArray(v)) return v.map((e, i) => visit(e, joinPath(path, String(i))));
    return Object.fromEntries(
      Object.entries(v as Record<string, unknown>).map(([key, e]) => [key, visit(e, joinPath(path, key))]),
    );
  };
  return visit(tree, "");
}
