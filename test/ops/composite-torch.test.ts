import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import type { DType } from "../../src/base/dtype.ts";
import type { Attrs } from "../../src/ir/graph.ts";
import { type NDArray, ndarray } from "../../src/ir/ndarray.ts";
import { sharedFile } from "../support/shared.ts";
import { expectClose, runAll } from "./run.ts";

/** What a case gives: a tensor, or a plain value. */
type Value = NDArray | number | boolean | string | null | readonly Value[];
interface Case {
  readonly input: NDArray;
  readonly inputs: readonly NDArray[];
  readonly args: readonly Value[];
  readonly kwargs: Readonly<Record<string, Value>>;
}
/** An op of ours on tensors, or undefined where the case needs something else. */
type Call = { op: string; args: readonly NDArray[]; attrs?: Attrs; shape?: readonly number[] } | undefined;

const rank = (x: NDArray): number => x.shape.length;
const isTensor = (v: unknown): v is NDArray => typeof v === "object" && v !== null && "dtype" in v;
const axis = (v: Value | undefined, n: number): number => ((v as number) < 0 ? (v as number) + n : (v as number));
const all = (n: number): number[] => Array.from({ length: n }, (_, i) => i);

/** torch's dim argument as ascending axes. */
function axes(v: Value | undefined, n: number): number[] {
  if (v === undefined || v === null) return all(n);
  const list = (Array.isArray(v) ? v : [v]) as number[];
  if (list.length === 0) return all(n);
  return [...new Set(list.filter(() => n > 0).map((a) => axis(a, n)))].sort((a, b) => a - b);
}

const asI32 = (x: Value | undefined): NDArray => ndarray("i32", (x as NDArray).shape, (x as NDArray).data);
const given = (...xs: (Value | undefined)[]): NDArray[] => xs.filter(isTensor);
const hasOf = (...xs: (Value | undefined)[]): number[] => xs.flatMap((x, i) => (isTensor(x) ? [i] : []));

const reducing =
  (op: string) =>
  ({ input, args, kwargs }: Case): Call => ({
    op,
    args: [input],
    attrs: { axes: axes(kwargs.dim ?? args[0], rank(input)), keepDims: (kwargs.keepdim ?? args[1] ?? false) === true },
  });

const along =
  (op: string) =>
  ({ input, args }: Case): Call =>
    rank(input) === 0 ? undefined : { op, args: [input], attrs: { axis: axis(args[0], rank(input)) } };

const extreme =
  (op: string) =>
  ({ input, kwargs }: Case): Call =>
    rank(input) === 0 || kwargs.dim === undefined
      ? undefined
      : { op, args: [input], attrs: { axis: axis(kwargs.dim, rank(input)), keepDims: kwargs.keepdim === true } };

/** torch lists padding from the last axis on. */
const padding =
  (mode: string) =>
  ({ input, args }: Case): Call => {
    const pads = args[0] as number[];
    if (pads.some((p) => p < 0)) return undefined;
    const side = (k: number): number[] => all(rank(input)).map((i) => pads[2 * (rank(input) - 1 - i) + k] ?? 0);
    return { op: "pad", args: [input], attrs: { low: side(0), high: side(1), mode, value: (args[2] as number) ?? 0 } };
  };

const triangle =
  (upper: boolean) =>
  ({ input, args }: Case): Call => ({ op: "triangular", args: [input], attrs: { upper, diagonal: args[0] ?? 0 } });

const elements =
  (op: string, reduction?: string) =>
  ({ input, args }: Case): Call => {
    const [data, indices] = [input, asI32(args[1])];
    if (rank(data) === 0 || rank(data) !== rank(indices)) return undefined;
    const updates = given(args[2]);
    if (op === "scatterElements" && updates.length === 0) return undefined;
    const attrs = { axis: axis(args[0], rank(data)), ...(reduction ? { reduction } : {}) };
    return { op, args: [data, indices, ...updates], attrs };
  };

