import { fail } from "../../base/diagnostic.ts";
import type { DType } from "../../base/dtype.ts";
import { type Dim, isConcrete, type Shape } from "../dim.ts";
import type { Attrs, TensorType } from "../graph.ts";
import { count, type NDArray, ndarray } from "../ndarray.ts";
import type { OpRow } from "../op.ts";
import { tensorType } from "./axes.ts";
import { sameShape, typeText } from "./infer.ts";

/** One buffer of a `wgsl` node: what the attributes say of it. */
export interface OwnBinding {
  readonly name: string;
  /** Number in the text. */
  readonly binding: number;
  readonly dtype: DType;
  /** The argument and the result bound to it; both for one that is read and replaced. */
  readonly argument: number | undefined;
  readonly result: number | undefined;
  /** The tensor has a multiple of so many elements; negative: exactly as many. */
  readonly unit: number;
}

const optional = (i: number): number | undefined => (i < 0 ? undefined : i);

export function ownBindings(a: Attrs): readonly OwnBinding[] {
  const dtypes = (a.dtypes as string).split(" ");
  return (a.names as string).split(" ").map((name, i) => ({
    name,
    binding: (a.bindings as number[])[i] as number,
    dtype: dtypes[i] as DType,
    argument: optional((a.arguments as number[])[i] as number),
    result: optional((a.results as number[])[i] as number),
    unit: (a.units as number[])[i] as number,
  }));
}

/** Shapes of the results, which the attributes hold one after another. */
function resultShapes(a: Attrs): Shape[] {
  let at = 0;
  return (a.ranks as readonly number[]).map((rank) => {
    at += rank;
    return (a.sizes as Shape).slice(at - rank, at);
  });
}

function checkCount(a: Attrs, b: OwnBinding, t: TensorType): void {
  if (!isConcrete(t.shape)) return;
  const n = count(t.shape);
  if (b.unit < 0 ? n === -b.unit : n % b.unit === 0) return;
  fail("shape-mismatch", `${a.name}: ${b.name} is ${typeText(t)}, ${n} elements`, {
    cause: b.unit < 0 ? `the text declares ${-b.unit}` : `the text reads them ${b.unit} at a time`,
    hint:
      b.unit < 0
        ? `give a tensor of ${-b.unit} elements`
        : `give a tensor of a multiple of ${b.unit} elements, padded if need be`,
  });
}

function resultTypes(args: readonly TensorType[], a: Attrs): readonly TensorType[] {
  const shapes = resultShapes(a);
  const out: TensorType[] = [];
  for (const b of ownBindings(a)) {
    const arg = b.argument === undefined ? undefined : args[b.argument];
    if (arg && arg.dtype !== b.dtype) {
      fail("dtype-mismatch", `${a.name}: ${b.name} is ${typeText(arg)}`, {
        cause: `the text declares ${b.dtype}`,
        hint: `cast it first: cast(${b.name}, "${b.dtype}")`,
      });
    }
    if (arg) checkCount(a, b, arg);
    if (b.result === undefined) continue;
    const declared = tensorType(a.name as string, b.dtype, shapes[b.result] as Shape);
    const shape = arg
      ? sameShape(a.name as string, declared.shape, arg.shape, `input and output ${b.name}`)
      : declared.shape;
    out[b.result] = { dtype: b.dtype, shape };
    checkCount(a, b, out[b.result] as TensorType);
  }
  return out;
}

/** What a user's kernel means on the CPU, where the user says so. */
export type OwnMeaning = (args: readonly NDArray[], attrs: Attrs, types: readonly TensorType[]) => NDArray[];
const meanings = new Map<string, OwnMeaning>();

/** Gives kernels whose attribute `cpu` is `key` a meaning for the interpreter. */
export function setOwnMeaning(key: string, meaning: OwnMeaning): void {
  meanings.set(key, meaning);
}

const bits = new DataView(new ArrayBuffer(4));

/** The bits of a number of a dtype of four bytes, as u32. */
export function wordOf(value: number, dtype: DType): number {
  if (dtype !== "f32") return value >>> 0;
  bits.setFloat32(0, value);
  return bits.getUint32(0);
}

