import { fail } from "../../base/diagnostic.ts";
import type { Attrs, Graph, TensorType } from "../graph.ts";
import { inline } from "../inline.ts";
import type { OpRow } from "../op.ts";
import { mayEqual, typeText } from "./infer.ts";

function callTypes(args: readonly TensorType[], a: Attrs): readonly TensorType[] {
  const { inputs, outputs } = a.body as Graph;
  const fits = (t: TensorType, i: number): boolean => {
    const own = inputs[i]?.type;
    return (
      own?.dtype === t.dtype &&
      own.shape.length === t.shape.length &&
      own.shape.every((d, k) => mayEqual(d, t.shape[k] ?? -1))
    );
  };
  if (inputs.length !== args.length || !args.every(fits)) {
    fail("bad-arguments", `call: its body takes (${inputs.map((n) => typeText(n.type)).join(", ")})`, {
      cause: `it was given (${args.map(typeText).join(", ")})`,
      hint: "give one tensor for each input of the body, in its order",
    });
  }
  return outputs.map((o) => o.node.type);
}

/** Rows that exist for differentiation: they steer it and have no arithmetic of their own. */
export const gradientRows: readonly OpRow[] = [
  {
    name: "stopGradient",
    kind: "composite",
    params: ["x"],
    doc: "x itself, as a constant of differentiation: no derivative goes back through it. Any dtype.",
    infer: ([x]) => x as TensorType,
    decompose: (_, [x]) => x as never,
    accuracy: { ulp: 0 },
  },
  {
    name: "recompute",
    kind: "view",
    params: ["x"],
    attrs: { key: { type: "int", doc: "nodes of different keys are never merged" } },
    doc:
      "x itself, kept apart from x: what is computed from it is not taken from what was already computed from x. A backward pass reads the arguments of a " +
      "checkpointed function through it. Any dtype.",
    infer: ([x]) => x as TensorType,
    view: { map: (_, index) => [...index] },
  },
  {
    name: "call",
    kind: "composite",
    params: ["...args"],
    attrs: {
      body: { type: "graph", doc: "what is computed from the arguments, which are its inputs in order" },
      derivative: {
        type: "graph",
        doc: "the cotangents g<i> of arguments from the arguments a<i>, results r<i> and the results' cotangents c<i>; absent: that of the body",
        default: null,
      },
      recompute: {
        type: "bool",
        doc: "compute the body again in the backward pass instead of keeping its values",
        default: false,
      },
      key: { type: "int", doc: "the key of `recompute`", default: 0 },
    },
    doc: "The results of a graph on the arguments: a function that differentiation treats as a whole.",
    infer: callTypes,
    decompose: (b, args, a) => inline(b, a.body as Graph, args),
    accuracy: { ulp: 0 },
  },
];
