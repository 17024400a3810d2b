import { parseArgs } from "node:util";
import { type ConfigName, configs, type Gpt2Sizes, oracleOf, sizeNames } from "./gpt2-model.ts";
import {
  choice,
  count,
  flag,
  type PlainOptions,
  parsed,
  plain,
  plainHelp,
  plainOptions,
  sizeOptions,
  string,
  Wrong,
} from "./options.ts";

export const profileNames = ["base", "subgroups", "f16", "lavapipe", "h200"] as const;
export const dtypes = ["f32", "f16x3", "f16"] as const;

export interface Gpt2Options extends PlainOptions {
  readonly config: ConfigName;
  readonly sizes: Gpt2Sizes;
  readonly dtype: (typeof dtypes)[number];
  readonly steps: number;
  /** Compare the losses with the oracle's. */
  readonly check: boolean;
  /** Run the same step in jax-js, in turns. */
  readonly vs: boolean;
  /** Print what the plan says, for this profile, and run nothing. */
  readonly plan: (typeof profileNames)[number] | undefined;
  /** File for a drawing of the memory. */
  readonly memory: string | undefined;
}

export const help = `usage: npm run bench -- gpt2-train [options]

Trains GPT-2 on one batch, weights and tokens made by a hash: forward, backward and AdamW as one program, one submit a
step. Step times are medians in milliseconds: synced, with the loss of each step read back before the next begins, and
pipelined, with N steps submitted and one wait.

  --config NAME   tiny (2 layers, width 64, 2x32 tokens), small (4, 256, 2x128) or distil (6, 768, 1x512); default tiny
  --layers N  --width N  --heads N  --vocab N  --batch N  --seq N
                  change one size of the configuration
  --dtype TYPE    f32 (default); f16x3: the same with products as accurate by matrix hardware where there is any; or f16: f16
                  activations and products, f32 parameters, a constant loss scale
  --steps N       steps of each measurement, 10 by default
  --check         compare the losses with PyTorch's float64 ones; exit code 1 when they differ by more than 1e-5 (tiny)
                  or 1e-4 (distil, also with --batch 8), relative; 2e-2 with --dtype f16
  --vs jax-js     the same step in @jax-js/jax on the same adapter in turns, in f32, and how many times faster this is
  --plan          print what the plan says, without a device
  --for NAME      with --plan, also as --profile NAME: limits of ${profileNames.join(", ")}; default base
  --memory FILE   write a drawing of who needs memory when (SVG)
${plainHelp}

SINTER_ADAPTER=gpu|lavapipe|swiftshader chooses the adapter. What a JSON field means stands in docs/performance.md.`;

/** The command line's options, or what is wrong with it. */
export const parseGpt2 = (args: readonly string[]): Gpt2Options | string =>
  parsed(() => {
    const { values: v } = parseArgs({
      args: forPlan(args),
      options: {
        ...{ config: string, dtype: string, steps: string, vs: string, for: string, memory: string },
        ...{ check: flag, plan: flag },
        ...sizeOptions,
        ...plainOptions,
      },
    });
    if (v.help) return { ...empty, help: true };
    const config = choice("config", v.config ?? "tiny", Object.keys(configs) as ConfigName[]);
    const sizes = sizesOf(config, v);
    const plan = choice("for", v.for ?? "base", profileNames);
    if (v.for !== undefined && !v.plan) throw new Wrong("--for goes with --plan: a device has its own limits");
    const runs = (["check", "vs", "profile", "trace", "save", "out"] as const).find((name) => v[name]);
    if (v.plan && runs) throw new Wrong(`--plan runs nothing, so it cannot go with --${runs}`);
    if (v.vs !== undefined) choice("vs", v.vs, ["jax-js"]);
    if (v.check && !oracleOf(sizes)) {
      const known = "tiny, distil, and distil with --batch 8";
      throw new Wrong(`--check has no reference losses for these sizes, only for ${known}`);
    }
    return {
      config,
      sizes,
      dtype: choice("dtype", v.dtype ?? "f32", dtypes),
      steps: count("steps", v.steps ?? "10"),
      ...plain(v, args),
      check: v.check,
      vs: v.vs !== undefined,
      plan: v.plan ? plan : undefined,
      memory: v.memory,
    };
  });

/** With `--plan`, which runs nothing, a `--profile` that names one is that of the device: `--for`. */
function forPlan(args: readonly string[]): string[] {
  const named = (a: string, i: number): boolean => a.startsWith("--profile=") || /^[^-]/.test(args[i + 1] ?? "");
  if (!args.includes("--plan")) return [...args];
  return args.map((a, i) => (/^--profile(=|$)/.test(a) && named(a, i) ? a.replace("--profile", "--for") : a));
}

const empty: Gpt2Options = {
  config: "tiny",
  sizes: configs.tiny,
  dtype: "f32",
  steps: 10,
  ...{ json: false, check: false, vs: false, profile: false, help: false, args: [] },
  ...{ plan: undefined, memory: undefined, trace: undefined, out: undefined },
};

export function sizesOf(config: ConfigName, values: Readonly<Record<string, unknown>>): Gpt2Sizes {
  const sizes = { ...configs[config] } as Record<keyof Gpt2Sizes, number>;
  for (const name of sizeNames) {
    const text = values[name];
    if (typeof text === "string") sizes[name] = count(name, text);
  }
  if (sizes.width % sizes.heads !== 0) {
    throw new Wrong(`--heads is ${sizes.heads}, which does not divide the width ${sizes.width}`);
  }
  // The table only has to be long enough: its other rows decay, as the oracle's do.
  sizes.positions = Math.max(sizes.positions, sizes.seq);
  return sizes;
}
