import { fail } from "../../base/diagnostic.ts";
import { embedding, rope } from "../../frontend/attention.ts";
import { add } from "../../frontend/binary.ts";
import { iota } from "../../frontend/leaf.ts";
import { rmsNorm } from "../../frontend/normalise.ts";
import { f32, type TensorSpec } from "../../frontend/spec.ts";
import type { Tensor } from "../../frontend/tensor.ts";
import { mergeHeads, splitHeads } from "../attention.ts";
import { positionsFrom } from "../kv-cache.ts";
import { linear } from "../linear.ts";
import { swiglu } from "../swiglu.ts";
import { readConfig } from "./config.ts";
import { inDType, type LanguageModel, languageModel, type Run } from "./language-model.ts";

/** Sizes of a Llama. */
export interface LlamaConfig {
  readonly layers: number;
  /** Features of a token; `heads` divides it into heads of even size. */
  readonly width: number;
  readonly heads: number;
  /** Heads of keys and values, a divisor of `heads`; as many by default. */
  readonly kvHeads?: number;
  /** Features inside the gated feed-forward layers. */
  readonly hidden: number;
  readonly vocabulary: number;
  /** Added to the mean square of RMS norms, 1e-6 by default. */
  readonly epsilon?: number;
  /** The base of the rotary frequencies, 10000 by default. */
  readonly ropeBase?: number;
  /** Which features turn together: i and i + size/2 (`halves`, as in transformers; default), or 2i and 2i + 1 (as in llama2.c). */
  readonly pairing?: "halves" | "neighbours";
  /** Whether the token table is the output matrix too; false by default. */
  readonly tied?: boolean;
}

interface Weight<L> {
  readonly weight: L;
}

/** Parameters of one layer of Llama. */
export interface LlamaBlock<L> {
  readonly self_attn: {
    readonly q_proj: Weight<L>;
    readonly k_proj: Weight<L>;
    readonly v_proj: Weight<L>;
    readonly o_proj: Weight<L>;
  };
  readonly mlp: { readonly gate_proj: Weight<L>; readonly up_proj: Weight<L>; readonly down_proj: Weight<L> };
  readonly input_layernorm: Weight<L>;
  readonly post_attention_layernorm: Weight<L>;
}

/** Llama's parameters, as transformers names them. Matrices are [out, in]; a tied model has no `lm_head`. */
export interface LlamaParams<L> {
  readonly model: {
    readonly embed_tokens: Weight<L>;
    readonly layers: readonly LlamaBlock<L>[];
    readonly norm: Weight<L>;
  };
  readonly lm_head?: Weight<L>;
}

/** What {@link llama} gives. */
export type Llama = LanguageModel<LlamaConfig, LlamaParams<TensorSpec>>;

/**
 * Llama (Touvron et al., 2023): pre-norm blocks of RMS norm, attention with rotary positions and grouped heads, and SwiGLU.
 */
export function llama(config: LlamaConfig): Llama {
  const c = readConfig("llama", config, {
    layers: undefined,
    width: undefined,
    heads: undefined,
    kvHeads: config.heads,
    hidden: undefined,
    vocabulary: undefined,
    epsilon: 1e-6,
    ropeBase: 10000,
    pairing: "halves" as const,
    tied: false,
  });
  if ((c.width / c.heads) % 2 !== 0) {
    fail("bad-option", `llama: heads of ${c.width / c.heads} features (width ${c.width} over ${c.heads} heads)`, {
      cause: "rotary positions turn features in pairs",
      hint: "choose a width of which each head gets an even part",
    });
  }
  return languageModel({
    config: c,
    params: specs(c),
    init: (path) => (/norm\.weight$/.test(path) ? { fill: 1 } : { std: 0.02 }),
    layers: c.layers,
    kvHeads: c.kvHeads,
    headSize: c.width / c.heads,
    forward: (params, tokens, run) => forward(c, params, tokens, run),
  });
}

function specs(c: Required<LlamaConfig>): LlamaParams<TensorSpec> {
  const { width: d } = c;
  const kv = (d / c.heads) * c.kvHeads;
  const weight = (...shape: number[]): Weight<TensorSpec> => ({ weight: f32(...shape) });
  return {
    model: {
      embed_tokens: weight(c.vocabulary, d),
      layers: Array.from({ length: c.layers }, () => ({
        self_attn: { q_proj: weight(d, d), k_proj: weight(kv, d), v_proj: weight(kv, d), o_proj: weight(d, d) },
        mlp: { gate_proj: weight(c.hidden, d), up_proj: weight(c.hidden, d), down_proj: weight(d, c.hidden) },
        input_layernorm: weight(d),
        post_attention_layernorm: weight(d),
      })),
      norm: weight(d),
    },
    ...(c.tied ? {} : { lm_head: weight(c.vocabulary, d) }),
  };
}

function forward(c: Required<LlamaConfig>, params: LlamaParams<Tensor>, tokens: Tensor, run: Run): Tensor {
  const { embed_tokens, layers, norm } = params.model;
  const count = tokens.size(1);
  const normed = (x: Tensor, p: Weight<Tensor>): Tensor =>
    rmsNorm(x, { scale: inDType(p.weight, "f32"), axes: -1, epsilon: c.epsilon });
  let x = run.drop(inDType(embedding(embed_tokens.weight, tokens), "f32"));
  layers.forEach((block, layer) => {
    x = run.layer(
      (x, p: LlamaBlock<Tensor>) => {
        const { q_proj, k_proj, v_proj, o_proj } = p.self_attn;
        const dense = (x: Tensor, w: Weight<Tensor>): Tensor => linear(run.cast(x), run.cast(w), { transposed: true });
        const positions = run.position === undefined ? iota([count]) : positionsFrom(run.position, count);
        const turned = (x: Tensor): Tensor => rope(x, positions, { base: c.ropeBase, pairing: c.pairing });
        const h = normed(x, p.input_layernorm);
        const q = turned(splitHeads(dense(h, q_proj), c.heads));
        const k = turned(splitHeads(dense(h, k_proj), c.kvHeads));
        const v = splitHeads(dense(h, v_proj), c.kvHeads);
        const y = add(x, inDType(run.drop(dense(mergeHeads(run.attend(layer, q, k, v)), o_proj)), "f32"));
        const { gate_proj: gate, up_proj: up, down_proj: down } = p.mlp;
        const fed = swiglu(run.cast(normed(y, p.post_attention_layernorm)), run.cast({ gate, up, down }), {
          transposed: true,
        });
        return add(y, inDType(run.drop(fed), "f32"));
      },
      x,
      block,
    );
  });
  const head = params.lm_head ?? embed_tokens;
  return linear(run.cast(normed(x, norm)), run.cast(head), { transposed: true });
}
