import { parseArgs } from "node:util";
import { compile, f16, f32, type Gpu, makeTensor, matmul as matmulOp, openDevice, type Session } from "sinter";
import { deliver } from "./deliver.ts";
import { gpuTime } from "./gpu-time.ts";
import { elementOf, type Product, products, shapesOf } from "./matmul-cases.ts";
import { vsJax } from "./matmul-jax.ts";
import { noise } from "./measure.ts";
import { choice, command, type PlainOptions, parsed, plain, plainHelp, plainOptions, string } from "./options.ts";
import { Probe } from "./probe.ts";
import { type Row, resultText } from "./report.ts";
import { deviceOf } from "./saved.ts";
import { tableText } from "./table.ts";

const kinds = ["f32", "f16", "f16x3"] as const;
type Kind = (typeof kinds)[number];

const help = `usage: npm run bench -- matmul [options]

Matrix products, operands resident and results left on the GPU. On a GPU: the products of the DistilGPT-2 step and a large one,
TFLOP/s by timestamps beside what cuBLAS takes on an H200; nn, nt and tn say which operand is stored transposed. A sample of each
result is compared with f64: exit code 1 where it is off. On every adapter: f32 against @jax-js/jax, where that package is, in turns.

  --dtype TYPE    f32, f16 (f32 sums) or f16x3 (f32 as halves, by matrix hardware) alone
  --only TEXT     products whose shape begins so: 512x768x768
${plainHelp}

SINTER_ADAPTER=gpu|lavapipe|swiftshader chooses the adapter.`;

interface MatmulOptions extends PlainOptions {
  readonly dtype: Kind | undefined;
  readonly only: string;
}

const parse = (args: readonly string[]): MatmulOptions | string =>
  parsed(() => {
    const { values: v } = parseArgs({ args: [...args], options: { dtype: string, only: string, ...plainOptions } });
    const dtype = v.dtype === undefined ? undefined : choice("dtype", v.dtype, kinds);
    return { ...plain(v, args), dtype, only: v.only ?? "" };
  });

export const matmul = (args: readonly string[]): Promise<number> => command("matmul", help, parse(args), run);

/** One product. */
export interface ProductFigure {
  readonly dtype: Kind;
  readonly form: string;
  readonly shape: string;
  /** How often a DistilGPT-2 step at 1x512 computes it. */
  readonly times: number;
  readonly kernels: readonly string[];
  readonly us: number;
  readonly min_us: number;
  readonly tflop_per_s: number;
  readonly cublas_us?: number;
  /** The largest difference of a sample from f64, by the square root of K. */
  readonly difference: number;
}

/** How far a sample may be from f64, by the square root of K: operands are noise in [-1, 1). */
const tolerance: Readonly<Record<Kind, number>> = { f32: 1e-5, f16: 2e-3, f16x3: 4e-5 };

async function run(options: MatmulOptions): Promise<number> {
  const gpu = await openDevice();
  const probe = new Probe(options);
  try {
    probe.require(gpu);
    const figures: ProductFigure[] = [];
    const { software, features } = gpu.capabilities;
    const possible: Readonly<Record<Kind, boolean>> = {
      f32: true,
      f16: features.f16,
      f16x3: !!features.subgroupMatrix,
    };
    const wanted = kinds.filter((k) => (options.dtype ? k === options.dtype : possible[k]));
    for (const p of software ? [] : products.filter((p) => shapeText(p).startsWith(options.only))) {
      for (const kind of wanted) figures.push(await measure(gpu, p, kind, probe));
    }
    const rows: Row[] = options.dtype === undefined || options.dtype === "f32" ? await vsJax(gpu, options.only) : [];
    const device = deviceOf(gpu);
    const wrong = figures
      .filter((f) => !(f.difference <= tolerance[f.dtype]))
      .map((f) => `${f.dtype} ${f.form} ${f.shape} differs from f64 by ${f.difference.toExponential(1)} sqrt(K)`);
    const result = { bench: "matmul", adapter: device.text, products: figures, rows };
    const text = [
      ...(figures.length ? [[`matmul on ${device.text}`, table(figures), ...sumLines(figures)].join("\n")] : []),
      ...(rows.length ? [resultText(result)] : []),
    ].join("\n\n");
    return deliver(options, { bench: "matmul", device, result, text, wrong }, probe);
  } finally {
    gpu.dispose();
  }
}

