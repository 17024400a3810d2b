import type { DType } from "../base/dtype.ts";
import { type Graph, GraphBuilder, makeGraph } from "../ir/graph.ts";
import { literalNumber, type ReductionBody } from "./body-data.ts";
import { type Constant, Evaluation, isConstant, type Kind, kindOf, type Value } from "./body-values.ts";

export type StateType = "f32" | "i32" | "u32" | "bool";

/**
 * The dtypes of a reduction's states: those that `map` gives, unless `combine` or the identity gives another kind of number, which
 * makes it f32. A mere number is one of f32.
 */
export function stateTypes(body: ReductionBody, mapped: readonly Value[]): StateType[] {
  const identity = body.identity.map(([x, type]): Constant => ({ constant: literalNumber(x), type: type ?? "number" }));
  let types = mapped.map((v, i) => joined(kindOf(v), identity[i] as Constant));
  // A state that has become f32 may make others so; there are as many rounds as states at most.
  for (;;) {
    const made = combined(body, types).types;
    const next = types.map((t, i) => (t === made[i] ? t : "f32"));
    if (next.every((t, i) => t === types[i])) return types;
    types = next;
  }
}

function joined(kind: Kind, identity: Constant): StateType {
  if (kind === "number") return identity.type === "number" || identity.type === "bool" ? "f32" : identity.type;
  if (kind === "bool") return identity.type === "bool" ? "bool" : "f32";
  const whole = Number.isInteger(identity.constant) && (kind !== "u32" || identity.constant >= 0);
  return kind === "f32" || !whole ? "f32" : kind;
}

interface Combined {
  readonly graph: Graph;
  /** What each result is before it is made its state's dtype. */
  readonly types: readonly StateType[];
}

/** The scalar graph of `combine` on states of these dtypes: a0…, b0… to r0…. */
export function combined(body: ReductionBody, types: readonly StateType[]): Combined {
  const b = new GraphBuilder();
  const states = ["a", "b"].flatMap((prefix) =>
    types.map((dtype, i) => b.input(`${prefix}${i}`, { dtype, shape: [] })),
  );
  const e = new Evaluation(b, body.combine, states);
  const found = body.combine.result.map((id, i): StateType => {
    const kind = kindOf(e.value(id));
    // A constant takes the dtype of its state.
    return kind === "number" ? (types[i] as StateType) : kind;
  });
  return {
    types: found,
    graph: makeGraph(
      states,
      body.combine.result.map((id, i) => ({ name: `r${i}`, node: inType(e, id, types[i] as DType) })),
    ),
  };
}

/** A value as a state's dtype. */
export function inType(e: Evaluation, id: number, dtype: DType): ReturnType<Evaluation["node"]> {
  const v = e.value(id);
  return isConstant(v) ? e.constant(v.constant, dtype) : e.cast(v, dtype);
}
