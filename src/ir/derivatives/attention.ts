import type { Attrs, Node } from "../graph.ts";
import type { Adjoint, Derivative } from "../op.ts";

/**
 * The gradient of attention by the kernels of `attentionGradQuery` and `attentionGradKeyValue`. The forward pass becomes
 * an `attentionStats` of the same arguments: a pass makes one of it and the `attention` that it repeats.
 */
function attention({ b, node, args, ct, needs }: Adjoint): readonly (Node | undefined)[] {
  const [q, k, v, ...mask] = args as [Node, Node, Node, ...Node[]];
  const { attrs } = node;
  const { place } = b;
  b.place = node.place ?? place;
  const [out, lse] = b.results(b.add("attentionStats", args, attrs)) as [Node, Node];
  b.place = place;
  // With a mask the kernel's operands would not all fit the eight buffers that every device has: it does without out.
  const [last, has] = mask.length ? [mask[0] as Node, [0]] : [out, [1]];
  const query: Attrs = { ...attrs, has };
  const [dq, rows] = b.results(b.add("attentionGradQuery", [q, k, v, lse, ct, last], query)) as [Node, Node];
  const rest = [q, k, v, rows, ct, ...mask];
  const both = needs(1) || needs(2) ? b.results(b.add("attentionGradKeyValue", rest, attrs)) : [];
  const byMask = mask.length && needs(3) ? b.add("attentionGradMask", rest, attrs) : undefined;
  return [dq, both[0], both[1], byMask].slice(0, args.length);
}

/** Derivatives of the attention rows; those of its gradients go through what they decompose to. */
export const attentionDerivatives: Readonly<Record<string, Derivative | null>> = { attention };