function norm(p: Value | undefined, input: NDArray, dim: Value | undefined, keep: boolean): Call {
  const op = { 1: "l1", 2: "l2" }[String(p ?? 2)];
  return op ? { op, args: [input], attrs: { axes: axes(dim, rank(input)), keepDims: keep } } : undefined;
}

const tiled = ({ input, args }: Case): Call => {
  const repeats = args[0] as number[];
  const n = Math.max(repeats.length, rank(input));
  const pad = <T>(list: readonly T[], one: T): T[] => [...new Array<T>(n - list.length).fill(one), ...list];
  return { op: "tile", args: [ndarray("f32", pad(input.shape, 1), input.data)], attrs: { repeats: pad(repeats, 1) } };
};

const reshaped = ({ input, args }: Case): Call => {
  const shape = args[0] as number[];
  return shape.includes(-1) ? undefined : { op: "reshape", args: [input], attrs: { shape } };
};

const lastAxes = (x: NDArray, n: number): number[] => all(n).map((i) => rank(x) - n + i);

/** Each torch op by rows of the op table. */
const calls: Readonly<Record<string, (c: Case) => Call>> = {
  softmax: along("softmax"),
  log_softmax: along("logSoftmax"),
  logsumexp: reducing("logSumExp"),
  cumsum: along("cumSum"),
  sum: reducing("sum"),
  mean: reducing("mean"),
  amax: reducing("reduceMax"),
  amin: reducing("reduceMin"),
  prod: reducing("prod"),
  argmax: extreme("argMax"),
  argmin: extreme("argMin"),
  "linalg.vector_norm": ({ input, kwargs }) => norm(kwargs.ord, input, kwargs.dim, kwargs.keepdim === true),
  norm: ({ input, args }) =>
    args[0] === "fro" || typeof args[0] === "object" ? undefined : norm(args[0], input, args[1], false),
  flip: ({ input, kwargs }) => ({ op: "flip", args: [input], attrs: { axes: axes(kwargs.dims, rank(input)) } }),
  tril: triangle(false),
  triu: triangle(true),
  tile: tiled,
  repeat: tiled,
  reshape: reshaped,
  view: reshaped,
  expand: ({ input, args }) =>
    (args[0] as number[]).includes(-1) ? undefined : { op: "expand", args: [input], attrs: { shape: args[0] } },
  transpose: ({ input, args }) => {
    const perm = all(rank(input));
    if (rank(input) === 0) return undefined;
    const [i, j] = [axis(args[0], rank(input)), axis(args[1], rank(input))];
    [perm[i], perm[j]] = [perm[j] as number, perm[i] as number];
    return { op: "transpose", args: [input], attrs: { perm } };
  },
  cat: ({ inputs, kwargs }) => ({ op: "concat", args: inputs, attrs: { axis: kwargs.dim ?? 0 } }),
  stack: ({ inputs, args }) => ({
    op: "stack",
    args: inputs,
    attrs: { axis: axis(args[0], rank(inputs[0] as NDArray) + 1) },
  }),
  "split.list_args": ({ input, args }) =>
    Array.isArray(args[0])
      ? { op: "split", args: [input], attrs: { sizes: args[0], axis: axis(args[1] ?? 0, rank(input)) } }
      : undefined,
  "squeeze.multiple": ({ input, args }) => ({
    op: "squeeze",
    args: [input],
    attrs: { axes: axes(args[0], rank(input)).filter((a) => input.shape[a] === 1) },
  }),
  matmul: ({ input, args }) =>
    rank(input) < 2 || rank(args[0] as NDArray) < 2 ? undefined : { op: "matmul", args: given(input, args[0]) },
  mm: ({ input, args }) => ({ op: "matmul", args: given(input, args[0]) }),
  "bmm.triton_optimized": ({ input, args }) => ({ op: "matmul", args: given(input, args[0]) }),
  trace: ({ input }) => ({ op: "einsum", args: [input], attrs: { equation: "ii" } }),
  outer: ({ input, args }) => ({ op: "einsum", args: given(input, args[0]), attrs: { equation: "i,j" } }),
  kron: ({ input, args }) => ({
    op: "einsum",
    args: given(input, args[0]),
    attrs: { equation: "ij,kl->ikjl" },
    shape: input.shape.map((n, i) => n * ((args[0] as NDArray).shape[i] as number)),
  }),
  "nn.functional.bilinear": ({ input, args }) =>
    args[2]
      ? undefined
      : { op: "einsum", args: given(input, args[1], args[0]), attrs: { equation: "...i,oij,...j->...o" } },
  gather: elements("gatherElements"),
  scatter: elements("scatterElements", "none"),
  scatter_add: elements("scatterElements", "add"),
  index_select: ({ input, args }) => ({
    op: "gather",
    args: [input, asI32(args[1])],
    attrs: { axis: axis(args[0], rank(input)) },
  }),
  "nn.functional.embedding": ({ input, args, kwargs }) =>
    kwargs.max_norm ? undefined : { op: "embedding", args: [input, asI32(args[0])] },
  "nn.functional.pad.constant": padding("constant"),
  "nn.functional.pad.reflect": padding("reflection"),
  "nn.functional.pad.replicate": padding("edge"),
  "nn.functional.layer_norm": ({ input, args, kwargs }) => ({
    op: "layerNorm",
    args: [input, ...given(args[1], args[2])],
    attrs: {
      axes: lastAxes(input, (args[0] as number[]).length),
      epsilon: kwargs.eps ?? 1e-5,
      has: hasOf(args[1], args[2]),
    },
  }),
  "nn.functional.rms_norm": ({ input, args, kwargs }) => ({
    op: "rmsNorm",
    args: [input, ...given(args[1])],
    attrs: { axes: lastAxes(input, (args[0] as number[]).length), epsilon: kwargs.eps },
  }),
  "nn.functional.group_norm": ({ input, args, kwargs: { weight, bias, eps } }) => ({
    op: "groupNorm",
    args: [input, ...given(weight, bias)],
    attrs: { groups: args[0], epsilon: eps ?? 1e-5, has: hasOf(weight, bias) },
  }),
  "nn.functional.instance_norm": ({ input, kwargs: { weight, bias, eps } }) => ({
    op: "instanceNorm",
    args: [input, ...given(weight, bias)],
    attrs: { layout: "nchw", epsilon: eps ?? 1e-5, has: hasOf(weight, bias) },
  }),
  "nn.functional.batch_norm": ({ input, args: [mean, variance, weight, bias], kwargs: { training, eps } }) =>
    training || rank(input) < 2
      ? undefined
      : {
          op: "batchNorm",
          args: [input, ...given(mean, variance, weight, bias)],
          attrs: { axis: 1, epsilon: eps ?? 1e-5, has: hasOf(weight, bias) },
        },
  "nn.functional.cross_entropy": ({ input, args, kwargs }) => {
    const plain = rank(input) === 2 && (args[0] as NDArray).dtype === "i32" && !kwargs.weight && !kwargs.ignore_index;
    return plain ? { op: "crossEntropy", args: [input, args[0] as NDArray], shape: [] } : undefined;
  },
  "nn.functional.scaled_dot_product_attention": ({ input, args, kwargs }) => {
    const [k, v] = args as [NDArray, NDArray];
    const [T, S] = [input.shape[rank(input) - 2] as number, k.shape[rank(k) - 2] as number];
    // torch's causal mask starts at the first query and the first key; ours ends at the last ones.
    const mask = ndarray(
      "f32",
      [T, S],
      all(T * S).map((i) => (i % S <= Math.floor(i / S) ? 0 : Number.NEGATIVE_INFINITY)),
    );
    const heads = (x: NDArray): NDArray => (rank(x) === rank(k) ? x : broadcast(x, k.shape));
    return { op: "attention", args: [heads(input), k, v, ...(kwargs.is_causal ? [mask] : [])] };
  },
};

