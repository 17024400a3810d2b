import { architecture } from "./architecture.ts";
import type { Tokenizer } from "./tokenizer.ts";

/** Token ids of several sentences, padded with 0 to one length. */
export interface Batch {
  readonly ids: Int32Array;
  readonly lengths: Int32Array;
  /** Sentences. */
  readonly B: number;
  /** Tokens of the longest sentence, at least 1. */
  readonly T: number;
}

/** Tokenises sentences and pads them; ids beyond the encoder's limit are dropped. */
export function toBatch(tokenizer: Tokenizer, sentences: readonly string[]): Batch {
  const rows = sentences.map((s) => tokenizer.encode(s).slice(0, architecture.maxTokens));
  const B = rows.length;
  const T = Math.max(1, ...rows.map((r) => r.length));
  const ids = new Int32Array(B * T);
  rows.forEach((row, i) => {
    ids.set(row, i * T);
  });
  return { ids, lengths: Int32Array.from(rows, (r) => r.length), B, T };
}
