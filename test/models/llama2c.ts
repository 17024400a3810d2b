import { readFileSync } from "node:fs";
import { type Llama, llama } from "sinter/nn";
import { sharedFile } from "../support/shared.ts";

/** A tree of Llama's parameters. */
type Weights = ReturnType<Llama["init"]>;

export interface Stories {
  readonly model: Llama;
  readonly params: Weights;
  /** The tokens that the model continues its first token with, always taking the likeliest. */
  readonly tokens: readonly number[];
  /** The scores after the first token. */
  readonly logits: readonly number[];
}

/** The model that tells stories in 260,000 parameters, with what llama2.c publishes for it; undefined where it is not at hand. */
export function stories260K(tests: string): Stories | undefined {
  const checkpoint = sharedFile("models/stories260K/stories260K.bin", tests);
  const golden = sharedFile("models/stories260K/golden.json", tests);
  if (!checkpoint || !golden) return undefined;
  const known = JSON.parse(readFileSync(golden, "utf8")) as { tokens: number[]; logits_pos0: number[] };
  return { ...readCheckpoint(readFileSync(checkpoint)), tokens: known.tokens, logits: known.logits_pos0 };
}

/**
 * A checkpoint of llama2.c's first version: seven i32, then f32, each kind of matrix for all layers before the next kind. Its
 * rotary embedding pairs neighbours, its norms add 1e-5.
 */
function readCheckpoint(file: Buffer): Pick<Stories, "model" | "params"> {
  const [width, hidden, layers, heads, kvHeads, words, length] = Array.from({ length: 7 }, (_, i) =>
    file.readInt32LE(4 * i),
  ) as [number, number, number, number, number, number, number];
  // A negative size of the vocabulary says that the output matrix is one of its own.
  const [vocabulary, tied] = [Math.abs(words), words > 0];
  let at = 28;
  const take = (n: number): Float32Array => {
    const bytes = file.subarray(at, (at += 4 * n));
    return new Float32Array(Uint8Array.from(bytes).buffer);
  };
  const takeAll = (n: number): Float32Array[] => Array.from({ length: layers }, () => take(n));
  const kv = (width / heads) * kvHeads;
  const table = take(vocabulary * width);
  const all = {
    inputNorm: takeAll(width),
    q: takeAll(width * width),
    k: takeAll(kv * width),
    v: takeAll(kv * width),
    o: takeAll(width * width),
    mlpNorm: takeAll(width),
    gate: takeAll(hidden * width),
    down: takeAll(width * hidden),
    up: takeAll(hidden * width),
  };
  const norm = take(width);
  take(length * (width / heads));
  const head = tied ? undefined : take(vocabulary * width);
  if (at !== file.length) throw new Error(`${file.length} bytes instead of ${at}`);
  const of = (kind: keyof typeof all, layer: number) => ({ weight: all[kind][layer] as Float32Array });
  const params = {
    model: {
      embed_tokens: { weight: table },
      layers: Array.from({ length: layers }, (_, i) => ({
        self_attn: { q_proj: of("q", i), k_proj: of("k", i), v_proj: of("v", i), o_proj: of("o", i) },
        mlp: { gate_proj: of("gate", i), up_proj: of("up", i), down_proj: of("down", i) },
        input_layernorm: of("inputNorm", i),
        post_attention_layernorm: of("mlpNorm", i),
      })),
      norm: { weight: norm },
    },
    ...(head ? { lm_head: { weight: head } } : {}),
  };
  const config = { layers, width, heads, kvHeads, hidden, vocabulary, tied, epsilon: 1e-5 };
  return { model: llama({ ...config, pairing: "neighbours" }), params };
}
