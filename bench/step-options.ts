import { parseArgs } from "node:util";
import type { ConfigName, Gpt2Sizes } from "./gpt2-model.ts";
import { configs } from "./gpt2-model.ts";
import { dtypes, sizesOf } from "./gpt2-options.ts";
import {
  choice,
  count,
  type PlainOptions,
  parsed,
  plain,
  plainHelp,
  plainOptions,
  sizeOptions,
  string,
} from "./options.ts";

/** Options of benchmarks that run GPT-2's training step in several ways. */
export interface StepOptions extends PlainOptions {
  readonly config: ConfigName;
  readonly sizes: Gpt2Sizes;
  readonly dtype: (typeof dtypes)[number];
  /** Of each sample. */
  readonly steps: number;
  /** Samples of each way, in turns. */
  readonly rounds: number;
}

/** What a benchmark that takes no samples in turns leaves out. */
interface Without {
  readonly rounds: false;
}

export const stepOptionsHelp = (
  steps: number,
  without?: Without,
): string => `  --config NAME   tiny (default), small or distil
  --layers N  --width N  --heads N  --vocab N  --batch N  --seq N
                  change one size of the configuration
  --dtype TYPE    f32 (default), f16x3 or f16
  --steps N       steps of a sample, ${steps} by default
${without ? "" : "  --rounds N      samples of each way, 3 by default; their median counts\n"}${plainHelp}`;

/** The command line's options, or what is wrong with it. */
export const parseStep = (args: readonly string[], steps: number, without?: Without): StepOptions | string =>
  parsed(() => {
    const options = { config: string, dtype: string, steps: string, ...sizeOptions, ...plainOptions } as const;
    const { values: v } = parseArgs({
      args: [...args],
      options: { ...options, ...((without ? {} : { rounds: string }) as { readonly rounds: typeof string }) },
    });
    const config = choice("config", v.config ?? "tiny", Object.keys(configs) as ConfigName[]);
    return {
      config,
      sizes: sizesOf(config, v),
      dtype: choice("dtype", v.dtype ?? "f32", dtypes),
      steps: count("steps", v.steps ?? `${steps}`),
      rounds: count("rounds", v.rounds ?? "3"),
      ...plain(v, args),
    };
  });
