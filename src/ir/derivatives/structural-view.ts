import { type Dim, dimAdd, dimMul, dimSub, type Shape, shapeSize } from "../dim.ts";
import type { Attrs, GraphBuilder, Node, TensorType } from "../graph.ts";
import { count } from "../ndarray.ts";
import type { Derivative } from "../op.ts";
import { range, splice } from "../ops/axes.ts";
import { reshape, sliceAxis, transpose } from "../ops/composite-helpers.ts";
import { packLayout } from "../ops/memory.ts";
import { sumTo } from "./helpers.ts";

/** `ct` between zeros: `low` before and `high` after it on each axis. */
const padZeros = (b: GraphBuilder, ct: Node, low: Shape, high: Shape): Node =>
  [...low, ...high].every((d) => d === 0) ? ct : b.add("pad", [ct], { low, high, mode: "constant", value: 0 });

/** `ct` at `start` of an axis that has `size` elements, zeros elsewhere. */
function place(b: GraphBuilder, ct: Node, axis: number, start: Dim, size: Dim): Node {
  const only = (d: Dim): Dim[] => ct.type.shape.map((_, i) => (i === axis ? d : 0));
  const after = dimSub(dimSub(size, start), ct.type.shape[axis] as Dim);
  return padZeros(b, ct, only(start), only(after));
}

const reverse = (b: GraphBuilder, x: Node, axes: readonly number[]): Node =>
  axes.length ? b.add("flip", [x], { axes }) : x;

/** `step - 1` zeros between neighbours of an axis. */
function spread(b: GraphBuilder, x: Node, axis: number, step: number): Node {
  const { shape } = x.type;
  const size = shape[axis] as Dim;
  if (step === 1 || size === 0 || size === 1) return x;
  const [before, after] = [shapeSize(shape.slice(0, axis)), shapeSize(shape.slice(axis + 1))];
  const apart = padZeros(b, reshape(b, x, [before, size, 1, after]), [0, 0, 0, 0], [0, 0, step - 1, 0]);
  const wide = reshape(b, apart, splice(shape, axis, 1, dimMul(size, step)));
  return sliceAxis(b, wide, axis, 0, spanOf(size, step));
}

/** How many elements a slice of `size` elements reaches over. */
const spanOf = (size: Dim, step: number): Dim => (size === 0 ? 0 : dimAdd(dimMul(dimSub(size, 1), step), 1));

const slice: Derivative = ({ b, node, args, ct }) => {
  const { starts, steps, sizes } = node.attrs as { starts: Shape; steps: readonly number[]; sizes: Shape };
  const back = range(steps.length).filter((i) => (steps[i] as number) < 0);
  const forward = reverse(b, ct, back);
  const apart = steps.reduce((x, step, i) => spread(b, x, i, Math.abs(step)), forward);
  const spans = sizes.map((size, i) => spanOf(size, Math.abs(steps[i] as number)));
  const low = starts.map((start, i): Dim => {
    if (sizes[i] === 0) return 0;
    return back.includes(i) ? dimAdd(dimSub(start, spans[i] as Dim), 1) : start;
  });
  const high = (args[0] as Node).type.shape.map((n, i) => dimSub(dimSub(n, low[i] as Dim), spans[i] as Dim));
  return [padZeros(b, apart, low, high)];
};

const tile: Derivative = ({ b, node, args, ct }) => {
  const { shape } = (args[0] as Node).type;
  let out = ct;
  (node.attrs.repeats as readonly number[]).forEach((repeats, i) => {
    if (repeats === 1) return;
    const [before, after] = [shapeSize(shape.slice(0, i)), shapeSize(out.type.shape.slice(i + 1))];
    const apart = reshape(b, out, [before, repeats, shape[i] as Dim, after]);
    const sum = b.add("sum", [apart], { axes: [1], keepDims: false });
    out = reshape(b, sum, splice(out.type.shape, i, 1, shape[i] as Dim));
  });
  return [out];
};

/** What the elements that `mode` adds before and after an axis give back to it. `at` is where they join the axis. */
type Fold = (b: GraphBuilder, part: Node, axis: number) => Node;
const folds: Readonly<Record<string, { readonly fold: Fold; readonly inset: number }>> = {
  edge: { fold: (b, part, axis) => b.add("sum", [part], { axes: [axis], keepDims: true }), inset: 0 },
  reflection: { fold: (b, part, axis) => reverse(b, part, [axis]), inset: 1 },
  symmetric: { fold: (b, part, axis) => reverse(b, part, [axis]), inset: 0 },
};

function padAxis(b: GraphBuilder, ct: Node, axis: number, low: Dim, high: Dim, size: Dim, mode: string): Node {
  if (low === 0 && high === 0) return ct;
  let out = sliceAxis(b, ct, axis, low, size);
  const how = folds[mode];
  if (!how) return out;
  const join = (start: Dim, width: Dim, to: (folded: Dim) => Dim): void => {
    if (width === 0) return;
    const part = how.fold(b, sliceAxis(b, ct, axis, start, width), axis);
    out = b.add("add", [out, place(b, part, axis, to(part.type.shape[axis] as Dim), size)]);
  };
  join(0, low, () => how.inset);
  join(dimAdd(low, size), high, (folded) => dimSub(dimSub(size, how.inset), folded));
  return out;
}

const pad: Derivative = ({ b, node, args, ct }) => {
  const { low, high, mode } = node.attrs as { low: Shape; high: Shape; mode: string };
  const { shape } = (args[0] as Node).type;
  // The axes are padded one after another, so they are folded one after another.
  return [shape.reduce((x, n, i) => padAxis(b, x, i, low[i] as Dim, high[i] as Dim, n, mode), ct)];
};

/** The parts of `ct` along an axis, one for each of the tensors that were joined. */
function cut(
  b: GraphBuilder,
  ct: Node,
  axis: number,
  sizes: Shape,
  needs: (i: number) => boolean,
): (Node | undefined)[] {
  let start: Dim = 0;
  return sizes.map((size, i) => {
    const part = needs(i) ? sliceAxis(b, ct, axis, start, size) : undefined;
    start = dimAdd(start, size);
    return part;
  });
}

function window(b: GraphBuilder, ct: Node, x: TensorType, a: Attrs): Node {
  const [n, size] = [count(x.shape as number[]), count(a.shape as number[])];
  const start = a.start as number;
  return reshape(b, padZeros(b, reshape(b, ct, [size]), [start], [n - start - size]), x.shape);
}

export const viewDerivatives: Readonly<Record<string, Derivative | null>> = {
  reshape: ({ b, args, ct }) => [reshape(b, ct, (args[0] as Node).type.shape)],
  transpose: ({ b, node, ct }) => {
    const perm = node.attrs.perm as readonly number[];
    return [
      transpose(
        b,
        ct,
        range(perm.length).map((i) => perm.indexOf(i)),
      ),
    ];
  },
  expand: ({ b, args, ct }) => [sumTo(b, ct, (args[0] as Node).type.shape)],
  slice,
  tile,
  pad,
  concat: ({ b, node, args, ct, needs }) => {
    const axis = node.attrs.axis as number;
    return cut(
      b,
      ct,
      axis,
      args.map((x) => x.type.shape[axis] as Dim),
      needs,
    );
  },
  pack: ({ b, args, ct, needs }) => {
    const { offsets } = packLayout(args.map((x) => x.type));
    return args.map((x, i) =>
      needs(i) ? b.add("window", [ct], { start: offsets[i], shape: x.type.shape }) : undefined,
    );
  },
  window: ({ b, node, args, ct }) => [window(b, ct, (args[0] as Node).type, node.attrs)],
};
