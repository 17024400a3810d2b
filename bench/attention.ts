import { parseArgs } from "node:util";
import {
  attention as attentionOp,
  compile,
  f16,
  f32,
  type Gpu,
  type GpuTensor,
  grad,
  makeTensor,
  matmul,
  openDevice,
  type Session,
  type Tensor,
} from "sinter";
import { halfRound } from "../src/base/half.ts";
import { type Head, keyRow, queryRow } from "./attention-check.ts";
import { deliver } from "./deliver.ts";
import { gpuTime } from "./gpu-time.ts";
import { noise } from "./measure.ts";
import { choice, command, flag, type PlainOptions, parsed, plain, plainHelp, plainOptions, string } from "./options.ts";
import { Probe } from "./probe.ts";
import { deviceOf } from "./saved.ts";
import { tableText } from "./table.ts";

const dtypes = ["f32", "f16"] as const;
type Dtype = (typeof dtypes)[number];

const help = `usage: npm run bench -- attention [options]

Attention of q, k and v [batch, heads, positions, depth], forward and backward, by timestamps, beside what its products alone take in
the same run: batched products of the same shapes that write what they compute, half of it counted with causal. Forward 2 products, and
backward 5: computing the scores again is not among them. A sample of each result is compared with f64: exit code 1 where it is off.

  --dtype TYPE    f32 or f16 alone
  --only TEXT     shapes that begin so: 8x12x2048x64
  --small         two shapes for adapters without a GPU
${plainHelp}

SINTER_ADAPTER=gpu|lavapipe|swiftshader chooses the adapter.`;

type Shape = readonly [number, number, number, number];
const shapes: readonly Shape[] = [
  [8, 12, 2048, 64],
  [8, 12, 512, 64],
  [1, 12, 512, 64],
  [4, 8, 1024, 128],
];
const small: readonly Shape[] = [
  [1, 2, 96, 64],
  [1, 1, 70, 128],
];

interface AttentionOptions extends PlainOptions {
  readonly dtype: Dtype | undefined;
  readonly only: string;
  readonly small: boolean;
}

const parse = (args: readonly string[]): AttentionOptions | string =>
  parsed(() => {
    const own = { dtype: string, only: string, small: flag };
    const { values: v } = parseArgs({ args: [...args], options: { ...own, ...plainOptions } });
    const dtype = v.dtype === undefined ? undefined : choice("dtype", v.dtype, dtypes);
    return { ...plain(v, args), dtype, only: v.only ?? "", small: v.small };
  });

export const attention = (args: readonly string[]): Promise<number> => command("attention", help, parse(args), run);

/** Forward or backward at one shape. */
export interface AttentionFigure {
  readonly dtype: Dtype;
  readonly shape: string;
  readonly causal: boolean;
  readonly pass: "forward" | "backward";
  readonly kernels: readonly string[];
  readonly us: number;
  /** Of the products that are counted. */
  readonly tflop_per_s: number;
  readonly products_us: number;
  /** How many times as long as the products it takes. */
  readonly ratio: number;
  /** The largest difference of a sample from f64, in parts of the sample's largest value. */
  readonly difference: number;
}

const tolerance: Readonly<Record<Dtype, number>> = { f32: 2e-5, f16: 1e-2 };

async function run(options: AttentionOptions): Promise<number> {
  const gpu = await openDevice();
  const probe = new Probe(options);
  try {
    probe.require(gpu);
    const figures: AttentionFigure[] = [];
    const wanted = dtypes.filter((d) =>
      options.dtype ? d === options.dtype : d === "f32" || gpu.capabilities.features.f16,
    );
    for (const shape of (options.small ? small : shapes).filter((s) => s.join("x").startsWith(options.only))) {
      for (const dtype of wanted) figures.push(...(await measure(gpu, shape, dtype, probe)));
    }
    const device = deviceOf(gpu);
    const wrong = figures
      .filter((f) => !(f.difference <= tolerance[f.dtype]))
      .map((f) => `${f.dtype} ${f.shape} ${f.pass} differs from f64 by ${f.difference.toExponential(1)}`);
    const result = { bench: "attention", adapter: device.text, attention: figures };
    const text = `attention on ${device.text}\n${table(figures)}`;
    return deliver(options, { bench: "attention", device, result, text, wrong }, probe);
  } finally {
    gpu.dispose();
  }
}

type Any = Session<never, never, never, never>;
type Operands = { q: Tensor; k: Tensor; v: Tensor };
type Inputs = Readonly<Record<string, GpuTensor>>;

