import { parseArgs } from "node:util";
import type { Recipe } from "./checkpoint.ts";

/** The run that is made unless options say otherwise. */
export const defaults: Recipe = {
  layers: 4,
  width: 128,
  heads: 4,
  batch: 16,
  length: 16,
  steps: 300,
  lr: 1.2e-3,
  warmup: 30,
  seed: 0,
};

export const help = `usage: npm run demo:train -- [options]

A character-level GPT of 0.8 million parameters learns English words from the npm package an-array-of-english-words, and makes
up new ones. Without a GPU it takes some minutes on two cores. Ctrl-C saves a checkpoint; --resume goes on from it and
computes the same bits as a run without a break. More steps make better words.

what is learned, and how
  --steps N          optimiser steps, ${defaults.steps} by default
  --batch N          words a step, ${defaults.batch}
  --lr RATE          learning rate after the warm-up, ${defaults.lr}; it falls to a twentieth of that in half a cosine
  --warmup N         steps of the warm-up, ${defaults.warmup} at most and a quarter of all steps
  --layers N         ${defaults.layers}
  --width N          features of a character, ${defaults.width}
  --heads N          ${defaults.heads}
  --length N         characters of a word and its end, ${defaults.length}: longer words are left out
  --seed N           of the first parameters, the order of the words and the samples, ${defaults.seed}
  --words FILE       a JSON list, or one word a line, letters a to z, instead of the package

what is shown and kept
  --sample-every N   steps between samples, a sixth of all by default
  --temperature X    of the samples: below 1 likelier words, above 1 stranger ones; 0.8
  --out FOLDER       for checkpoint.safetensors and report.html, .cache/train by default
  --resume [FILE]    go on from a checkpoint, that of --out by default; what is learned and how is in it
  --json             print one JSON object with the figures at the end; all else goes to stderr
  -h, --help         print this

SINTER_ADAPTER=gpu|lavapipe|swiftshader chooses the adapter; NO_COLOR and FORCE_COLOR decide on colours.
Exit codes: 0 done, 1 refused, 2 wrong command line, 130 stopped by Ctrl-C.`;

export interface Options {
  readonly recipe: Recipe;
  readonly words: string | undefined;
  readonly every: number;
  readonly temperature: number;
  readonly out: string;
  /** A checkpoint to go on from; "" for that of `out`. */
  readonly resume: string | undefined;
  readonly json: boolean;
  readonly help: boolean;
}

const recipeNames = ["steps", "batch", "lr", "warmup", "layers", "width", "heads", "length", "seed"] as const;

/** The command line's options, or the line that says what is wrong with it. */
export function parseOptions(args: readonly string[]): Options | string {
  try {
    const string = { type: "string" } as const;
    const { values, positionals } = parseArgs({
      args: optionalResume(args),
      allowPositionals: true,
      options: {
        ...(Object.fromEntries(recipeNames.map((n) => [n, string])) as Record<
          (typeof recipeNames)[number],
          typeof string
        >),
        words: string,
        "sample-every": string,
        temperature: string,
        out: string,
        resume: string,
        json: { type: "boolean", default: false },
        help: { type: "boolean", short: "h", default: false },
      },
    });
    if (positionals.length) throw new Error(`${JSON.stringify(positionals[0])} is no option`);
    const fixed = recipeNames.find((n) => values[n] !== undefined);
    if (values.resume !== undefined && fixed) {
      throw new Error(`--${fixed} cannot go with --resume: the checkpoint says how the run goes on`);
    }
    const recipe = readRecipe(values);
    return {
      recipe,
      words: values.words,
      every: whole("sample-every", values["sample-every"]) ?? 0,
      temperature: positive("temperature", values.temperature) ?? 0.8,
      out: values.out ?? ".cache/train",
      resume: values.resume,
      json: values.json,
      help: values.help,
    };
  } catch (e) {
    return (e as Error).message.split(/\. |\n/)[0] as string;
  }
}

/** `--resume` with its file left out: the empty name stands for it. */
const optionalResume = (args: readonly string[]): string[] =>
  args.map((a, i) => (a === "--resume" && (args[i + 1] ?? "-").startsWith("-") ? "--resume=" : a));

function readRecipe(values: Readonly<Partial<Record<(typeof recipeNames)[number], string>>>): Recipe {
  const size = (name: (typeof recipeNames)[number]): number => whole(name, values[name]) ?? defaults[name];
  const steps = size("steps");
  const recipe: Recipe = {
    layers: size("layers"),
    width: size("width"),
    heads: size("heads"),
    batch: size("batch"),
    length: size("length"),
    steps,
    lr: positive("lr", values.lr) ?? defaults.lr,
    warmup: whole("warmup", values.warmup) ?? Math.max(1, Math.min(defaults.warmup, steps >> 2)),
    seed: whole("seed", values.seed, 0) ?? defaults.seed,
  };
  if (recipe.width % recipe.heads !== 0)
    throw new Error(`--heads is ${recipe.heads}, which does not divide --width ${recipe.width}`);
  if (recipe.warmup >= steps) throw new Error(`--warmup is ${recipe.warmup}, but must be less than --steps ${steps}`);
  if (recipe.length < 4) throw new Error(`--length is ${recipe.length}, but must be at least 4`);
  return recipe;
}

function whole(name: string, text: string | undefined, least = 1): number | undefined {
  if (text === undefined) return undefined;
  const n = /^\d{1,9}$/.test(text) ? Number(text) : -1;
  if (n >= least) return n;
  throw new Error(`--${name} is ${JSON.stringify(text)}, but must be a whole number from ${least} on`);
}

function positive(name: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const x = text.trim() === "" ? Number.NaN : Number(text);
  if (x > 0 && Number.isFinite(x)) return x;
  throw new Error(`--${name} is ${JSON.stringify(text)}, but must be a number above 0`);
}
