import { compile, dim, f32, type Gpu, openDevice } from "sinter";
import { BufferPool, type Sizing, sizeClass } from "../src/runtime/pool.ts";
import { deliver } from "./deliver.ts";
import { makeTrainer, stepProgram } from "./gpt2-step.ts";
import { noise } from "./measure.ts";
import { command } from "./options.ts";
import { Probe } from "./probe.ts";
import { profileStep } from "./profile-step.ts";
import { type Device, deviceOf } from "./saved.ts";
import { parseStep, type StepOptions, stepOptionsHelp } from "./step-options.ts";
import { tableText } from "./table.ts";

const help = `usage: npm run bench -- pool [options]

What the pool of buffers saves, with size classes and with exact sizes: how many of the buffers that are asked for are
there, how many are created a step, and the bytes that they hold. Three users: the training step, a program whose sizes
change from run to run, and sessions that come and go.

${stepOptionsHelp(100, { rounds: false })}

SINTER_ADAPTER=gpu|lavapipe|swiftshader chooses the adapter.`;

export interface PoolRow {
  readonly user: string;
  readonly sizing: string;
  readonly steps: number;
  readonly acquisitions: number;
  /** Share of the acquisitions that found a buffer, from the first step on. */
  readonly hit_rate: number;
  readonly create_buffer: number;
  /** The same over the second half of the steps: what does not go away. */
  readonly create_buffer_later: number;
  /** At the end. */
  readonly bytes_held: number;
  /** A step, in the second half. */
  readonly ms: number;
}

/** Buffers of a multiple of 4 bytes, as long as what they are for. */
const exactSize: Sizing = (bytes) => Math.max(4, Math.ceil(bytes / 4) * 4);
const sizings: Readonly<Record<string, Sizing>> = { classes: sizeClass, exact: exactSize };

interface User {
  step(i: number): Promise<void>;
  dispose(): void;
}

type Options = Exclude<ReturnType<typeof parseStep>, string>;

/** Sizes from 1 to `most`, the same on every run. */
const changing = (most: number): ((i: number) => number) => {
  const draws = noise(4096, 7);
  return (i) => 1 + Math.floor(((draws[i % draws.length] as number) + 1) * 0.5 * most);
};

const users: Readonly<Record<string, (gpu: Gpu, options: Options) => Promise<User>>> = {
  "training step": async (gpu, { sizes, dtype }) => {
    const trainer = await makeTrainer(gpu, sizes, stepProgram(sizes, dtype));
    return {
      step: async () => {
        const loss = await trainer.step(true);
        await loss.data();
        loss.dispose();
      },
      dispose: () => trainer.dispose(),
    };
  },
  "sizes that change": async (gpu) => {
    const T = dim("T");
    const program = compile({ x: f32(T, 64) }, ({ x }) => x.mul(2).add(1));
    const length = changing(512);
    // Few programs stay loaded, so their own buffers come and go too.
    const loaded = new Map<number, Awaited<ReturnType<typeof program.load>>>();
    return {
      async step(i) {
        const t = length(i);
        const session = loaded.get(t) ?? (await program.load(gpu, { dims: { T: t } }));
        loaded.delete(t);
        loaded.set(t, session);
        const y = await session.run({ x: new Float32Array(t * 64) }, { read: true });
        await y.data();
        y.dispose();
        if (loaded.size <= 8) return;
        const [oldest] = loaded.keys();
        loaded.get(oldest as number)?.dispose();
        loaded.delete(oldest as number);
      },
      dispose() {
        for (const s of loaded.values()) s.dispose();
      },
    };
  },
  "sessions that come and go": async (gpu) => {
    const T = dim("T");
    const program = compile({ w: f32(256, 256), x: f32(T, 256) }, ({ w, x }) => x.matmul(w).add(1), { weights: ["w"] });
    const w = noise(256 * 256);
    const length = changing(64);
    return {
      async step(i) {
        const t = length(i);
        using session = await program.load(gpu, { weights: { w }, dims: { T: t } });
        const y = await session.run({ x: new Float32Array(t * 256) }, { read: true });
        await y.data();
        y.dispose();
      },
      dispose() {},
    };
  },
};

export const pool = (args: readonly string[]): Promise<number> =>
  command("pool", help, parseStep(args, 100, { rounds: false }), run);

async function run(options: StepOptions): Promise<number> {
  const rows: PoolRow[] = [];
  let device: Device = { key: "", text: "" };
  for (const user of Object.keys(users)) {
    for (const sizing of Object.keys(sizings)) {
      const gpu = await openDevice();
      device = deviceOf(gpu);
      try {
        rows.push(await measure(gpu, user, sizing, options));
      } finally {
        gpu.dispose();
      }
    }
  }
  const probe = new Probe(options);
  const { config, sizes, dtype } = options;
  await profileStep(probe, sizes, dtype);
  const result = { bench: "pool", adapter: device.text, config, sizes, dtype, rows };
  return deliver(options, { bench: "pool", device, result, text: `pool on ${device.text}\n${text(rows)}` }, probe);
}

async function measure(gpu: Gpu, user: string, sizing: string, options: Options): Promise<PoolRow> {
  const { steps } = options;
  // Nothing has been taken from the device's own pool yet.
  (gpu as { pool: BufferPool }).pool = new BufferPool(gpu, sizings[sizing]);
  const made = await (users[user] as (typeof users)[string])(gpu, options);
  const { counts } = gpu.pool;
  const start = { ...counts, buffers: gpu.counters.buffers };
  let half = { buffers: start.buffers, at: performance.now() };
  const middle = steps >> 1;
  for (let i = 0; i < steps; i++) {
    if (i === middle) half = { buffers: gpu.counters.buffers, at: performance.now() };
    await made.step(i);
  }
  const ms = (performance.now() - half.at) / (steps - middle);
  const acquisitions = counts.acquisitions - start.acquisitions;
  const { buffers, bytesHeld } = gpu.counters;
  made.dispose();
  return {
    ...{ user, sizing, steps, acquisitions, ms },
    hit_rate: (counts.hits - start.hits) / acquisitions,
    create_buffer: (buffers - start.buffers) / steps,
    create_buffer_later: (buffers - half.buffers) / (steps - middle),
    bytes_held: bytesHeld,
  };
}

function text(rows: readonly PoolRow[]): string {
  const head = ["user", "sizes", "asked for", "found", "created a step", "in the second half", "MiB held", "ms"];
  const lines = rows.map((r) => [
    ...[r.user, r.sizing, `${r.acquisitions}`, `${(100 * r.hit_rate).toFixed(1)}%`],
    ...[r.create_buffer.toFixed(2), r.create_buffer_later.toFixed(2)],
    ...[(r.bytes_held / 2 ** 20).toFixed(2), r.ms.toFixed(2)],
  ]);
  return tableText(head, lines, 2);
}
