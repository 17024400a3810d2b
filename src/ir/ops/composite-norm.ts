import { fail } from "../../base/diagnostic.ts";
import { type Dim, dimFloorDiv, dimMul, isSym, type Shape, shapeSize } from "../dim.ts";
import type { Attrs, GraphBuilder, Node, TensorType } from "../graph.ts";
import type { AttrSpec, OpRow } from "../op.ts";
import { axisList, axisOf, range } from "./axes.ts";
import {
  alongAxes,
  cast,
  epsilon,
  epsilonOf,
  has,
  inF32,
  optionals,
  requireParam,
  reshape,
  scalar,
} from "./composite-helpers.ts";
import { requireFloat, requireRank, typeText } from "./infer.ts";

export const affine = ["scale", "bias"];
const accumulated = "dtypes: f32, f16 (computed in f32; parameters of x's dtype or f32).";

export const meanOf = (b: GraphBuilder, x: Node, axes: readonly number[]): Node =>
  b.add("mean", [x], { axes, keepDims: true });

/** 1 / sqrt(mean of squares + epsilon) over axes. */
function inverseRoot(b: GraphBuilder, x: Node, axes: readonly number[], eps: number): Node {
  const square = meanOf(b, b.add("mul", [x, x]), axes);
  return b.add("rsqrt", [b.add("add", [square, scalar(b, eps, x)])]);
}

/**
 * x - mean and 1 / sqrt(variance + epsilon) over axes, the variance from centred values: one pass over squares would
 * cancel.
 */
export function standardised(
  b: GraphBuilder,
  x: Node,
  axes: readonly number[],
  eps: number,
): { centred: Node; inverse: Node } {
  const centred = b.add("sub", [x, meanOf(b, x, axes)]);
  return { centred, inverse: inverseRoot(b, centred, axes, eps) };
}

/** Layer normalisation without parameters. */
const plainNorm = (b: GraphBuilder, x: Node, axes: readonly number[], eps: number): Node =>
  b.add("layerNorm", [x], { axes, epsilon: eps });

/** x * scale + bias, with parameters along `axes` of x. */
function applyAffine(b: GraphBuilder, x: Node, axes: readonly number[], scale?: Node, bias?: Node): Node {
  const along = (p: Node): Node => cast(b, alongAxes(b, p, axes, x.type.shape.length), x.type.dtype);
  const scaled = scale ? b.add("mul", [x, along(scale)]) : x;
  return bias ? b.add("add", [scaled, along(bias)]) : scaled;
}

/** A normalisation with optional scale and bias of the shape that `paramAxes` has in x. */
function normRow(row: {
  readonly name: string;
  readonly optional: readonly string[];
  readonly attrs: Readonly<Record<string, AttrSpec>>;
  readonly doc: string;
  check?(x: TensorType, a: Attrs): void;
  paramAxes(x: Shape, a: Attrs): readonly number[];
  core(b: GraphBuilder, x: Node, a: Attrs): Node;
  readonly ulp: number | ((n: number) => number);
}): OpRow {
  const { name, optional } = row;
  return {
    name,
    kind: "composite",
    params: ["x", ...optional.map((p) => `${p}?`)],
    attrs: { ...row.attrs, epsilon, has },
    doc: `${row.doc} ${accumulated}`,
    infer: (args, a) => {
      const x = args[0] as TensorType;
      requireFloat(name, x);
      row.check?.(x, a);
      const shape = row.paramAxes(x.shape, a).map((i) => x.shape[i] as Dim);
      optionals(name, args, a, 1, optional).forEach((p, i) => {
        requireParam(name, optional[i] as string, p, x, shape);
      });
      return x;
    },
    decompose: (b, args, a) => {
      const [scale, bias] = optionals(name, args, a, 1, optional);
      return inF32(b, args[0] as Node, (x) =>
        applyAffine(b, row.core(b, x, a), row.paramAxes(x.type.shape, a), scale, bias),
      );
    },
    accuracy: { ulp: row.ulp },
  };
}

const axes: AttrSpec = { type: "ints", doc: "axes to normalise over; scale and bias have their sizes in this order" };
const axesOf = (a: Attrs): readonly number[] => a.axes as readonly number[];
export const ascending = (a: Attrs): readonly number[] => axesOf(a).toSorted((p, q) => p - q);

const channels = (x: Shape, a: Attrs): number => (a.layout === "nhwc" ? x.length - 1 : 1);

function groupShape(x: Shape, groups: number): Shape {
  const inner = dimMul(dimFloorDiv(x[1] as Dim, groups), shapeSize(x.slice(2)));
  return [x[0] as Dim, groups, inner];
}

