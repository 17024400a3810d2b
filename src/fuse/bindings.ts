import type { Graph, Node } from "../ir/graph.ts";
import { packLayout } from "../ir/ops/memory.ts";
import type { Capabilities } from "../manifest/manifest.ts";
import type { Group } from "./groups.ts";
import { inPlaceInputs } from "./in-place.ts";
import { bytesOf, countOf, placeOf } from "./pull.ts";

/**
 * Counts the storage buffers of a kernel: a tensor larger than a binding may be takes several, and a new state that can be
 * written over the old one shares its.
 */
export class BindingCount {
  readonly limit: number;
  private readonly largest: number;
  /** Which states a node holds, and where: `name@element of the node@element of the state`, in order. */
  private readonly holds = new Map<Node, string>();
  private readonly graph: Graph;
  private replaced: ReadonlyMap<Node, string> | undefined;

  constructor(graph: Graph, capabilities: Capabilities) {
    this.graph = graph;
    this.limit = capabilities.limits.maxStorageBuffersPerShaderStage;
    this.largest = capabilities.limits.maxStorageBufferBindingSize;
  }

  /** Bindings that one tensor takes. */
  of(n: Node): number {
    return Math.max(1, Math.ceil(bytesOf(n) / this.largest));
  }

  /** Bindings of a kernel that reads and stores these, each by itself. */
  apart(inputs: ReadonlySet<Node>, outputs: Iterable<Node>): number {
    const sum = (list: Iterable<Node>): number => {
      let n = 0;
      for (const x of list) n += this.of(x);
      return n;
    };
    return sum(inputs) + Math.max(1, sum(outputs));
  }

  /** Does a kernel of this shape that reads and stores these bind more than the device allows? */
  exceeds(shape: Group, members: readonly Node[], inputs: ReadonlySet<Node>, outputs: Iterable<Node>): boolean {
    const stored = [...outputs];
    const apart = this.apart(inputs, stored);
    return apart > this.limit && apart - this.shared(shape, members, inputs, stored) > this.limit;
  }

  /** Bindings that outputs need not have since they go where the state lies that they replace. */
  private shared(g: Group, members: readonly Node[], inputs: ReadonlySet<Node>, outputs: readonly Node[]): number {
    this.replaced ??= replacedStates(this.graph);
    const list = [...inputs];
    const pairs = outputs.flatMap((output) => {
      const key = this.replaced?.get(output);
      const input = key === undefined ? undefined : list.find((n) => this.heldBy(n) === key);
      return input && countOf(input) === countOf(output) ? [{ output, input }] : [];
    });
    if (pairs.length === 0) return 0;
    const { family, space, axes, anchors } = g;
    const fits = inPlaceInputs({ id: 0, family, space, axes, anchors, members, outputs, inputs: list });
    return pairs.reduce((n, p) => n + (fits.get(p.output)?.includes(p.input) ? this.of(p.output) : 0), 0);
  }

  private heldBy(n: Node): string {
    const known = this.holds.get(n);
    if (known !== undefined) return known;
    const parts = rangesOf(n).flatMap(({ root, at, from }) =>
      root.op === "input" && root.attrs.role === "state" ? [`${root.attrs.name}@${at}@${from}`] : [],
    );
    const key = parts.join();
    this.holds.set(n, key);
    return key;
  }
}

interface Range {
  readonly root: Node;
  /** First element in the node, and in the root. */
  readonly at: number;
  readonly from: number;
}

/** What a node in memory consists of: parts of inputs and of stored nodes, in order. */
function rangesOf(n: Node): Range[] {
  const { root, offset } = placeOf(n);
  if (root.op !== "pack") return [{ root, at: 0, from: offset }];
  const { offsets } = packLayout(root.args.map((a) => a.type));
  return root.args.flatMap((a, i) => {
    const begin = (offsets[i] as number) - offset;
    if (begin + countOf(a) <= 0 || begin >= countOf(n)) return [];
    return rangesOf(a).map((r) => ({ ...r, at: r.at + begin }));
  });
}

/** For each node that new states lie in, which these are, as `heldBy` tells it of what is read. */
function replacedStates(graph: Graph): ReadonlyMap<Node, string> {
  const states = new Set(graph.inputs.filter((n) => n.attrs.role === "state").map((n) => n.attrs.name as string));
  const found = new Map<Node, { name: string; at: number; from: number }[]>();
  for (const o of graph.outputs) {
    if (!states.has(o.name)) continue;
    for (const { root, at, from } of rangesOf(o.node)) {
      // Part of the output from `at` on is the root from `from` on; one of them is the beginning.
      found.set(root, [...(found.get(root) ?? []), { name: o.name, at: from, from: at }]);
    }
  }
  return new Map(
    [...found].map(([root, list]) => [
      root,
      list
        .sort((p, q) => p.at - q.at)
        .map((r) => `${r.name}@${r.at}@${r.from}`)
        .join(),
    ]),
  );
}