const shapeText = ({ m, n, k }: Product): string => `${m}x${n}x${k}`;
const samples = 32;

async function measure(gpu: Gpu, p: Product, kind: Kind, probe: Probe): Promise<ProductFigure> {
  const [shapeA, shapeB] = shapesOf(p);
  const dtype = kind === "f16" ? "f16" : "f32";
  const spec = kind === "f16" ? f16 : f32;
  const [a, b] = [noise(p.m * p.k, 1), noise(p.k * p.n, 2)];
  const how = {
    transposeA: p.form === "tn",
    transposeB: p.form === "nt",
    ...(kind === "f16x3" && { precision: "f16x3" as const }),
  };
  const program = compile({ a: spec(...shapeA), b: spec(...shapeB) }, ({ a, b }) => matmulOp(a, b, how));
  const session = (await program.load(gpu)) as unknown as Session<never, never, never, never>;
  const inputs = {
    a: await makeTensor(gpu, a, { dtype, shape: shapeA }),
    b: await makeTensor(gpu, b, { dtype, shape: shapeB }),
  };
  try {
    const result = (await session.run(inputs as never, { read: true })) as unknown as Awaited<
      ReturnType<typeof makeTensor>
    >;
    const got = await result.data();
    result.dispose();
    let difference = 0;
    for (let i = 0; i < samples; i++) {
      const [row, col] = [
        Math.floor(((i + 0.5) / samples) * p.m),
        Math.floor((((i * 7 + 3) % samples) / samples) * p.n),
      ];
      const off = Math.abs((got[row * p.n + col] as number) - elementOf(p, a, b, row, col)) / Math.sqrt(p.k);
      difference = off > difference || Number.isNaN(off) ? off : difference;
    }
    const { median_us: us, min_us } = await gpuTime(session, inputs);
    await probe.session(`${kind} ${p.form} ${shapeText(p)}`, session, inputs);
    const cublas = kind === "f16x3" ? undefined : p.cublas?.[kind];
    return {
      dtype: kind,
      form: p.form,
      shape: shapeText(p),
      times: p.times,
      kernels: session.made.report.kernels.map((k) => k.variant),
      ...{ us, min_us, tflop_per_s: (2 * p.m * p.n * p.k) / us / 1e6, difference },
      ...(cublas !== undefined && { cublas_us: cublas }),
    };
  } finally {
    session.dispose();
    inputs.a.dispose();
    inputs.b.dispose();
  }
}

/** Milliseconds that a step's products take together; nothing where some were not measured. */
export function stepMs(figures: readonly ProductFigure[], dtype: string): number | undefined {
  const own = figures.filter((f) => f.dtype === dtype && f.times > 0);
  const all = products.filter((p) => p.times > 0).length;
  return own.length === all ? own.reduce((ms, f) => ms + (f.times * f.us) / 1000, 0) : undefined;
}

function sumLines(figures: readonly ProductFigure[]): string[] {
  return kinds.flatMap((kind) => {
    const ms = stepMs(figures, kind);
    return ms === undefined ? [] : [`${kind}: the products of a step at 1x512 take ${ms.toFixed(2)} ms one by one`];
  });
}

function table(figures: readonly ProductFigure[]): string {
  const head = ["dtype", "form", "MxNxK", "us", "least", "TFLOP/s", "cuBLAS us", "its part", "off by", "kernels"];
  const lines = figures.map((f) => [
    ...[f.dtype, f.form, f.shape, f.us.toFixed(1), f.min_us.toFixed(1), f.tflop_per_s.toFixed(1)],
    ...[f.cublas_us?.toFixed(0) ?? "", f.cublas_us ? `${((100 * f.cublas_us) / f.us).toFixed(0)}%` : ""],
    ...[f.difference.toExponential(0), f.kernels.join(" ")],
  ]);
  return tableText(head, lines, 3);
}