/** A [H, T, D] query for keys [B, H, S, D]. */
const broadcast = (q: NDArray, k: readonly number[]): NDArray => {
  const lead = k.slice(0, k.length - rank(q));
  const copies = lead.reduce((n, d) => n * d, 1);
  return ndarray(
    q.dtype,
    [...lead, ...q.shape],
    all(copies).flatMap(() => [...q.data]),
  );
};

const readers: Readonly<Record<string, [DType, (b: ArrayBuffer) => ArrayLike<number | bigint>]>> = {
  f32: ["f32", (b) => new Float32Array(b)],
  f64: ["f32", (b) => new Float64Array(b)],
  i32: ["i32", (b) => new Int32Array(b)],
  i64: ["i32", (b) => new BigInt64Array(b)],
  u8: ["u32", (b) => new Uint8Array(b)],
  bool: ["bool", (b) => new Uint8Array(b)],
};

function read(v: unknown): Value {
  if (Array.isArray(v)) return v.map(read);
  if (typeof v !== "object" || v === null) return v as Value;
  if ("tensor" in v) return read(v.tensor);
  if ("num" in v) return Number((v.num as string).replace("inf", "Infinity"));
  const { t, shape, b64 } = v as { t: string; shape: number[]; b64: string };
  const [dtype, view] = readers[t] ?? ["f32", () => []];
  const bytes = Buffer.from(b64, "base64");
  const data = view(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length) as ArrayBuffer);
  return ndarray(dtype, shape, Array.from(data as ArrayLike<number>, Number));
}