function checkGroups(x: TensorType, a: Attrs): void {
  requireRank("groupNorm", x, 2);
  const [c, groups] = [x.shape[1] as Dim, a.groups as number];
  if (Number.isInteger(groups) && groups > 0 && (isSym(c) || c % groups === 0)) return;
  fail("bad-attribute", `groupNorm: ${groups} groups do not divide the channels of ${typeText(x)}`, {
    cause: "axis 1 holds the channels",
    hint: "choose a divisor of the number of channels",
  });
}

function batchNormType(args: readonly TensorType[], a: Attrs): TensorType {
  const [x, mean, variance] = args as [TensorType, TensorType, TensorType];
  requireFloat("batchNorm", x);
  const shape = [x.shape[axisOf("batchNorm", a.axis, x.shape)] as Dim];
  const [scale, bias] = optionals("batchNorm", args, a, 3, affine);
  for (const [name, p] of Object.entries({ mean, variance, scale, bias })) requireParam("batchNorm", name, p, x, shape);
  return x;
}

function batchNorm(b: GraphBuilder, x: Node, args: readonly Node[], a: Attrs): Node {
  const [scale, bias] = optionals("batchNorm", args, a, 3, affine);
  const axes = [a.axis as number];
  const along = (p: Node): Node => alongAxes(b, cast(b, p, "f32"), axes, x.type.shape.length);
  const centred = b.add("sub", [x, along(args[1] as Node)]);
  const variance = along(args[2] as Node);
  const normal = b.add("mul", [centred, b.add("rsqrt", [b.add("add", [variance, scalar(b, epsilonOf(a), variance)])])]);
  return applyAffine(b, normal, axes, scale, bias);
}

export const normComposites: readonly OpRow[] = [
  normRow({
    name: "layerNorm",
    optional: affine,
    attrs: { axes },
    doc: "(x - mean) / sqrt(variance + epsilon) * scale + bias, mean and variance over axes.",
    check: (x, a) => void axisList("layerNorm", a.axes, x.shape),
    paramAxes: (_, a) => axesOf(a),
    core: (b, x, a) => {
      const { centred, inverse } = standardised(b, x, ascending(a), epsilonOf(a));
      return b.add("mul", [centred, inverse]);
    },
    ulp: 14,
  }),
  normRow({
    name: "rmsNorm",
    optional: ["scale"],
    attrs: { axes },
    doc: "x / sqrt(mean(x^2) + epsilon) * scale, the mean over axes.",
    check: (x, a) => void axisList("rmsNorm", a.axes, x.shape),
    paramAxes: (_, a) => axesOf(a),
    core: (b, x, a) => b.add("mul", [x, inverseRoot(b, x, ascending(a), epsilonOf(a))]),
    ulp: 14,
  }),
  {
    name: "batchNorm",
    kind: "composite",
    params: ["x", "mean", "variance", "scale?", "bias?"],
    attrs: { axis: { type: "int", doc: "axis of the channels" }, epsilon, has },
    doc: `(x - mean) / sqrt(variance + epsilon) * scale + bias with given statistics (inference); parameters are [C]. ${accumulated}`,
    infer: batchNormType,
    decompose: (b, args, a) => inF32(b, args[0] as Node, (x) => batchNorm(b, x, args, a)),
    accuracy: { ulp: 6 },
  },
  normRow({
    name: "groupNorm",
    optional: affine,
    attrs: { groups: { type: "int", doc: "number of groups that the channels divide into" } },
    doc: "x [N, C, ...] normalised over each group of channels and all later axes, then * scale + bias; parameters are [C].",
    check: checkGroups,
    paramAxes: () => [1],
    core: (b, x, a) => {
      const grouped = reshape(b, x, groupShape(x.type.shape, a.groups as number));
      return reshape(b, plainNorm(b, grouped, [2], epsilonOf(a)), x.type.shape);
    },
    ulp: 840,
  }),
  normRow({
    name: "instanceNorm",
    optional: affine,
    attrs: { layout: { type: "string", doc: "where the channels are", default: "nchw", oneOf: ["nchw", "nhwc"] } },
    doc: "x [N, C, ...] (nhwc: [N, ..., C]) normalised over all axes but the first and the channels, then * scale + bias; parameters are [C].",
    check: (x) => requireRank("instanceNorm", x, 3),
    paramAxes: (x, a) => [channels(x, a)],
    core: (b, x, a) => {
      const c = channels(x.type.shape, a);
      const spatial = range(x.type.shape.length).filter((i) => i !== 0 && i !== c);
      return plainNorm(b, x, spatial, epsilonOf(a));
    },
    ulp: 840,
  }),
];
