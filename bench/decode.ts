import { type Gpu, openDevice } from "sinter";
import { ffnRun } from "./decode-ffn.ts";
import { gpt2Run } from "./decode-gpt2.ts";
import { type DecodeOptions, help, parseDecode } from "./decode-options.ts";
import { type DecodeFigures, type DecodeRun, drainUs, timeRun } from "./decode-run.ts";
import { deliver } from "./deliver.ts";
import { command } from "./options.ts";
import { Probe } from "./probe.ts";
import { deviceOf } from "./saved.ts";
import { tableText } from "./table.ts";

/** A program beside its floor. */
export interface DecodeRow extends DecodeFigures {
  /** The bytes by a copy, and what the dispatches take. */
  readonly floor_us: number;
  /** The floor over the GPU's time. */
  readonly ratio: number;
}

/** `npm run bench -- decode …`: returns the exit code, 2 for a wrong command line, 1 for results that are off. */
export const decode = (args: readonly string[]): Promise<number> => command("decode", help, parseDecode(args), run);

async function run(options: DecodeOptions): Promise<number> {
  const gpu = await openDevice();
  const probe = new Probe(options);
  try {
    probe.require(gpu);
    const found: DecodeFigures[] = [];
    for (const open of runsOf(options)) {
      const made = await open(gpu);
      found.push(await timeRun(gpu, made, options.tokens));
      await probe.session(made.name, made.session, made.inputsAt(options.tokens >> 1), 20);
      made.session.dispose();
    }
    const copy = Math.max(...found.map((f) => f.copy));
    const rows = found.map((f): DecodeRow => {
      const floor_us = (f.bytes / copy) * 1e6 + drainUs * f.dispatches;
      return { ...f, floor_us, ratio: floor_us / f.gpu_us };
    });
    const device = deviceOf(gpu);
    const { gpt2, ffn, dtypes, tokens, position } = options;
    const result = {
      ...{ bench: "decode", adapter: device.text, gpt2, ffn, dtypes, tokens, position },
      ...{ copy_tb_per_s: copy / 1e12, rows },
    };
    const wrong = rows
      .filter((r) => !(r.difference <= r.tolerance))
      .map((r) => `${r.name} is off by ${r.difference.toExponential(1)}, more than ${r.tolerance}`);
    return deliver(options, { bench: "decode", device, result, text: text(device.text, copy, rows), wrong }, probe);
  } finally {
    gpu.dispose();
  }
}

/** The programs to time: GPT-2 in each type, the feed-forward layers. */
const runsOf = (options: DecodeOptions): readonly ((gpu: Gpu) => Promise<DecodeRun>)[] =>
  options.programs.flatMap((name) =>
    name === "ffn"
      ? [(gpu: Gpu) => ffnRun(gpu, options)]
      : options.dtypes.map((dtype) => (gpu: Gpu) => gpt2Run(gpu, options, dtype)),
  );

const us = (x: number): string => (Number.isNaN(x) ? "-" : x.toFixed(1));

function text(device: string, copy: number, rows: readonly DecodeRow[]): string {
  const head = ["program", "layers", "dispatches", "a layer", "MB", "floor µs", "GPU µs", "least", "ratio"];
  const more = ["synced µs", "pipelined µs", "off by"];
  const lines = rows.map((r) => [
    ...[r.name, `${r.layers}`, `${r.dispatches}`, r.dispatches_per_layer.toFixed(2), (r.bytes / 1e6).toFixed(1)],
    ...[us(r.floor_us), us(r.gpu_us), us(r.gpu_min_us), Number.isNaN(r.ratio) ? "-" : r.ratio.toFixed(2)],
    ...[us(r.synced_us), us(r.pipelined_us), r.difference.toExponential(1)],
  ]);
  const speed = Number.isFinite(copy) ? `, a copy moves ${(copy / 1e12).toFixed(2)} TB/s` : "";
  return `decode on ${device}${speed}\n${tableText([...head, ...more], lines, 1)}`;
}
