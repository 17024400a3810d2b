import { fail } from "../../base/diagnostic.ts";
import { type Shape, shapeSize } from "../dim.ts";
import type { Attrs, GraphBuilder, Node, TensorType } from "../graph.ts";
import type { AttrSpec, OpRow } from "../op.ts";
import { tensorType } from "./axes.ts";
import { sliceAxis } from "./composite-helpers.ts";
import { typeText } from "./infer.ts";

const attrs: Readonly<Record<string, AttrSpec>> = {
  shape: { type: "shape", doc: "shape of the result" },
  stream: { type: "int", doc: "number of an independent sequence of the same seed", default: 0 },
};
const seedDoc = "Counter-based (Philox-4x32-10): a function of seed (u32[2]), stream and position only.";

function checkSeed(op: string, seed: TensorType): void {
  if (seed.dtype === "u32" && seed.shape.length === 1 && (typeof seed.shape[0] !== "number" || seed.shape[0] === 2))
    return;
  fail("bad-seed", `${op}: the seed is ${typeText(seed)}`, {
    cause: "a seed is u32[2]",
    hint: "give two 32-bit words",
  });
}

const bits = (b: GraphBuilder, seed: Node, shape: Shape, a: Attrs): Node =>
  b.add("philox", [seed], { shape, stream: a.stream ?? 0 });

/** The upper 24 bits of u32 as an integer-valued f32: all of them are exact. */
const upper = (b: GraphBuilder, x: Node): Node =>
  b.add("cast", [b.add("shiftRight", [x, b.const(8, "u32")])], { dtype: "f32" });

const unit = (b: GraphBuilder, x: Node): Node => b.add("mul", [x, b.const(2 ** -24, "f32")]);

const uniform = (b: GraphBuilder, seed: Node, a: Attrs): Node => unit(b, upper(b, bits(b, seed, a.shape as Shape, a)));

/** Box and Muller (1958): sqrt(-2 ln u) cos(2 pi v), u in (0, 1] so that the logarithm is finite. Both words come from one block. */
function normal(b: GraphBuilder, seed: Node, a: Attrs): Node {
  const shape = a.shape as Shape;
  const n = shapeSize(shape);
  const words = bits(b, seed, [n, 2], a);
  const word = (i: number): Node => upper(b, b.add("reshape", [sliceAxis(b, words, 1, i, 1)], { shape }));
  const u = unit(b, b.add("add", [word(0), b.const(1, "f32")]));
  const radius = b.add("sqrt", [b.add("mul", [b.add("log", [u]), b.const(-2, "f32")])]);
  const angle = b.add("mul", [word(1), b.const(2 * Math.PI * 2 ** -24, "f32")]);
  return b.add("mul", [radius, b.add("cos", [angle])]);
}

export const randomComposites: readonly OpRow[] = [
  {
    name: "uniform",
    kind: "composite",
    params: ["seed"],
    attrs,
    doc: `f32 in [0, 1), multiples of 2^-24. ${seedDoc}`,
    infer: ([seed], a) => {
      checkSeed("uniform", seed as TensorType);
      return tensorType("uniform", "f32", a.shape as Shape);
    },
    decompose: (b, [seed], a) => uniform(b, seed as Node, a),
    accuracy: { ulp: 0 },
  },
  {
    name: "normal",
    kind: "composite",
    params: ["seed"],
    attrs,
    doc: `f32 with mean 0 and variance 1, by Box and Muller's transform. ${seedDoc}`,
    infer: ([seed], a) => {
      checkSeed("normal", seed as TensorType);
      return tensorType("normal", "f32", a.shape as Shape);
    },
    decompose: (b, [seed], a) => normal(b, seed as Node, a),
    // WGSL bounds cos by 2^-11 absolutely; the radius is at most sqrt(2 * 24 * ln 2) = 5.77.
    accuracy: { atol: 6 * 2 ** -11 },
  },
  {
    name: "bernoulli",
    kind: "composite",
    params: ["seed"],
    attrs: { ...attrs, p: { type: "float", doc: "probability of true" } },
    doc: `bool, true with probability p. ${seedDoc}`,
    infer: ([seed], a) => {
      checkSeed("bernoulli", seed as TensorType);
      const p = a.p as number;
      if (!(p >= 0 && p <= 1)) {
        fail("bad-attribute", `bernoulli: p is ${p}`, {
          cause: "a probability is between 0 and 1",
          hint: "give 0 <= p <= 1",
        });
      }
      return tensorType("bernoulli", "bool", a.shape as Shape);
    },
    decompose: (b, [seed], a) => b.add("less", [uniform(b, seed as Node, a), b.const(a.p as number, "f32")]),
    accuracy: { ulp: 0 },
  },
];
