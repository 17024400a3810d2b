import { f16, f32, i32, type Tensor, u32 } from "../../../src/index.ts";
import type { CaseTensor, WebnnCase } from "./cases.ts";
import { applyOperator } from "./operators.ts";

const specs = { f32, f16, i32, u32 };

/** The input specification of a case: one entry a tensor, under WebNN's names. */
export function specsOf(c: WebnnCase): Record<string, ReturnType<typeof f32 | typeof f16 | typeof i32 | typeof u32>> {
  return Object.fromEntries(c.inputs.map((t) => [t.name, specs[t.dtype as keyof typeof specs](...t.shape)]));
}

/** The case's graph of operators as a function of the DSL. */
export function traced(c: WebnnCase): (inputs: Record<string, Tensor>) => Record<string, Tensor> {
  return (inputs) => {
    const env = new Map(Object.entries(inputs));
    for (const op of c.operators) for (const [name, t] of applyOperator(op, env)) env.set(name, t);
    return Object.fromEntries(c.outputs.map((t) => [t.name, env.get(t.name) as Tensor]));
  };
}

/** The elements of a case's tensor, a fill written out. */
export function elements(t: CaseTensor): readonly number[] {
  if (!t.fill) return t.data;
  return new Array<number>(t.shape.reduce((n, d) => n * d, 1)).fill(t.data[0] as number);
}
