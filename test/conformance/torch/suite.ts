import type { DType } from "../../../src/base/dtype.ts";
import type { Tensor } from "../../../src/index.ts";
import { sharedFile } from "../../support/shared.ts";
import { readTorchCases, type TorchCase, type TorchOutput, type TorchTensor, type Value } from "./cases.ts";
import { layers } from "./layers.ts";
import { losses } from "./losses.ts";
import { pointwise } from "./pointwise.ts";
import { reductions } from "./reductions.ts";
import { indexed, joins, shapes } from "./shapes.ts";
import type { Arg, TorchOperator } from "./values.ts";

const operators: Readonly<Record<string, TorchOperator>> = {
  ...pointwise,
  ...reductions,
  ...shapes,
  ...indexed,
  ...layers,
  ...losses,
};

/** Why a sample has no form in the DSL. */
function outOfScope(c: TorchCase): string | undefined {
  if (c.op === "cumprod" || c.op === "cummax") return `no scan of products or maxima (${c.op})`;
  if (c.op.includes("pool")) return "pooling";
  if (c.op === "nn.functional.batch_norm.without_cudnn") return "normalisation of bool";
  if (c.kwargs.max_norm !== undefined && c.kwargs.max_norm !== null) return "embedding that renormalises its table";
  return undefined;
}

export interface TorchSuite {
  readonly byOp: ReadonlyMap<string, readonly TorchCase[]>;
  /** Number of samples left out, by reason. */
  readonly left: ReadonlyMap<string, number>;
}

/** PyTorch's samples; undefined (after one line) where the data are not there. */
export function loadTorchSuite(tests: string): TorchSuite | undefined {
  const path = sharedFile("conformance/torch_grad.jsonl", tests);
  if (!path) return undefined;
  const byOp = new Map<string, TorchCase[]>();
  const left = new Map<string, number>();
  for (const c of readTorchCases(path)) {
    const reason = outOfScope(c);
    if (reason) left.set(reason, (left.get(reason) ?? 0) + 1);
    else if (!operators[c.op] && !joins[c.op]) throw new Error(`${c.op} is neither in the tables nor out of scope`);
    else byOp.set(c.op, [...(byOp.get(c.op) ?? []), c]);
  }
  return { byOp, left };
}

/** How many samples run and what they are checked for, and how many do not, by reason. */
export function scopeText({ byOp, left }: TorchSuite): string {
  const run = [...byOp.values()].flat();
  const withGradient = run.filter((c) => c.gradient);
  const gradients = withGradient.reduce((n, c) => n + (c.gradient?.grads.size ?? 0), 0);
  return [
    `${run.length} samples of ${byOp.size} operators: values of all, ${gradients} gradients of ${withGradient.length}`,
    `  ${run.length - withGradient.length} × no differentiable output`,
    "not run:",
    ...[...left].map(([reason, n]) => `  ${n} × ${reason}`),
  ].join("\n");
}

const isCaseTensor = (v: Value<TorchTensor>): v is TorchTensor =>
  typeof v === "object" && v !== null && !Array.isArray(v) && "data" in v;

/** The sample's call in the DSL: its outputs. `inputs` are the tensors among its arguments, by name. */
export function callTorch(c: TorchCase, inputs: Readonly<Record<string, Tensor>>): readonly Tensor[] {
  const value = (v: Value<TorchTensor>): Arg => {
    if (Array.isArray(v)) return (v as readonly Value<TorchTensor>[]).map(value);
    if (!isCaseTensor(v)) return v as Arg;
    // The start of `narrow` may be a tensor, but decides what part of the data is meant.
    return c.op === "narrow" && v.dtype === "i32" ? (v.data[0] as number) : (inputs[v.name] as Tensor);
  };
  const x = value(c.input);
  const args = c.args.map(value);
  const kwargs = Object.fromEntries(Object.entries(c.kwargs).map(([k, v]) => [k, value(v)]));
  const join = joins[c.op];
  const made = join
    ? join(x as readonly Tensor[], args, kwargs.dim)
    : (operators[c.op] as TorchOperator)(x as Tensor, args, kwargs);
  const list = Array.isArray(made) ? (made as readonly Tensor[]) : [made as Tensor];
  return list.slice(0, c.outputs.length);
}

/** How far a number may be from the reference's: atol + rtol * its magnitude, or that of the tensor's largest number. */
export interface Closeness {
  readonly rtol: number;
  readonly atol: number;
  readonly relativeTo?: "element" | "largest";
}

/** What is wrong with an output, or undefined. Integers and truth values are exact. */
export function torchDifference(
  want: TorchOutput,
  got: { readonly dtype: DType; readonly shape: readonly number[]; readonly data: ArrayLike<number> },
  { rtol, atol, relativeTo }: Closeness,
): string | undefined {
  if (want.shape.join() !== got.shape.join()) return `shape [${got.shape}], expected [${want.shape}]`;
  const exact = want.type === "bool" || want.type.startsWith("i");
  if (exact !== (got.dtype !== "f32")) return `dtype ${got.dtype}, expected ${want.type}`;
  const largest =
    relativeTo === "largest" ? want.data.reduce((m, w) => (Number.isFinite(w) ? Math.max(m, Math.abs(w)) : m), 0) : 0;
  for (let i = 0; i < want.data.length; i++) {
    const [w, g] = [want.data[i] as number, got.data[i] as number];
    // Beyond f32 an exact result can only appear as infinity.
    const limit = exact ? 0 : atol + rtol * Math.max(Math.abs(w), largest);
    const same = Object.is(w, g) || w === g || (Number.isNaN(w) && Number.isNaN(g)) || Math.fround(w) === g;
    if (!same && !(Math.abs(w - g) <= limit)) return `[${i}] is ${g}, expected ${w}`;
  }
  return undefined;
}
