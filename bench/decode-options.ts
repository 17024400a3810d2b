import { parseArgs } from "node:util";
import { type DecodeSizes, type FeedForwardSizes, gpt2Small, qwen4B } from "./decode-models.ts";
import { choice, count, type PlainOptions, parsed, plain, plainHelp, plainOptions, string } from "./options.ts";

export interface DecodeOptions extends PlainOptions {
  readonly programs: readonly ("gpt2" | "ffn")[];
  /** Of GPT-2's products and cache. */
  readonly dtypes: readonly ("f32" | "f16")[];
  readonly gpt2: DecodeSizes;
  readonly ffn: FeedForwardSizes;
  /** Tokens of each measurement. */
  readonly tokens: number;
  /** Where the first of them stands. */
  readonly position: number;
  /** Tokens whose scores are compared with the whole forward pass. */
  readonly checked: number;
}

export const help = `usage: npm run bench -- decode [options]

One token at a time: GPT-2 (124 M) with a cache of keys and values, and gated feed-forward layers of Qwen3-4B's sizes with int4
weights, of each layer others, so that no cache holds them. GPU time of a token by timestamps over many tokens in a row on a
GPU that was kept busy for 1.5 s before, beside the floor: the bytes that a token must read and write over the speed of a
plain copy in the same run, and 3.8 µs for each dispatch. Scores are compared with those of the whole forward pass at
every position, layers with f64: exit code 1 where they differ.

  --only NAME     gpt2 or ffn; both by default
  --dtype TYPE    of GPT-2's products and cache: f32 or f16; both by default
  --layers N      of both programs; 12 and ${qwen4B.layers} by default
  --width N  --heads N  --vocab N  --length N
                  other sizes of GPT-2; 768, 12, 50257 and a cache of 1024
  --hidden N  --intermediate N
                  sizes of the feed-forward layers; 2560 and 9728
  --group N       weights that share a scale, 32 or 128 (default)
  --scales TYPE   of the scales: f16 (default) or f32
  --tokens N      tokens of each measurement, 64 by default
  --position N    where the first of them stands; by default the middle of the cache
  --checked N     tokens that are compared, 16 by default
${plainHelp}

SINTER_ADAPTER=gpu|lavapipe|swiftshader chooses the adapter.`;

/** The command line's options, or what is wrong with it. */
export const parseDecode = (args: readonly string[]): DecodeOptions | string =>
  parsed(() => {
    const { values: v } = parseArgs({
      args: [...args],
      options: {
        ...{ only: string, dtype: string, layers: string, width: string, heads: string, vocab: string, length: string },
        ...{ hidden: string, intermediate: string, group: string, scales: string },
        ...{ tokens: string, position: string, checked: string },
        ...plainOptions,
      },
    });
    const size = (name: keyof typeof v, usual: number): number =>
      v[name] === undefined ? usual : count(name, v[name] as string);
    const gpt2: DecodeSizes = {
      layers: size("layers", gpt2Small.layers),
      width: size("width", gpt2Small.width),
      heads: size("heads", gpt2Small.heads),
      vocab: size("vocab", gpt2Small.vocab),
      length: size("length", gpt2Small.length),
    };
    const ffn: FeedForwardSizes = {
      ...qwen4B,
      layers: size("layers", qwen4B.layers),
      hidden: size("hidden", qwen4B.hidden),
      intermediate: size("intermediate", qwen4B.intermediate),
      group: Number(choice("group", v.group ?? "128", ["32", "128"])),
      scales: choice("scales", v.scales ?? "f16", ["f16", "f32"]),
    };
    const tokens = Math.min(size("tokens", 64), gpt2.length);
    return {
      ...plain(v, args),
      programs: v.only === undefined ? ["gpt2", "ffn"] : [choice("only", v.only, ["gpt2", "ffn"])],
      dtypes: v.dtype === undefined ? ["f32", "f16"] : [choice("dtype", v.dtype, ["f32", "f16"])],
      ...{ gpt2, ffn, tokens },
      position: Math.min(size("position", gpt2.length >> 1), gpt2.length - tokens),
      checked: Math.min(size("checked", 16), gpt2.length),
    };
  });
