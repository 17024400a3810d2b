import { fail } from "../../base/diagnostic.ts";
import { halfRound } from "../../base/half.ts";
import { type Shape, shapeText } from "../dim.ts";
import type { Attrs, Graph, Node, TensorType } from "../graph.ts";
import { type NDArray, ndarray } from "../ndarray.ts";
import type { AttrSpec, OpRow } from "../op.ts";
import { axesOf, reducedShape } from "./axes.ts";
import { reducedPositions } from "./combine.ts";
import { elementwiseRows } from "./elementwise.ts";
import { sameShape, typeText } from "./infer.ts";

const elementwise = new Map(elementwiseRows.map((r) => [r.name, r.elementwise]));

/** Refuses a combine graph that is not scalar, elementwise and of the states' dtypes. */
function checkCombine(graph: Graph, states: readonly TensorType[]): void {
  const n = states.length;
  const names = (prefix: string): string[] => states.map((_, i) => `${prefix}${i}`);
  const want = [...names("a"), ...names("b")];
  const got = graph.inputs.map((x) => x.attrs.name as string);
  const outputs = graph.outputs.map((o) => o.name);
  const refuse = (message: string, cause: string): never =>
    fail("bad-combine", `reduce: ${message}`, {
      cause,
      hint: `with ${n} states the combine graph maps scalars ${want.join(", ")} to ${names("r").join(", ")}`,
    });
  if ([...got].sort().join() !== [...want].sort().join()) refuse(`its inputs are ${got.join(", ")}`, "wrong inputs");
  if ([...outputs].sort().join() !== names("r").sort().join())
    refuse(`its outputs are ${outputs.join(", ")}`, "wrong outputs");
  const check = (node: Node, name: string): void => {
    const state = states[Number(name.slice(1))] as TensorType;
    if (node.type.dtype !== state.dtype)
      refuse(
        `${name} is ${node.type.dtype} but its state is ${typeText(state)}`,
        "the combination of two states is a state",
      );
  };
  for (const x of graph.inputs) check(x, x.attrs.name as string);
  for (const o of graph.outputs) check(o.node, o.name);
  for (const x of graph.nodes) {
    if (x.type.shape.length > 0)
      refuse(`${x.op} has shape ${shapeText(x.type.shape)}`, "states combine element by element");
    if (!elementwise.has(x.op) && x.op !== "input" && x.op !== "const")
      refuse(`it holds ${x.op}`, "only elementwise ops and constants combine scalars");
  }
}

/**
 * The shape of states that a combine graph joins, after all checks of them: one shape, no f16, an identity each and a combine graph that fits.
 */
export function stateShape(op: string, states: readonly TensorType[], a: Attrs): Shape {
  const first = states[0] ?? fail("bad-arguments", `${op} takes at least one state`, { hint: "give it a tensor" });
  const half = states.find((s) => s.dtype === "f16");
  if (half) {
    fail("dtype-mismatch", `${op}: a state is ${typeText(half)}`, {
      cause: "rounding to f16 at every combination would make the result depend on the order of combining",
      hint: 'cast it to f32 first: cast(x, "f32")',
    });
  }
  const shape = states.reduce((s, t) => sameShape(op, s, t.shape, "the states"), first.shape);
  const identity = a.identity as readonly number[];
  if (identity.length !== states.length) {
    fail("bad-attribute", `${op}: ${states.length} states, but ${identity.length} identities`, {
      hint: "give one number for each state",
    });
  }
  checkCombine(a.combine as Graph, states);
  return shape;
}

function reduceTypes(states: readonly TensorType[], a: Attrs): readonly TensorType[] {
  const shape = stateShape("reduce", states, a);
  const reduced = reducedShape(shape, axesOf("reduce", a.axes, shape), a.keepDims === true);
  return states.map((s) => ({ dtype: s.dtype, shape: reduced }));
}

/** A scalar graph as a function from a0…, b0… to r0…; `states` is n. */
export function scalarFunction(graph: Graph, states: number): (x: Float64Array, out: Float64Array) => void {
  const at = new Map(graph.nodes.map((n, i) => [n, i]));
  const values = new Float64Array(graph.nodes.length);
  const steps: (() => void)[] = [];
  const slots: { to: number; from: number }[] = [];
  graph.nodes.forEach((n, to) => {
    if (n.op === "input") {
      const name = n.attrs.name as string;
      slots.push({ to, from: Number(name.slice(1)) + (name.startsWith("b") ? states : 0) });
    } else if (n.op === "const") values[to] = n.attrs.value as number;
    else
      steps.push(
        step(
          n,
          to,
          n.args.map((a) => at.get(a) as number),
          values,
        ),
      );
  });
  const results = graph.outputs.map((o) => ({ to: Number(o.name.slice(1)), from: at.get(o.node) as number }));
  return (x, out) => {
    for (const s of slots) values[s.to] = x[s.from] as number;
    for (const run of steps) run();
    for (const r of results) out[r.to] = values[r.from] as number;
  };
}

function step(n: Node, to: number, from: readonly number[], values: Float64Array): () => void {
  const cpu = elementwise.get(n.op)?.cpu ?? fail("bad-combine", `reduce: ${n.op} is not elementwise`);
  const dtypes = { args: n.args.map((a) => a.type.dtype), result: n.type.dtype };
  const round = n.type.dtype === "f16" ? halfRound : (v: number) => v;
  const x = from.map(() => 0);
  return () => {
    from.forEach((f, i) => {
      x[i] = values[f] as number;
    });
    values[to] = round(cpu(x, dtypes, n.attrs));
  };
}

function evaluate(states: readonly NDArray[], a: Attrs, types: readonly TensorType[]): NDArray[] {
  const n = states.length;
  const identity = a.identity as readonly number[];
  const out = types.map((t, s) => {
    const array = ndarray(t.dtype, t.shape as number[]);
    array.data.fill(identity[s] as number);
    return array;
  });
  const combine = scalarFunction(a.combine as Graph, n);
  const positions = reducedPositions((states[0] as NDArray).shape, a.axes as number[]);
  const x = new Float64Array(2 * n);
  const r = new Float64Array(n);
  positions.forEach((p, i) => {
    for (let s = 0; s < n; s++) {
      x[s] = out[s]?.data[p] as number;
      x[n + s] = states[s]?.data[i] as number;
    }
    combine(x, r);
    out.forEach((array, s) => {
      array.data[p] = r[s] as number;
    });
  });
  return out;
}

/** Attributes that say how states are joined. */
export const combineAttrs: Readonly<Record<string, AttrSpec>> = {
  combine: {
    type: "graph",
    doc: "scalars a0…, b0… to r0…: the combination of two states, associative",
  },
  identity: { type: "floats", doc: "for each state the value that combines with any x to x" },
};

export const reduceRow: OpRow = {
  name: "reduce",
  kind: "reduction",
  params: ["...states"],
  attrs: {
    axes: { type: "ints", doc: "axes to reduce, ascending" },
    keepDims: { type: "bool", doc: "keep reduced axes with size 1", default: false },
    ...combineAttrs,
  },
  doc:
    "Reduces n tensors of one shape together over axes: element by element they are states that `combine` joins two by two, in any " +
    "order. One result for each state. dtypes: f32, i32, u32, bool.",
  infer: reduceTypes,
  evaluate,
};
