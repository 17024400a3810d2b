import { concreteDim } from "../dim.ts";
import type { Attrs, Graph, GraphBuilder, Node, TensorType } from "../graph.ts";
import { count, type NDArray, ndarray } from "../ndarray.ts";
import type { OpRow } from "../op.ts";
import { axisOf } from "./axes.ts";
import { wrap } from "./combine.ts";
import { combineStates } from "./combine-states.ts";
import { sliceAxis } from "./composite-helpers.ts";
import { requireNumber } from "./infer.ts";
import { combineAttrs, scalarFunction, stateShape } from "./reduce.ts";

/** Calls `fn` with the offset of every element of each line along an axis, in order or from the end. */
function forEachLine(
  shape: readonly number[],
  axis: number,
  reverse: boolean,
  start: () => void,
  fn: (at: number) => void,
): void {
  const n = shape[axis] as number;
  const inner = count(shape.slice(axis + 1));
  for (let line = 0; line < (n === 0 ? 0 : count(shape) / n); line++) {
    const base = Math.floor(line / inner) * n * inner + (line % inner);
    start();
    for (let i = 0; i < n; i++) fn(base + (reverse ? n - 1 - i : i) * inner);
  }
}

function scanStates(states: readonly NDArray[], a: Attrs): NDArray[] {
  const n = states.length;
  const shape = (states[0] as NDArray).shape;
  const out = states.map((s) => ndarray(s.dtype, s.shape));
  const combine = scalarFunction(a.combine as Graph, n);
  const reverse = a.reverse === true;
  const [state, x, next] = [new Float64Array(n), new Float64Array(2 * n), new Float64Array(n)];
  const start = (): void => state.set(a.identity as number[]);
  forEachLine(shape, a.axis as number, reverse, start, (at) => {
    states.forEach((s, i) => {
      (out[i] as NDArray).data[at] = state[i] as number;
      x[reverse ? i : n + i] = s.data[at] as number;
    });
    x.set(state, reverse ? n : 0);
    combine(x, next);
    state.set(next);
  });
  return out;
}

/**
 * The same by doubling: after step k each element holds the combination of up to 2^k elements that end with it; then all move
 * on by one. Hillis and Steele, "Data parallel algorithms", 1986. Only differentiation goes this way.
 */
function scanByDoubling(b: GraphBuilder, args: readonly Node[], a: Attrs): readonly Node[] {
  const axis = a.axis as number;
  const n = concreteDim((args[0] as Node).type.shape[axis] ?? 0);
  const reverse = a.reverse === true;
  let states = args;
  for (let step = 1; step < n; step *= 2) {
    const [first, last] = [0, step].map((start) => states.map((s) => sliceAxis(b, s, axis, start, n - step)));
    const joined = combineStates(b, a.combine as Graph, first as Node[], last as Node[]);
    states = states.map((s, i) => {
      const alone = sliceAxis(b, s, axis, reverse ? n - step : 0, step);
      const both = joined[i] as Node;
      return b.add("concat", reverse ? [both, alone] : [alone, both], { axis });
    });
  }
  const identity = a.identity as readonly number[];
  const ends = (before: number): number[] => (args[0] as Node).type.shape.map((_, i) => (i === axis ? before : 0));
  return states.map((s, i) => {
    if (n === 0) return s;
    const rest = sliceAxis(b, s, axis, reverse ? 1 : 0, n - 1);
    const [low, high] = reverse ? [0, 1] : [1, 0];
    return b.add("pad", [rest], {
      low: ends(low as number),
      high: ends(high as number),
      mode: "constant",
      value: identity[i],
    });
  });
}

export const scanRows: readonly OpRow[] = [
  {
    name: "cumSum",
    kind: "scan",
    params: ["x"],
    attrs: {
      axis: { type: "int", doc: "axis to sum along" },
      exclusive: { type: "bool", doc: "leave the element itself out of its sum", default: false },
      reverse: { type: "bool", doc: "sum from the end", default: false },
    },
    doc:
      "out[i] = the sum of x[0..i] along an axis (exclusive: x[0..i-1]; reverse: x[i..n-1]). f16 accumulates in f32, integers wrap. " +
      "dtypes: f32, f16, i32, u32.",
    infer: ([t], a) => {
      const x = t as TensorType;
      axisOf("cumSum", a.axis, x.shape);
      return { dtype: requireNumber("cumSum", x), shape: x.shape };
    },
    evaluate: ([t], a) => {
      const x = t as NDArray;
      const out = ndarray(x.dtype, x.shape);
      let sum = 0;
      const start = (): void => {
        sum = 0;
      };
      forEachLine(x.shape, a.axis as number, a.reverse === true, start, (at) => {
        const next = wrap(x.dtype, sum + (x.data[at] as number));
        out.data[at] = a.exclusive ? sum : next;
        sum = next;
      });
      return [out];
    },
    accuracy: { ulp: (n) => Math.max(1, n) },
  },
  {
    name: "exclusiveScan",
    kind: "scan",
    params: ["...states"],
    attrs: {
      axis: { type: "int", doc: "axis to go along" },
      reverse: { type: "bool", doc: "combine what follows each element instead of what precedes it", default: false },
      ...combineAttrs,
    },
    doc:
      "For each element of n tensors of one shape the combination of all elements before it along an axis (reverse: after it), in their order; the identity " +
      "where there is none. States and their combination as in reduce. One result for each state. dtypes: f32, i32, u32, bool.",
    infer: (states, a) => {
      const shape = stateShape("exclusiveScan", states, a);
      axisOf("exclusiveScan", a.axis, shape);
      return states.map((s) => ({ dtype: s.dtype, shape }));
    },
    evaluate: scanStates,
    decompose: scanByDoubling,
  },
];