/** Rows of a user's own WGSL. */
export const wgslRows: readonly OpRow[] = [
  {
    name: "wgsl",
    kind: "opaque",
    params: ["...xs"],
    attrs: {
      name: { type: "string", doc: "what people call it" },
      source: { type: "string", doc: "the text, its entry point named main" },
      names: { type: "string", doc: "its buffers, separated by spaces" },
      bindings: { type: "ints", doc: "for each buffer its number in the text" },
      dtypes: { type: "string", doc: "for each buffer the dtype of its tensor, separated by spaces" },
      arguments: { type: "ints", doc: "for each buffer the argument bound to it, or -1" },
      results: { type: "ints", doc: "for each buffer the result bound to it, or -1" },
      units: {
        type: "ints",
        doc: "for each buffer of what its elements are a multiple, or negative how many there are",
      },
      ranks: { type: "ints", doc: "ranks of the results" },
      sizes: { type: "shape", doc: "shapes of the results, one after another" },
      workgroups: { type: "shape", doc: "workgroups along x, y and z" },
      workgroupSize: { type: "ints", doc: "invocations of a workgroup along x, y and z" },
      workgroupBytes: { type: "int", doc: "bytes of workgroup memory" },
      features: { type: "string", doc: "what the device must have, separated by spaces: f16, subgroups", default: "" },
      cpu: { type: "string", doc: "names its meaning in the interpreter", default: null },
    },
    doc:
      "A compute shader in the user's own WGSL: wgslKernel makes it. Its operands are complete in memory before it runs, nothing is fused into it, " +
      "and a buffer that it does not fill holds anything. A buffer with an argument and a result begins with the argument's elements. No derivative.",
    infer: resultTypes,
    evaluate(args, a, types) {
      const meaning = meanings.get(a.cpu as string);
      if (!meaning) {
        return fail("no-meaning", `${a.name} is a kernel in WGSL, which the interpreter cannot run`, {
          hint: "say what it computes: wgslKernel(source, { cpu: (inputs) => ({ y: … }) })",
        });
      }
      return meaning(args, a, types);
    },
    derivative: ({ node }) =>
      fail("not-differentiable", `${node.attrs.name} is a kernel in WGSL and has no derivative`, {
        cause: "the loss depends on a parameter through it",
        hint: "say what its gradient is: customGradient(fn, backward), or stop there: stopGradient(x)",
        ...(node.place ? { place: node.place } : {}),
      }),
  },
  {
    name: "words",
    kind: "opaque",
    params: ["...xs"],
    attrs: {
      kinds: {
        type: "string",
        doc: "for each word u: a value, f: a size as the bits of an f32, x: the bits of the next argument",
      },
      values: { type: "ints", doc: "for each word the value or the size; 0 for x" },
    },
    doc: "32-bit words as a u32 tensor: what a uniform buffer holds. Arguments are scalars: f32, i32, u32.",
    infer: (args, a) => {
      const kinds = a.kinds as string;
      const values = a.values as readonly Dim[];
      const scalars = args.every((t) => t.shape.length === 0 && ["f32", "i32", "u32"].includes(t.dtype));
      if (!scalars || kinds.length !== values.length || [...kinds].filter((k) => k === "x").length !== args.length) {
        fail("bad-arguments", `words: ${args.map(typeText).join(", ")} do not fit kinds ${JSON.stringify(kinds)}`, {
          hint: "give one scalar of four bytes for each x",
        });
      }
      return tensorType("words", "u32", [kinds.length]);
    },
    evaluate: (args, a, [t]) => {
      const values = a.values as readonly number[];
      let next = 0;
      const word: Record<string, (i: number) => number> = {
        u: (i) => wordOf(values[i] as number, "u32"),
        f: (i) => wordOf(values[i] as number, "f32"),
        x: () => {
          const x = args[next++] as NDArray;
          return wordOf(x.data[0] as number, x.dtype);
        },
      };
      const data = [...(a.kinds as string)].map((k, i) => word[k]?.(i) ?? 0);
      return [ndarray("u32", (t as TensorType).shape as number[], data)];
    },
    derivative: null,
    accuracy: { ulp: 0 },
  },
];