interface Line {
  readonly op: string;
  readonly sample: number;
  readonly input: unknown;
  readonly args: readonly unknown[];
  readonly kwargs: Readonly<Record<string, unknown>>;
  readonly outputs: readonly unknown[];
}

const file = sharedFile("conformance/torch_grad.jsonl", "PyTorch's values of composite ops");

it.skipIf(!file)("ops agree with PyTorch's values in f64", () => {
  const lines = readFileSync(file as string, "utf8").split("\n");
  const counts = new Map<string, number>();
  const failed: string[] = [];
  for (const text of lines) {
    if (!text) continue;
    const line = JSON.parse(text) as Line;
    const make = calls[line.op];
    if (!make) continue;
    const input = read(line.input);
    const call = make({
      input: input as NDArray,
      inputs: Array.isArray(input) ? (input as NDArray[]) : [],
      args: line.args.map(read),
      kwargs: Object.fromEntries(Object.entries(line.kwargs).map(([k, v]) => [k, read(v)])),
    });
    if (!call) continue;
    const want = line.outputs.map(read) as NDArray[];
    try {
      check(call, want, line);
    } catch (e) {
      failed.push(`${line.op} ${line.sample}: ${(e as Error).message.split("\n").slice(0, 4).join(" ")}`);
    }
    counts.set(line.op, (counts.get(line.op) ?? 0) + 1);
  }
  expect(failed).toEqual([]);
  expect(Object.keys(calls).filter((op) => !counts.has(op))).toEqual([]);
  expect([...counts.values()].reduce((a, b) => a + b)).toBeGreaterThan(150);
});

function check(call: NonNullable<Call>, want: readonly NDArray[], { op, kwargs }: Line): void {
  let got = runAll(call.op, call.args, call.attrs);
  if (op.endsWith("cross_entropy") && kwargs.reduction !== "none") {
    const losses = (got[0] as NDArray).data;
    const sum = losses.reduce((a, b) => a + b, 0);
    got = [ndarray("f32", [], [kwargs.reduction === "sum" ? sum : sum / losses.length])];
  }
  expect(got.map((g) => call.shape ?? g.shape)).toEqual(want.map((w) => w.shape));
  got.forEach((g, i) => {
    expectClose(g, (want[i] as NDArray).data, 1e-9, 1e-9);
  });
}
