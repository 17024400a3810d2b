import { add, attention, embedding, f32, gelu, iota, layerNorm, matmul, softmax, type Tensor, where } from "sinter";

/** Sizes of a GPT-2-like decoder. */
export interface GptSizes {
  readonly layers: number;
  readonly heads: number;
  readonly width: number;
  readonly vocabulary: number;
  /** Rows of the position table. */
  readonly context: number;
  /** How the matrices are stored: [in, out] (GPT-2's Conv1D) or [out, in] (PyTorch's Linear). */
  readonly matrices: "in-out" | "out-in";
  /** Whether the token table is the output matrix too. */
  readonly tied: boolean;
}

interface Linear<L> {
  readonly weight: L;
  readonly bias: L;
}

export interface GptBlock<L> {
  readonly ln1: Linear<L>;
  readonly qkv: Linear<L>;
  readonly attentionOut: Linear<L>;
  readonly ln2: Linear<L>;
  readonly up: Linear<L>;
  readonly down: Linear<L>;
}

/** Weights as a tree of whatever stands for one: specs, tensors, typed arrays. */
export interface GptWeights<L> {
  readonly tokens: L;
  readonly positions: L;
  readonly blocks: readonly GptBlock<L>[];
  readonly lnFinal: Linear<L>;
  readonly head?: L;
}

/** The tree of weights with `make(shape, transformers' name)` for each. */
export function gptWeights<L>(sizes: GptSizes, make: (shape: readonly number[], name: string) => L): GptWeights<L> {
  const { width: d, vocabulary, context } = sizes;
  const norm = (name: string): Linear<L> => ({
    weight: make([d], `${name}.weight`),
    bias: make([d], `${name}.bias`),
  });
  const linear = (name: string, from: number, to: number): Linear<L> => ({
    weight: make(sizes.matrices === "in-out" ? [from, to] : [to, from], `${name}.weight`),
    bias: make([to], `${name}.bias`),
  });
  const block = (name: string): GptBlock<L> => ({
    ln1: norm(`${name}.ln_1`),
    qkv: linear(`${name}.attn.c_attn`, d, 3 * d),
    attentionOut: linear(`${name}.attn.c_proj`, d, d),
    ln2: norm(`${name}.ln_2`),
    up: linear(`${name}.mlp.c_fc`, d, 4 * d),
    down: linear(`${name}.mlp.c_proj`, 4 * d, d),
  });
  return {
    tokens: make([vocabulary, d], "transformer.wte.weight"),
    positions: make([context, d], "transformer.wpe.weight"),
    blocks: Array.from({ length: sizes.layers }, (_, i) => block(`transformer.h.${i}`)),
    lnFinal: norm("transformer.ln_f"),
    ...(sizes.tied ? {} : { head: make([vocabulary, d], "lm_head.weight") }),
  };
}

export const gptSpecs = (sizes: GptSizes) => gptWeights(sizes, (shape) => f32(...shape));

export interface GptOptions {
  /** `op` uses the attention op; `spelled` writes it with matmul, where and softmax, so that its parts can be seen. */
  readonly attention?: "op" | "spelled";
  /** Sees the intermediates of the first block and the ends of all, under the names of Bycroft's published values. */
  readonly probe?: (name: string, value: Tensor) => void;
}

/**
 * Logits f32[B, T, vocabulary] of token ids i32[B, T]: GPT-2 (Radford et al. 2019), pre-norm blocks, learned positions,
 * GELU in its tanh form.
 */
export function gpt(w: GptWeights<Tensor>, ids: Tensor, sizes: GptSizes, options: GptOptions = {}): Tensor {
  const { probe = () => {} } = options;
  const transposeB = sizes.matrices === "out-in";
  const norm = (x: Tensor, p: Linear<Tensor>): Tensor =>
    layerNorm(x, { scale: p.weight, bias: p.bias, axes: [-1], epsilon: 1e-5 });
  const linear = (x: Tensor, p: Linear<Tensor>): Tensor => add(matmul(x, p.weight, { transposeB }), p.bias);
  const [B, T] = ids.shape as [number, number];

  const tokens = embedding(w.tokens, ids);
  const positions = w.positions.slice([[0, T]]).reshape([1, T, sizes.width]);
  probe("tok_emb", tokens);
  probe("pos_emb", positions);
  let x = add(tokens, positions);
  probe("x", x);
  w.blocks.forEach((block, index) => {
    const see = index === 0 ? probe : () => {};
    const ln1 = norm(x, block.ln1);
    see("ln1", ln1);
    const y = mix(linear(ln1, block.qkv), see);
    see("y", y);
    const projected = linear(y, block.attentionOut);
    see("yProj", projected);
    x = add(x, projected);
    see("attnResid", x);
    const ln2 = norm(x, block.ln2);
    see("ln2", ln2);
    const up = linear(ln2, block.up);
    see("fc", up);
    const activated = gelu(up, { approximate: "tanh" });
    see("gelu", activated);
    const down = linear(activated, block.down);
    see("mlp", down);
    x = add(x, down);
    see("mlpResid", x);
    probe(`block${index}`, x);
  });
  const last = norm(x, w.lnFinal);
  probe("ln_f", last);
  const logits = matmul(last, w.head ?? w.tokens, { transposeB: true });
  probe("lm_head", logits);
  probe("probs", softmax(logits, { axis: -1 }));
  return logits;

  function mix(qkv: Tensor, see: (name: string, value: Tensor) => void): Tensor {
    const { width: d, heads } = sizes;
    see("qkv", qkv);
    const head = (i: number): Tensor =>
      qkv
        .slice([null, null, [i * d, (i + 1) * d]])
        .reshape([B, T, heads, d / heads])
        .transpose([0, 2, 1, 3]);
    const [q, k, v] = [head(0), head(1), head(2)] as const;
    see("q", q);
    see("k", k);
    see("v", v);
    const y = options.attention === "spelled" ? spelled(q, k, v, see) : attention(q, k, v, { causal: true });
    return y.transpose([0, 2, 1, 3]).reshape([B, T, d]);
  }

  function spelled(q: Tensor, k: Tensor, v: Tensor, see: (name: string, value: Tensor) => void): Tensor {
    const past = iota([T, T], { axis: 1, dtype: "i32" }).lessEqual(iota([T, T], { axis: 0, dtype: "i32" }));
    const scores = matmul(q, k, { transposeB: true }).mul(1 / Math.sqrt(sizes.width / sizes.heads));
    const masked = where(past, scores, Number.NEGATIVE_INFINITY);
    see("att", masked);
    const weights = softmax(masked, { axis: -1 });
    see("attSm", weights);
    return matmul(weights, v);
  }
}
