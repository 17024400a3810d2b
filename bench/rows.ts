import { parseArgs } from "node:util";
import { type Gpu, type GpuTensor, makeTensor, openDevice, type Session } from "sinter";
import { copySpeed } from "../src/runtime/copy-speed.ts";
import { deliver } from "./deliver.ts";
import { elements } from "./gpt2-model.ts";
import { gpuTime, warm } from "./gpu-time.ts";
import { median, noise } from "./measure.ts";
import { command, count, type PlainOptions, parsed, plain, plainHelp, plainOptions, string } from "./options.ts";
import { Probe } from "./probe.ts";
import { type Data, type RowsCase, rowsCases } from "./rows-cases.ts";
import { deviceOf } from "./saved.ts";
import { tableText } from "./table.ts";

const help = `usage: npm run bench -- rows [options]

Kernels that move bytes: row kernels and their gradients, column sums, AdamW, gathers and scatters. GPU time by timestamps, the
bytes that any implementation moves (each input once, each output once) each second, and that beside a plain copy in the same
run. A sample of every result is compared with f64: exit code 1 where it is off.

  --mib N         size of the largest input; 128 by default, 2 on software adapters
  --only TEXT     cases whose name begins so
${plainHelp}

SINTER_ADAPTER=gpu|lavapipe|swiftshader chooses the adapter.`;

interface RowsOptions extends PlainOptions {
  readonly mib: number | undefined;
  readonly only: string;
}

/** One case. */
export interface RowsFigure {
  readonly name: string;
  readonly kernels: readonly string[];
  readonly bytes: number;
  readonly us: number;
  readonly min_us: number;
  readonly tb_per_s: number;
  /** Of the copy's bytes a second. */
  readonly of_copy: number;
  /** The largest difference of the sample from f64. */
  readonly difference?: number;
}

const parse = (args: readonly string[]): RowsOptions | string =>
  parsed(() => {
    const { values: v } = parseArgs({ args: [...args], options: { mib: string, only: string, ...plainOptions } });
    return { ...plain(v, args), mib: v.mib === undefined ? undefined : count("mib", v.mib, 1024), only: v.only ?? "" };
  });

export const rows = (args: readonly string[]): Promise<number> => command("rows", help, parse(args), run);

async function run(options: RowsOptions): Promise<number> {
  const gpu = await openDevice();
  const probe = new Probe(options);
  try {
    const mib = options.mib ?? (gpu.capabilities.software ? 2 : 128);
    await warm(gpu);
    const copies = [await copySpeed(gpu)];
    const found: RowsFigure[] = [];
    for (const c of rowsCases(mib * 2 ** 20).filter((c) => c.name.startsWith(options.only))) {
      found.push(await measure(gpu, c, copies[0] as number, probe));
    }
    await warm(gpu);
    copies.push(await copySpeed(gpu));
    const copy = median(copies);
    const figures = found.map((f) => ({ ...f, of_copy: (f.tb_per_s * 1e12) / copy }));
    const device = deviceOf(gpu);
    const result = { bench: "rows", adapter: device.text, mib, copy_tb_per_s: copy / 1e12, rows: figures };
    const wrong = figures
      .filter((f) => f.difference !== undefined && !(f.difference <= 2e-4))
      .map((f) => `${f.name} differs from f64 by ${f.difference?.toExponential(1)}`);
    return deliver(options, { bench: "rows", device, result, text: text(device.text, copy, figures), wrong }, probe);
  } finally {
    gpu.dispose();
  }
}

const sampled = 24;

async function measure(gpu: Gpu, c: RowsCase, copy: number, probe: Probe): Promise<RowsFigure> {
  const data = Object.fromEntries(Object.entries(c.inputs).map(([name, d], i) => [name, values(d, i + 1)]));
  const state = c.state?.(data as Record<string, Float32Array>);
  const given = Object.entries(c.inputs).filter(([name]) => !state || !Object.hasOwn(state, name));
  const inputs: Record<string, GpuTensor> = {};
  for (const [name, d] of given) {
    const dtype = d.below === undefined ? "f32" : "i32";
    inputs[name] = await makeTensor(gpu, data[name] as Float32Array, { dtype, shape: d.shape });
  }
  const session = (await c.program().load(gpu, (state && { state }) as never)) as unknown as Session<
    never,
    never,
    never,
    never
  >;
  try {
    const difference = c.expected && (await differenceOf(session, inputs, c, data));
    const { median_us: us, min_us } = await gpuTime(session, inputs);
    await probe.session(c.name, session, inputs);
    const speed = c.bytes / (us * 1e-6);
    return {
      name: c.name,
      kernels: session.made.report.kernels.map((k) => k.variant),
      ...{ bytes: c.bytes, us, min_us, tb_per_s: speed / 1e12, of_copy: speed / copy },
      ...(difference !== undefined && { difference }),
    };
  } finally {
    session.dispose();
    for (const t of Object.values(inputs)) t.dispose();
  }
}

const values = ({ shape, below }: Data, seed: number): Float32Array | Int32Array =>
  below === undefined
    ? noise(elements(shape), seed)
    : Int32Array.from({ length: elements(shape) }, (_, i) => (i * 25717 + 11) % below);

async function differenceOf(
  session: Session<never, never, never, never>,
  inputs: Readonly<Record<string, GpuTensor>>,
  c: RowsCase,
  data: Readonly<Record<string, ArrayLike<number>>>,
): Promise<number> {
  const results = (await session.run(inputs as never, { read: true })) as GpuTensor | Record<string, GpuTensor>;
  const tensor = (c.output === undefined ? results : (results as Record<string, GpuTensor>)[c.output]) as GpuTensor;
  const got = await tensor.data();
  let worst = 0;
  for (let i = 0; i < sampled; i++) {
    const at = Math.floor(((i + 0.5) / sampled) * got.length);
    const want = c.expected?.(data, at) as number;
    const off = Math.abs((got[at] as number) - want) / Math.max(1, Math.abs(want));
    worst = off > worst || Number.isNaN(off) ? off : worst;
  }
  for (const t of c.output === undefined ? [tensor] : Object.values(results)) t.dispose();
  return worst;
}

function text(adapter: string, copy: number, figures: readonly RowsFigure[]): string {
  const head = ["case", "us", "least", "MiB", "TB/s", "of the copy", "off by", "kernels"];
  const lines = figures.map((f) => [
    ...[f.name, f.us.toFixed(1), f.min_us.toFixed(1), (f.bytes / 2 ** 20).toFixed(0), f.tb_per_s.toPrecision(3)],
    ...[`${(100 * f.of_copy).toFixed(0)}%`, f.difference?.toExponential(0) ?? "", f.kernels.join(" ")],
  ]);
  return `rows on ${adapter}; a copy reads and writes ${(copy / 1e12).toPrecision(3)} TB/s\n${tableText(head, lines, 1)}`;
}
