import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { HostTensor, TensorSpec } from "sinter";
import { gpt2, llama, loadSafetensors } from "sinter/nn";
import { gpt2Weight, hashTokens, llamaWeight } from "../../fixtures/hash-weights.ts";
import { isSpec } from "../../src/frontend/trace.ts";
import { type MapTree, mapTree } from "../../src/frontend/tree.ts";
import { count } from "../../src/ir/ndarray.ts";
import { projectRoot } from "../support/shared.ts";

const file = (name: string): string => join(projectRoot, "fixtures/oracle", name);

/** Parameters for a tree of specs, each made from its path. */
export const hashParams = <S>(
  specs: S,
  weight: (name: string, n: number) => Float32Array,
): MapTree<S, TensorSpec, Float32Array> =>
  mapTree(specs, isSpec, "", (path, spec: TensorSpec) => weight(path, count(spec.shape as number[]))) as never;

/** What PyTorch gave for a model. */
export interface Reference {
  readonly losses: readonly number[];
  readonly tensors: Readonly<Record<string, HostTensor>>;
}

async function reference(json: string, tensors: string): Promise<Reference> {
  const known = JSON.parse(readFileSync(file(json), "utf8")) as { losses?: number[]; loss?: number };
  return {
    losses: known.losses ?? [known.loss as number],
    tensors: (await loadSafetensors(readFileSync(file(tensors)))).tensors,
  };
}

const batch = { size: 2, length: 32 };

/** GPT-2 of the fixtures `gpt2_tiny_float64`. */
export const tinyGpt2 = {
  model: gpt2({ layers: 2, width: 64, heads: 4, vocabulary: 256, positions: 64 }),
  weight: gpt2Weight,
  ...batch,
  ...hashTokens(256, batch.size, batch.length),
  reference: () => reference("gpt2_tiny_float64.json", "gpt2_tiny_float64.safetensors"),
} as const;

/** Llama of the fixtures `llama_tiny`. */
export const tinyLlama = {
  model: llama({ layers: 2, width: 64, hidden: 176, heads: 4, kvHeads: 2, vocabulary: 256 }),
  weight: llamaWeight,
  ...batch,
  ...hashTokens(256, batch.size, batch.length),
  reference: () => reference("llama_tiny.json", "llama_tiny.safetensors"),
} as const;

/** |a - e| / |e| of two tensors as vectors; NaN where there is one. */
export function relativeNorm(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  if (actual.length !== expected.length) throw new Error(`${actual.length} elements instead of ${expected.length}`);
  let [difference, norm] = [0, 0];
  for (let i = 0; i < expected.length; i++) {
    difference += ((actual[i] as number) - (expected[i] as number)) ** 2;
    norm += (expected[i] as number) ** 2;
  }
  return Math.sqrt(difference / norm);
}

/** The largest |a - e|; NaN where there is one. */
export function largestDifference(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  if (actual.length !== expected.length) throw new Error(`${actual.length} elements instead of ${expected.length}`);
  let worst = 0;
  for (let i = 0; i < expected.length; i++) {
    const d = Math.abs((actual[i] as number) - (expected[i] as number));
    if (!(d <= worst)) worst = d;
  }
  return worst;
}
