import type { Graph, GraphBuilder, Node } from "../ir/graph.ts";
import { reshape } from "../ir/ops/composite-helpers.ts";
import { halvesBlock, matrixBelow } from "../ir/ops/halves.ts";
import type { Capabilities } from "../manifest/manifest.ts";
import { canHalve, gainOfHalves, isPairProduct, sourceOf, timeToHalve, worthHalving } from "./halvable.ts";
import { halvesAttrs } from "./halves-kernel.ts";
import { replaceNodes } from "./rewrite.ts";

export interface HalveOperandsOptions {
  /** How many times what it takes a copy must gain. */
  readonly worth?: number;
  /** Sides and sums of fewer elements are left as they are. */
  readonly least?: number;
}

/**
 * Stores operands of products of f32 as halves before them, where several workgroups would split the same elements
 * again and again: each row of tiles all of the right operand, each column all of the left one. One copy serves all products of a
 * matrix, transposed or not, and where it is a weight it is made when a program is loaded.
 */
export function halveOperands(
  graph: Graph,
  { software, features, limits }: Pick<Capabilities, "software" | "features" | "limits">,
  { worth = worthHalving, least = halvesBlock }: HalveOperandsOptions = {},
): Graph {
  if (software || !features.subgroupMatrix) return graph;
  const products: Halvable[] = [];
  /** Matrices whose rows some product adds up: sums of their columns ride with it. */
  const summed = new Set<Node>();
  for (const n of graph.nodes) {
    if (!isPairProduct(n)) continue;
    const [m, k] = (n.args[0] as Node).type.shape as [number, number];
    const columns = n.type.shape.at(-1) as number;
    if (Math.min(m, k, columns) < least || k % 4 !== 0) continue;
    const below = n.args.map(matrixBelow);
    if (!below.every(({ base }) => canHalve(base))) continue;
    products.push({ bases: below.map(({ base }) => base), gain: gainOfHalves(n, limits) });
    below.forEach(({ base, turned }, i) => {
      if (turned === (i === 0) && n.type.shape.length === 2) summed.add(sourceOf(base));
    });
  }
  const chosen = worthwhile(products, worth);
  if (chosen.size === 0) return graph;
  const sources = new Map([...chosen].map((x) => [sourceOf(x), x]));
  const room = limits.maxStorageBuffersPerShaderStage;
  const together = withFirst(groupsOf(chosen, graph.inputs, room), graph, chosen, room);
  const made = new Map<Node, Node>();
  return replaceNodes(graph, (n, _, b, now) => {
    const halvesOf = (x: Node): Node => {
      if (!made.has(x)) {
        const group = together.find((list) => list.includes(x)) ?? [x];
        const results = b.results(
          b.add(
            "wgsl",
            group.map(now),
            halvesAttrs(
              group.map((y) => y.type),
              features.f16,
            ),
          ),
        );
        group.forEach((y, i) => {
          made.set(y, b.add("fromHalves", results.slice(2 * i, 2 * i + 2), { shape: y.type.shape }));
        });
      }
      return made.get(x) as Node;
    };
    if (n.op === "sum") {
      const x = n.args[0] as Node;
      const base = sources.get(sourceOf(x));
      const axes = n.attrs.axes as readonly number[];
      const columns = x.type.shape.at(-1) === base?.type.shape[1] && axes.length === x.type.shape.length - 1;
      if (!base || !summed.has(sourceOf(x)) || !columns || axes.includes(axes.length)) return undefined;
      return [b.add("sum", [reshape(b, halvesOf(base), x.type.shape)], n.attrs)];
    }
    if (!isPairProduct(n)) return undefined;
    const bases = n.args.map((a) => matrixBelow(a).base);
    if (!bases.every((x) => chosen.has(x))) return undefined;
    const halved = n.args.map((a, i) => onTopOf(b, a, bases[i] as Node, halvesOf(bases[i] as Node)));
    return [b.add("matmul", halved, n.attrs)];
  });
}

/** A product both of whose operands could be stored as halves, and the seconds that this would gain. */
interface Halvable {
  readonly bases: readonly Node[];
  readonly gain: number;
}

/** The matrices that gain more by their products, of which each operand has a half, than it takes to store them: the worst is left out until all do. */
function worthwhile(products: readonly Halvable[], worth: number): ReadonlySet<Node> {
  const chosen = new Set(products.flatMap((p) => p.bases));
  for (;;) {
    const gains = new Map<Node, number>([...chosen].map((x) => [x, 0]));
    for (const { bases, gain } of products) {
      if (!bases.every((x) => chosen.has(x))) continue;
      for (const x of bases) gains.set(x, (gains.get(x) as number) + gain / 2);
    }
    const shares = [...gains].map(([x, gain]) => ({ x, share: gain / timeToHalve(x) }));
    const worst = shares.reduce((p, q) => (q.share < p.share ? q : p), {
      x: undefined as Node | undefined,
      share: worth,
    });
    if (!worst.x) return chosen;
    chosen.delete(worst.x);
  }
}

/** Matrices that are inputs of one role, and so there from the beginning, in groups that one kernel can bind. */
function groupsOf(chosen: ReadonlySet<Node>, inputs: readonly Node[], limit: number): readonly (readonly Node[])[] {
  const groups: Node[][] = [];
  const list = inputs.flatMap((input) => [...chosen].filter((x) => sourceOf(x) === input));
  for (const x of list) {
    const { role } = sourceOf(x).attrs;
    const open = groups.find((g) => sourceOf(g[0] as Node).attrs.role === role && 3 * (g.length + 1) <= limit);
    if (open) open.push(x);
    else groups.push([x]);
  }
  return groups;
}

/** The first matrix that is computed joins inputs that change with every run: no product of what is stored as halves comes before it. */
function withFirst(
  groups: readonly (readonly Node[])[],
  { nodes }: Graph,
  chosen: ReadonlySet<Node>,
  limit: number,
): readonly (readonly Node[])[] {
  const first = nodes.find((n) => chosen.has(n) && sourceOf(n).op !== "input");
  const product = nodes.find((n) => isPairProduct(n) && n.args.every((a) => chosen.has(matrixBelow(a).base)));
  const roleOf = (g: readonly Node[]): unknown => sourceOf(g[0] as Node).attrs.role;
  const open = groups.find((g) => roleOf(g) !== "weight" && 3 * (g.length + 1) <= limit);
  if (!first || !product || !open || nodes.indexOf(first) > nodes.indexOf(product)) return groups;
  return groups.map((g) => (g === open ? [...g, first] : g));
}

/** What `from` was below `operand`, replaced. */
const onTopOf = (b: GraphBuilder, operand: Node, from: Node, to: Node): Node =>
  operand === from ? to : b.add(operand.op, [onTopOf(b, operand.args[0] as Node, from, to)], operand.attrs);
