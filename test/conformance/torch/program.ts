import type { DType } from "../../../src/base/dtype.ts";
import { bool, f32, grad, i32, sum, type Tensor } from "../../../src/index.ts";
import type { HostTensor } from "../run.ts";
import type { TorchCase, TorchGradient, TorchOutput, TorchTensor } from "./cases.ts";
import { type Closeness, callTorch, torchDifference } from "./suite.ts";

const specs = { f32, i32, bool };
type Spec = ReturnType<typeof f32 | typeof i32 | typeof bool>;

/** Samples as one program: each by itself, its tensors named after its number. */
export interface TorchProgram {
  readonly specs: Readonly<Record<string, Spec>>;
  readonly fn: (inputs: Record<string, Tensor>) => Record<string, Tensor>;
  readonly inputs: readonly HostTensor[];
  /** What is wrong with a sample's results, or undefined. */
  readonly judge: (
    sample: number,
    results: Readonly<Record<string, Result>>,
    close: TorchCloseness,
  ) => string | undefined;
}

export interface TorchCloseness {
  readonly values: Closeness;
  readonly gradients: (op: string) => Closeness;
}

interface Result {
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly data: ArrayLike<number>;
}

/** Values and gradients of samples. */
export function torchProgram(cases: readonly TorchCase[]): TorchProgram {
  const inputs = cases.flatMap((c, k) => tensorsOf(c).map((t) => ({ ...t, name: `s${k}.${t.name}` })));
  return {
    inputs,
    specs: Object.fromEntries(inputs.map((t) => [t.name, specs[t.dtype as keyof typeof specs](...t.shape)])),
    fn: (given) =>
      Object.assign(
        {},
        ...cases.map((c, k) => {
          const own = Object.fromEntries(tensorsOf(c).map((t) => [t.name, given[`s${k}.${t.name}`] as Tensor]));
          return Object.fromEntries(Object.entries(resultsOf(c, own)).map(([name, t]) => [`s${k}.${name}`, t]));
        }),
      ) as Record<string, Tensor>,
    judge: (k, results, close) => {
      const c = cases[k] as TorchCase;
      const wrong = (name: string, want: TorchOutput, closeness: Closeness): string | undefined => {
        const text = torchDifference(want, results[`s${k}.${name}`] as Result, closeness);
        return text && `${name}${text}`;
      };
      const values = c.outputs.map((want, i) => wrong(`out${i}`, want, close.values));
      const gradients = [...(c.gradient?.grads ?? [])].map(([i, want]) =>
        wrong(`grad${i}`, want, close.gradients(c.op)),
      );
      return [...values, ...gradients].find((text) => text !== undefined);
    },
  };
}

const tensorsOf = (c: TorchCase): readonly TorchTensor[] => [...c.inputs, ...(c.gradient?.cotangents.values() ?? [])];

/** Outputs `out0`, …, and `grad0`, …: the gradient by tensor 0, …. */
function resultsOf(c: TorchCase, inputs: Readonly<Record<string, Tensor>>): Record<string, Tensor> {
  const values = callTorch(c, inputs).map((t, i): [string, Tensor] => [`out${i}`, t]);
  const gradients = c.gradient ? gradientsOf(c, c.gradient, inputs) : {};
  return { ...Object.fromEntries(values), ...gradients };
}

function gradientsOf(c: TorchCase, g: TorchGradient, inputs: Readonly<Record<string, Tensor>>): Record<string, Tensor> {
  const wrt = Object.fromEntries([...g.grads.keys()].map((i) => [`t${i}`, inputs[`t${i}`] as Tensor]));
  const loss = (own: Readonly<Record<string, Tensor>>): Tensor => {
    const outputs = callTorch(c, { ...inputs, ...own });
    return [...g.cotangents]
      .map(([i, ct]) => sum((outputs[i] as Tensor).mul(inputs[ct.name] as Tensor)))
      .reduce((a, b) => a.add(b));
  };
  const made = grad(loss)(wrt);
  return Object.fromEntries(Object.entries(made).map(([name, t]) => [`grad${name.slice(1)}`, t]));
}
