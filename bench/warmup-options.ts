import { parseArgs } from "node:util";
import { type ConfigName, configs } from "./gpt2-model.ts";
import { choice, count, flag, type PlainOptions, parsed, plain, plainHelp, plainOptions, string } from "./options.ts";

export interface WarmupBenchOptions extends PlainOptions {
  readonly config: ConfigName;
  readonly dtype: "f32" | "f16" | "f16x3";
  readonly batch: number | undefined;
  readonly rounds: number;
  readonly concurrency: number | undefined;
  /** With what the driver keeps, instead of texts that it has not seen. */
  readonly warm: boolean;
  readonly check: boolean;
}

/** What the measurement must reach, with --check. */
export const bounds = { ratio: 0.6, firstOverSteady: 2, coldMs: 1500, warmMs: 300 } as const;

export const help = `usage: npm run bench -- warmup [options]

Times all pipelines of GPT-2's training step: warmed up several at a time, one after the other, and made where the first
step needs them. Then the first step after a warm-up beside later ones. Every measurement is on a new device and, without
--warm, on texts that no driver has seen; where drivers keep what they compile is a folder that is empty at the start.

  --config NAME   tiny (2 layers, width 64), small (4, 256) or distil (6, 768); default tiny
  --dtype TYPE    f32 (default), f16 or f16x3
  --batch N       sequences a step; default as in the configuration
  --rounds N      times each is measured, 3 by default; figures are medians
  --concurrency N pipelines compiled at a time where several are; default as in the library
  --warm          the texts as they are, after a warm-up that is not counted, with the driver's own caches
  --check         exit code 1 when the first step takes more than ${bounds.firstOverSteady} later ones or, on a GPU, the concurrent warm-up
                  takes more than ${bounds.ratio} of the sequential one, or ${bounds.coldMs} ms (${bounds.warmMs} ms with --warm)
${plainHelp}

SINTER_ADAPTER=gpu|lavapipe|swiftshader chooses the adapter. What a JSON field means stands in docs/performance.md.`;

/** The command line's options, or what is wrong with it. */
export const parseWarmup = (args: readonly string[]): WarmupBenchOptions | string =>
  parsed(() => {
    const { values: v } = parseArgs({
      args: [...args],
      options: {
        config: string,
        dtype: string,
        batch: string,
        rounds: string,
        concurrency: string,
        warm: flag,
        check: flag,
        ...plainOptions,
      },
    });
    return {
      config: choice("config", v.config ?? "tiny", Object.keys(configs) as ConfigName[]),
      dtype: choice("dtype", v.dtype ?? "f32", ["f32", "f16", "f16x3"]),
      batch: v.batch === undefined ? undefined : count("batch", v.batch, most),
      rounds: count("rounds", v.rounds ?? "3", most),
      concurrency: v.concurrency === undefined ? undefined : count("concurrency", v.concurrency, most),
      warm: v.warm,
      check: v.check,
      ...plain(v, args),
    };
  });

const most = 1000;
