import {
  compile,
  f32,
  gelu,
  layerNorm,
  makeTensor,
  matmul,
  openDevice,
  type Program,
  softmax,
  type Tensor,
} from "sinter";
import { deliver } from "./deliver.ts";
import { compare, noise } from "./measure.ts";
import { command, type PlainOptions, parsePlain, plainHelp } from "./options.ts";
import { Probe } from "./probe.ts";
import { type Row, rowsFound } from "./report.ts";
import { deviceOf } from "./saved.ts";

const help = `usage: npm run bench -- ops [options]

Fused kernels against one kernel a primitive, each in one submit, on the same resident inputs. Medians; the ratio says how
many times faster fused ones are.

${plainHelp}

SINTER_ADAPTER=gpu|lavapipe|swiftshader chooses the adapter.`;

type Fn = (x: Record<string, Tensor>) => Tensor;
interface Case {
  readonly name: string;
  readonly shapes: Readonly<Record<string, readonly number[]>>;
  readonly fn: Fn;
}

/** Ten elementwise ops, one after the other. */
const chain = (x: Tensor): Tensor => x.mul(0.5).add(1).tanh().mul(x).sigmoid().sub(0.25).abs().sqrt().mul(3).min(1);

const cases: readonly Case[] = [
  { name: "chain of 10", shapes: { x: [4096, 1024] }, fn: ({ x }) => chain(x as Tensor) },
  { name: "softmax", shapes: { x: [4096, 1024] }, fn: ({ x }) => softmax(x as Tensor, { axis: -1 }) },
  {
    name: "layerNorm",
    shapes: { x: [4096, 1024], scale: [1024], bias: [1024] },
    fn: ({ x, scale, bias }) => layerNorm(x as Tensor, { scale: scale as Tensor, bias: bias as Tensor, axes: [-1] }),
  },
  {
    name: "matmul+bias+gelu",
    shapes: { x: [512, 768], w: [768, 3072], b: [3072] },
    fn: ({ x, w, b }) => gelu(matmul(x as Tensor, w as Tensor).add(b as Tensor), { approximate: "tanh" }),
  },
];

export const ops = (args: readonly string[]): Promise<number> => command("ops", help, parsePlain(args), run);

async function run(options: PlainOptions): Promise<number> {
  const gpu = await openDevice();
  const probe = new Probe(options);
  try {
    probe.require(gpu);
    const rows: Row[] = [];
    for (const c of cases) {
      const specs = Object.fromEntries(Object.entries(c.shapes).map(([name, s]) => [name, f32(...s)]));
      const inputs = Object.fromEntries(
        await Promise.all(
          Object.entries(c.shapes).map(async ([name, shape], i) => {
            const data = noise(
              shape.reduce((n, d) => n * d, 1),
              i + 1,
            );
            return [name, await makeTensor(gpu, data, { dtype: "f32", shape })] as const;
          }),
        ),
      );
      const contender = async (label: string, program: Program<typeof specs, Tensor>) => {
        const session = await program.load(gpu);
        const before = gpu.counters.dispatches;
        (await session.run(inputs)).dispose();
        const kernels = gpu.counters.dispatches - before;
        return {
          session,
          label,
          kernels,
          once: async () => (await session.run(inputs)).dispose(),
          settle: () => gpu.idle(),
          dispose: () => session.dispose(),
        };
      };
      const fused = await contender("fused", compile(specs, c.fn));
      const unfused = await contender("unfused", compile(specs, c.fn, { fuse: "off" }));
      const comparison = await compare(fused, unfused);
      for (const x of [fused, unfused]) await probe.session(`${c.name}, ${x.label}`, x.session, inputs);
      const figures = { fused_kernels: fused.kernels, unfused_kernels: unfused.kernels };
      rows.push({ name: c.name, shape: shapesText(c), comparison, figures });
      for (const x of [fused, unfused, ...Object.values(inputs)]) x.dispose();
    }
    return deliver(options, rowsFound("ops", deviceOf(gpu), rows), probe);
  } finally {
    gpu.dispose();
  }
}

const shapesText = (c: Case): string =>
  Object.values(c.shapes)
    .map((s) => s.join("x"))
    .join(" ");
