import { fail } from "../../base/diagnostic.ts";
import type { Graph, Node } from "../graph.ts";
import { inline } from "../inline.ts";
import type { Adjoint, Derivative } from "../op.ts";
import { zeros } from "./helpers.ts";

/** Through the body: computed again where the call says so, else equal to the forward nodes. */
function throughBody(
  { b, node, args, cotangents, pullback }: Adjoint,
  needs: (i: number) => boolean,
): (Node | undefined)[] {
  const { body, recompute, key } = node.attrs as { body: Graph; recompute?: boolean; key?: number };
  const own = args.map((x) =>
    recompute ? b.add("recompute", [x], { key: key ?? 0 }) : b.add("reshape", [x], { shape: x.type.shape }),
  );
  const wanted = own.filter((_, i) => needs(i));
  const found = pullback(inline(b, body, own), cotangents, wanted);
  return own.map((x) => found[wanted.indexOf(x)]);
}

/** By the graph that the user gave. Every argument of the user's has an output in it; what comes from a closure has none. */
function byGraph(a: Adjoint, graph: Graph): (Node | undefined)[] {
  const { b, node, args, results, cotangents, needs } = a;
  const cts = results.map((r, i) => cotangents[i] ?? zeros(b, r.type));
  const made = inline(b, graph, [...args, ...results, ...cts]);
  const at = new Map(graph.outputs.map((o, i) => [o.name, made[i] as Node]));
  const outside = throughBody(a, (i) => needs(i) && !at.has(`g${i}`));
  if (outside.some((ct) => ct)) {
    fail("not-differentiable", "a function with a gradient of its own uses a tensor from outside", {
      cause: "the loss depends on a parameter through that tensor, and the gradient that was given is by the arguments",
      hint: "pass the tensor as an argument, or use stopGradient(x) for it",
      ...(node.place ? { place: node.place } : {}),
    });
  }
  return args.map((_, i) => {
    const ct = at.get(`g${i}`);
    return ct?.op === "const" && ct.attrs.value === 0 ? undefined : ct;
  });
}

export const callDerivatives: Readonly<Record<string, Derivative | null>> = {
  stopGradient: null,
  recompute: ({ ct }) => [ct],
  call: (a) => {
    const graph = a.node.attrs.derivative as Graph | null | undefined;
    return graph ? byGraph(a, graph) : throughBody(a, a.needs);
  },
};
