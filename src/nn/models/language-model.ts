import { fail } from "../../base/diagnostic.ts";
import { attention, crossEntropy } from "../../frontend/attention.ts";
import { enter } from "../../frontend/enter.ts";
import { checkpoint } from "../../frontend/grad-call.ts";
import { oneOf, readOptions } from "../../frontend/options.ts";
import type { TensorSpec } from "../../frontend/spec.ts";
import { describe, isTensor, type Tensor } from "../../frontend/tensor.ts";
import type { MapTree } from "../../frontend/tree.ts";
import { cast } from "../../frontend/unary.ts";
import { type DropoutOptions, dropout } from "../dropout.ts";
import { cachedAttention, checkPosition, type KvCache, kvCacheSpecs } from "../kv-cache.ts";
import { mapTensors } from "../tree/leaves.ts";
import { type InitOptions, type InitRule, initTree } from "./init.ts";

/** How a model computes. */
export interface ForwardOptions {
  /**
   * The dtype of matrix products and of what lies between them, f32 by default. With f16, parameters are cast where they are
   * used; products accumulate in f32, and residuals, normalisations and the loss are f32, as PyTorch's autocast has it.
   */
  readonly dtype?: "f32" | "f16";
  /** Dropout of the embeddings and of what each layer adds. None by default. */
  readonly dropout?: DropoutOptions;
  /** Backward computes each block again from its input instead of keeping what is inside. False by default. */
  readonly checkpoint?: boolean;
}

/** What a step of decoding gives. */
export interface DecodeResult {
  /** [B, T, vocabulary] of the cache's dtype: the scores of the token after each. */
  readonly logits: Tensor;
  /** The caches with the new tokens. Donate the input and return it under the same name: it is updated in place. */
  readonly cache: readonly KvCache[];
}

/** A decoder that predicts the next token. `S` is the tree of its parameters' specs; joined by dots, its keys are transformers' names. */
export interface LanguageModel<C, S> {
  readonly config: C;
  /** Specs of the parameters, all f32. */
  readonly params: S;
  /** Parameters to begin training with. */
  init(options?: InitOptions): MapTree<S, TensorSpec, Float32Array>;
  /** [B, T, vocabulary]: the scores of the token after each of `tokens` (i32[B, T]). */
  logits(params: MapTree<S, TensorSpec, Tensor>, tokens: Tensor, options?: ForwardOptions): Tensor;
  /** The mean cross-entropy against `targets` (i32[B, T]), the tokens that follow `tokens`. */
  loss(params: MapTree<S, TensorSpec, Tensor>, tokens: Tensor, targets: Tensor, options?: ForwardOptions): Tensor;
  /** Specs of the caches for decoding, one a layer: state that begins as zeros. */
  cache(batch: number, length: number, dtype?: "f32" | "f16"): readonly KvCache<TensorSpec>[];
  /**
   * The scores after `tokens` (i32[B, T]), which stand at `position` (i32, 0-d) and after it, given the caches of all tokens
   * before. position + T must not exceed the cache's length.
   */
  decode(
    params: MapTree<S, TensorSpec, Tensor>,
    cache: readonly KvCache[],
    tokens: Tensor,
    position: Tensor,
  ): DecodeResult;
}

/** How one forward pass goes, which its layers ask for. */
export interface Run {
  readonly dtype: "f32" | "f16";
  /** Attention of one layer over q, k and v [B, heads, T, size]. */
  attend(layer: number, q: Tensor, k: Tensor, v: Tensor): Tensor;
  /** A tree of tensors, or one, in the dtype of the run. */
  cast<T>(tree: T): T;
  /** Where the tokens stand; undefined when they begin at 0. */
  readonly position: Tensor | undefined;
  drop(x: Tensor): Tensor;
  /** Calls a block, checkpointed where that is asked for. */
  layer<P>(fn: (x: Tensor, params: P) => Tensor, x: Tensor, params: P): Tensor;
}

/** What a model is made of. */
export interface Architecture<C, S> {
  readonly config: C;
  readonly params: S;
  readonly init: InitRule;
  readonly layers: number;
  readonly kvHeads: number;
  readonly headSize: number;
  forward(params: MapTree<S, TensorSpec, Tensor>, tokens: Tensor, run: Run): Tensor;
}

/** x in a dtype. */
export const inDType = (x: Tensor, dtype: "f32" | "f16"): Tensor => (x.dtype === dtype ? x : cast(x, dtype));

const castTo =
  (dtype: "f32" | "f16"): Run["cast"] =>
  (tree) =>
    mapTensors(tree, (_, x) => inDType(x, dtype)) as typeof tree;

const plain: Run["layer"] = (fn, x, params) => fn(x, params);
const checkpointed: Run["layer"] = (fn, x, params) => checkpoint(fn)(x, params);

/** The functions of a model. */
export function languageModel<C, S>(a: Architecture<C, S>): LanguageModel<C, S> {
  type Params = MapTree<S, TensorSpec, Tensor>;
  const logits = (op: string, params: Params, tokens: Tensor, options?: ForwardOptions): Tensor => {
    const o = readOptions(op, options, { dtype: "f32" as "f32" | "f16", dropout: undefined, checkpoint: false });
    checkTokens(op, tokens);
    const dtype = oneOf(op, "dtype", o.dtype, ["f32", "f16"]);
    return a.forward(params, tokens, {
      dtype,
      position: undefined,
      cast: castTo(dtype),
      attend: (_, q, k, v) => attention(q, k, v, { causal: true }),
      drop: (x) => dropout(x, o.dropout),
      layer: o.checkpoint ? checkpointed : plain,
    });
  };
  return {
    config: a.config,
    params: a.params,
    init: (options) => initTree(a.params, a.init, options) as MapTree<S, TensorSpec, Float32Array>,
    logits: (params, tokens, options) => enter(() => logits("logits", params, tokens, options)),
    loss: (params, tokens, targets, options) =>
      enter(() => crossEntropy(inDType(logits("loss", params, tokens, options), "f32"), targets)),
    cache: (batch, length, dtype = "f32") =>
      Array.from({ length: a.layers }, () => kvCacheSpecs(batch, a.kvHeads, length, a.headSize, dtype)),
    decode: (params, cache, tokens, position) =>
      enter(() => {
        checkTokens("decode", tokens);
        checkPosition("decode", position);
        if (cache.length !== a.layers) {
          fail("bad-arguments", `decode: the model has ${a.layers} layers, but there are ${cache.length} caches`, {
            hint: "declare them as model.cache(batch, length) gives them",
          });
        }
        const next = [...cache];
        const dtype = cache[0]?.key.dtype === "f16" ? "f16" : "f32";
        const logits = a.forward(params, tokens, {
          dtype,
          position,
          cast: castTo(dtype),
          attend: (layer, q, k, v) => {
            const made = cachedAttention(q, k, v, cache[layer] as KvCache, position);
            next[layer] = made.cache;
            return made.out;
          },
          drop: (x) => x,
          layer: plain,
        });
        return { logits, cache: next };
      }),
  };
}

function checkTokens(op: string, tokens: Tensor): void {
  if (isTensor(tokens) && tokens.rank === 2 && (tokens.dtype === "i32" || tokens.dtype === "u32")) return;
  fail("shape-mismatch", `${op} takes tokens as i32[B, T], not ${describe(tokens)}`, {
    hint: "declare them as i32(8, 128); one sequence is i32(1, 128)",
  });
}