async function measure(gpu: Gpu, shape: Shape, dtype: Dtype, probe: Probe): Promise<AttentionFigure[]> {
  const [batch, heads, positions, depth] = shape;
  const spec = dtype === "f16" ? f16 : f32;
  const count = shape.reduce((a, b) => a * b);
  const rounded = (seed: number): Float32Array =>
    dtype === "f16" ? noise(count, seed).map(halfRound) : noise(count, seed);
  const values = { q: rounded(1), k: rounded(2), v: rounded(3), dout: rounded(4) };
  const inputs: Record<string, GpuTensor> = {};
  for (const [name, data] of Object.entries(values)) inputs[name] = await makeTensor(gpu, data, { dtype, shape });
  const open = async (program: { load(gpu: Gpu): Promise<unknown> }): Promise<Any> => (await program.load(gpu)) as Any;
  const { q, k, v } = inputs as { q: GpuTensor; k: GpuTensor; v: GpuTensor };
  const sessions: Any[] = [];
  try {
    const opened: Opened[] = [];
    for (const causal of [true, false]) {
      const three = { q: spec(...shape), k: spec(...shape), v: spec(...shape) };
      const forward = await open(compile(three, (x) => ({ out: attentionOp(x.q, x.k, x.v, { causal }) })));
      const both = await open(
        compile({ ...three, dout: spec(...shape) }, ({ dout, ...x }) =>
          grad((y: Operands) => attentionOp(y.q, y.k, y.v, { causal }).mul(dout).sum())(x),
        ),
      );
      sessions.push(forward, both);
      const head: Head = { ...values, positions, depth, causal };
      const off = {
        forward: await offForward(forward, { q, k, v }, head),
        backward: await offBackward(both, inputs, head),
      };
      opened.push({ causal, forward, both, off });
    }
    // What is compared is timed without a pause.
    const products = await productTimes(open, shape, spec, { q, k, v });
    const figures: AttentionFigure[] = [];
    for (const { causal, forward, both, off } of opened) {
      const ahead = await gpuTime(forward, { q, k, v });
      const all = await gpuTime(both, inputs);
      const share = causal ? 0.5 : 1;
      const flops = 2 * batch * heads * positions * positions * depth * share;
      const figure = (pass: "forward" | "backward", kernels: readonly string[], us: number): AttentionFigure => {
        const [scores, sums] = pass === "forward" ? [1, 1] : [2, 3];
        const products_us = (scores * products.scores + sums * products.sums) * share;
        return {
          ...{ dtype, shape: shape.join("x"), causal, pass, kernels, us, products_us },
          ...{ tflop_per_s: ((scores + sums) * flops) / us / 1e6, ratio: us / products_us, difference: off[pass] },
        };
      };
      const [first, ...rest] = both.made.report.kernels.map((x) => x.variant);
      figures.push(figure("forward", [first as string], ahead.median_us));
      figures.push(figure("backward", rest, all.median_us - ahead.median_us));
      await probe.session(`${dtype} ${shape.join("x")}${causal ? " causal" : ""}`, both, inputs);
    }
    return figures;
  } finally {
    for (const x of [...sessions, ...Object.values(inputs)]) x.dispose();
  }
}

/** Attention forward, with its gradients, and how far their samples are off. */
interface Opened {
  readonly causal: boolean;
  readonly forward: Any;
  readonly both: Any;
  readonly off: Readonly<Record<"forward" | "backward", number>>;
}

/** Microseconds of a product that gives scores, and of one that sums over them, all heads at once. */
async function productTimes(
  open: (program: { load(gpu: Gpu): Promise<unknown> }) => Promise<Any>,
  shape: Shape,
  spec: typeof f32 | typeof f16,
  { q, k, v }: Inputs,
): Promise<{ readonly scores: number; readonly sums: number }> {
  const [batch, heads, positions] = shape;
  const square: Shape = [batch, heads, positions, positions];
  const scoring = await open(
    compile({ q: spec(...shape), k: spec(...shape) }, ({ q, k }) => ({ p: matmul(q, k, { transposeB: true }) })),
  );
  const summing = await open(compile({ p: spec(...square), v: spec(...shape) }, ({ p, v }) => ({ y: matmul(p, v) })));
  const { p } = (await scoring.run({ q, k } as never)) as unknown as { p: GpuTensor };
  try {
    const scores = await gpuTime(scoring, { q, k });
    const sums = await gpuTime(summing, { p, v });
    return { scores: scores.median_us, sums: sums.median_us };
  } finally {
    p.dispose();
    scoring.dispose();
    summing.dispose();
  }
}

/** Rows of the first head that are compared: few, and with causal ones that see much and ones that are seen by few. */
const samplesOf = ({ positions }: Head): readonly number[] => [
  0,
  Math.floor(positions / 2) + 1,
  positions - 17,
  positions - 1,
];

function off(got: ArrayLike<number>, row: number, want: readonly number[]): number {
  const most = Math.max(...want.map(Math.abs));
  const worst = want.map((w, d) => Math.abs(w - (got[row * want.length + d] as number)) / most);
  return worst.some(Number.isNaN) ? Number.NaN : Math.max(...worst);
}

async function resultsOf(session: Any, inputs: Inputs): Promise<Record<string, ArrayLike<number>>> {
  const results = (await session.run(inputs as never, { read: true })) as unknown as Record<string, GpuTensor>;
  const data: Record<string, ArrayLike<number>> = {};
  for (const [name, x] of Object.entries(results)) {
    data[name] = await x.data();
    x.dispose();
  }
  return data;
}

async function offForward(session: Any, inputs: Inputs, head: Head): Promise<number> {
  const { out } = await resultsOf(session, inputs);
  return Math.max(...samplesOf(head).map((r) => off(out as ArrayLike<number>, r, queryRow(head, r).out)));
}

async function offBackward(session: Any, inputs: Inputs, head: Head): Promise<number> {
  const got = await resultsOf(session, inputs);
  // The first row of a causal gradient by q is 0.
  const rows = samplesOf(head)
    .slice(1)
    .map((r) => off(got.q as ArrayLike<number>, r, queryRow(head, r).q));
  const keys = samplesOf(head)
    .slice(2, 3)
    .flatMap((r) => {
      const { k, v } = keyRow(head, r);
      return [off(got.k as ArrayLike<number>, r, k), off(got.v as ArrayLike<number>, r, v)];
    });
  return Math.max(...rows, ...keys);
}

function table(figures: readonly AttentionFigure[]): string {
  const head = ["dtype", "shape", "pass", "us", "TFLOP/s", "products us", "ratio", "off by", "kernels"];
  const lines = figures.map((f) => [
    ...[f.dtype, `${f.shape}${f.causal ? " causal" : ""}`, f.pass, f.us.toFixed(1), f.tflop_per_s.toFixed(1)],
    ...[f.products_us.toFixed(1), f.ratio.toFixed(2), f.difference.toExponential(0), f.kernels.join(" ")],
  ]);
  return tableText(head, lines, 3);
}
