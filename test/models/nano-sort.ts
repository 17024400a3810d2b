import { readFileSync } from "node:fs";
import { sharedFile } from "../support/shared.ts";
import { type GptSizes, type GptWeights, gptWeights } from "./gpt.ts";

interface Encoded {
  readonly shape: readonly number[];
  readonly data: string;
}

/** The published values of one forward pass over 3 sequences of 11 tokens; `attention` ones only where the causal mask lets through. */
export const partialNames = [
  ["tok_emb", "pos_emb", "x", "ln1", "q", "k", "v", "qkv", "att", "attSm", "y", "yProj", "attnResid", "ln2", "fc"],
  ["gelu", "mlp", "mlpResid", "block0", "block1", "block2", "ln_f", "lm_head", "probs"],
].flat();

export interface NanoSort {
  readonly sizes: GptSizes;
  readonly weights: GptWeights<Float32Array>;
  readonly partials: ReadonlyMap<string, Float32Array>;
  /** Token ids [3, 11] of the published pass. */
  readonly ids: Int32Array;
}

/** A GPT of 3 blocks trained to sort 6 letters out of 3, with published intermediate values; undefined where it is not at hand. */
export function nanoSort(tests: string): NanoSort | undefined {
  const model = sharedFile("models/gpt-nano-sort/gpt-nano-sort-model.json", tests);
  const values = sharedFile("models/gpt-nano-sort/gpt-nano-sort-t0-partials.json", tests);
  if (!model || !values) return undefined;
  const published = read(model);
  const { config } = published as unknown as { config: Record<string, number> };
  const sizes: GptSizes = {
    layers: config.n_layer as number,
    heads: config.n_head as number,
    width: config.n_embd as number,
    vocabulary: config.vocab_size as number,
    context: config.block_size as number,
    matrices: "out-in",
    tied: false,
  };
  const weights = gptWeights(sizes, (shape, name) => {
    const w = published[name] as Encoded;
    if (w.shape.join() !== shape.join()) throw new Error(`${name} is [${w.shape}], [${shape}] expected`);
    return decode(w);
  });
  const t0 = read(values);
  const partials = new Map(partialNames.map((name) => [name, decode(t0[name] as Encoded)]));
  return { sizes, weights, partials, ids: Int32Array.from(decode(t0.idx as Encoded)) };
}

const read = (file: string): Record<string, Encoded> =>
  JSON.parse(readFileSync(file, "utf8")) as Record<string, Encoded>;

function decode({ shape, data }: Encoded): Float32Array {
  const bytes = Uint8Array.from(atob(data), (c) => c.charCodeAt(0));
  const out = new Float32Array(bytes.buffer);
  const expected = shape.reduce((n, d) => n * d, 1);
  if (out.length !== expected) throw new Error(`${out.length} values for shape [${shape}]`);
  return out;
}

/** Sequences of 6 letters out of 3, one row each, from a linear congruential generator. */
export function letters(samples: number, seed = 1): Int32Array {
  let state = seed;
  return Int32Array.from({ length: samples * 6 }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) | 0;
    return Math.floor(((state >>> 0) / 2 ** 32) * 3);
  });
}

/**
 * Greedy decoding of the sorted letters: `next(ids, length)` gives, for sequences [samples, 11] of which `length` tokens
 * count, the likeliest token after each. Returns [samples, 6].
 */
export async function sortLetters(
  input: Int32Array,
  next: (ids: Int32Array, length: number) => Promise<ArrayLike<number>>,
): Promise<Int32Array> {
  const samples = input.length / 6;
  const ids = new Int32Array(samples * 11);
  const out = new Int32Array(samples * 6);
  for (let s = 0; s < samples; s++) ids.set(input.subarray(s * 6, s * 6 + 6), s * 11);
  for (let step = 0; step < 6; step++) {
    const chosen = await next(ids, 6 + step);
    for (let s = 0; s < samples; s++) {
      const token = chosen[s] as number;
      out[s * 6 + step] = token;
      if (step < 5) ids[s * 11 + 6 + step] = token;
    }
  }
  return out;
}

/** The rows that were not sorted, as text: `012210 became 001221`. */
export function wrongRows(input: Int32Array, sorted: Int32Array): string[] {
  const wrong: string[] = [];
  for (let i = 0; i < input.length; i += 6) {
    const [from, to] = [input.slice(i, i + 6), sorted.slice(i, i + 6)];
    const text = `${from.join("")} became ${to.join("")}`;
    if (from.sort().join() !== to.join()) wrong.push(text);
  }
  return wrong;
}
