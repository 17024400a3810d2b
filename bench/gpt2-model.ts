import { readFileSync } from "node:fs";
import { gpt2Weight, hashTokens } from "../fixtures/hash-weights.ts";

/** Sizes of a GPT-2 and of what it is trained on. */
export interface Gpt2Sizes {
  readonly layers: number;
  readonly width: number;
  readonly heads: number;
  readonly vocab: number;
  /** Rows of the position table. */
  readonly positions: number;
  readonly batch: number;
  readonly seq: number;
}

/** The configurations of `../shared/oracle/torch_baseline.py`. */
export const configs = {
  tiny: { layers: 2, width: 64, heads: 4, vocab: 256, positions: 64, batch: 2, seq: 32 },
  small: { layers: 4, width: 256, heads: 8, vocab: 4096, positions: 256, batch: 2, seq: 128 },
  distil: { layers: 6, width: 768, heads: 12, vocab: 50257, positions: 1024, batch: 1, seq: 512 },
} as const satisfies Readonly<Record<string, Gpt2Sizes>>;

export type ConfigName = keyof typeof configs;

/** Sizes that the command line can change. */
export const sizeNames = ["layers", "width", "heads", "vocab", "batch", "seq"] as const;

/** Losses of PyTorch in float64, and how far off, relatively, those in f32 may be. */
export interface Oracle {
  readonly tolerance: number;
  readonly losses: readonly number[];
}

const oracles = [
  { file: "gpt2_tiny_float64.json", sizes: configs.tiny, tolerance: 1e-5 },
  { file: "gpt2_distil_float64.json", sizes: configs.distil, tolerance: 1e-4 },
  { file: "gpt2_distil8_float64.json", sizes: { ...configs.distil, batch: 8 }, tolerance: 1e-4 },
];

/** The losses that are known for these sizes. */
export function oracleOf(sizes: Gpt2Sizes): Oracle | undefined {
  const names = [...sizeNames, "positions"] as const;
  const known = oracles.find((o) => names.every((n) => o.sizes[n] === sizes[n]));
  if (!known) return undefined;
  const file = new URL(`../fixtures/oracle/${known.file}`, import.meta.url);
  const { losses } = JSON.parse(readFileSync(file, "utf8")) as { losses: number[] };
  return { tolerance: known.tolerance, losses };
}

/** The optimiser of the oracle: AdamW with decay on every parameter (Loshchilov and Hutter, 2019). */
export const adamW = { lr: 1e-3, betas: [0.9, 0.999], eps: 1e-8, weightDecay: 0.01 } as const;

/** Shape of every parameter by the name that transformers gives it; matrices are [in, out], and the output is tied. */
export function parameterShapes({ layers, width: d, vocab, positions }: Gpt2Sizes): Record<string, readonly number[]> {
  const shapes: Record<string, readonly number[]> = {
    "transformer.wte.weight": [vocab, d],
    "transformer.wpe.weight": [positions, d],
  };
  const add = (name: string, ...weight: number[]): void => {
    shapes[`${name}.weight`] = weight;
    shapes[`${name}.bias`] = weight.slice(-1);
  };
  for (let i = 0; i < layers; i++) {
    const block = `transformer.h.${i}`;
    add(`${block}.ln_1`, d);
    add(`${block}.attn.c_attn`, d, 3 * d);
    add(`${block}.attn.c_proj`, d, d);
    add(`${block}.ln_2`, d);
    add(`${block}.mlp.c_fc`, d, 4 * d);
    add(`${block}.mlp.c_proj`, 4 * d, d);
  }
  add("transformer.ln_f", d);
  return shapes;
}

export const elements = (shape: readonly number[]): number => shape.reduce((n, d) => n * d, 1);

/** The oracle's weights by name. */
export const hashWeights = (sizes: Gpt2Sizes): Record<string, Float32Array> =>
  Object.fromEntries(
    Object.entries(parameterShapes(sizes)).map(([name, shape]) => [name, gpt2Weight(name, elements(shape))]),
  );

/** The oracle's batch: tokens i32[batch, seq] and the tokens that follow them. */
export const batchOf = (sizes: Gpt2Sizes) => hashTokens(sizes.vocab, sizes.batch, sizes.seq);
