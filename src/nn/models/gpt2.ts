import { fail } from "../../base/diagnostic.ts";
import { embedding } from "../../frontend/attention.ts";
import { add } from "../../frontend/binary.ts";
import { dynamicSlice } from "../../frontend/dynamic.ts";
import { enter } from "../../frontend/enter.ts";
import { layerNorm } from "../../frontend/normalise.ts";
import { f32, type TensorSpec } from "../../frontend/spec.ts";
import { split } from "../../frontend/split.ts";
import { type Tensor, wrap } from "../../frontend/tensor.ts";
import { gelu } from "../../frontend/unary.ts";
import { type Dim, isSym } from "../../ir/dim.ts";
import { mergeHeads, splitHeads } from "../attention.ts";
import { linear } from "../linear.ts";
import { readConfig } from "./config.ts";
import { inDType, type LanguageModel, languageModel, type Run } from "./language-model.ts";

/** Sizes of a GPT-2. */
export interface Gpt2Config {
  readonly layers: number;
  /** Features of a token; `heads` divides it. */
  readonly width: number;
  readonly heads: number;
  readonly vocabulary: number;
  /** Rows of the position table: the longest sequence. */
  readonly positions: number;
  /** Features between the two matrices of a feed-forward layer, 4 * width by default. */
  readonly hidden?: number;
  /** Added to the variance of layer norms, 1e-5 by default. */
  readonly epsilon?: number;
}

interface Affine<L> {
  readonly weight: L;
  readonly bias: L;
}

/** Parameters of one layer of GPT-2. */
export interface Gpt2Block<L> {
  readonly ln_1: Affine<L>;
  readonly attn: { readonly c_attn: Affine<L>; readonly c_proj: Affine<L> };
  readonly ln_2: Affine<L>;
  readonly mlp: { readonly c_fc: Affine<L>; readonly c_proj: Affine<L> };
}

/** GPT-2's parameters, as transformers names them. Matrices are [in, out]; the token table is the output matrix too. */
export interface Gpt2Params<L> {
  readonly transformer: {
    readonly wte: { readonly weight: L };
    readonly wpe: { readonly weight: L };
    readonly h: readonly Gpt2Block<L>[];
    readonly ln_f: Affine<L>;
  };
}

/** What {@link gpt2} gives. */
export type Gpt2 = LanguageModel<Gpt2Config, Gpt2Params<TensorSpec>>;

/**
 * GPT-2 (Radford et al., 2019): pre-norm blocks, learned positions, GELU in its tanh form, tied embeddings. DistilGPT-2 is
 * `gpt2({ layers: 6, width: 768, heads: 12, vocabulary: 50257, positions: 1024 })`.
 */
export function gpt2(config: Gpt2Config): Gpt2 {
  const c = readConfig("gpt2", config, {
    layers: undefined,
    width: undefined,
    heads: undefined,
    vocabulary: undefined,
    positions: undefined,
    hidden: 4 * config.width,
    epsilon: 1e-5,
  });
  return languageModel({
    config: c,
    params: specs(c),
    init: (path) => {
      if (/\.ln_\w+\.weight$/.test(path)) return { fill: 1 };
      if (path.endsWith("bias")) return { fill: 0 };
      // Each block adds to the residual twice, so that its variance grows with the number of blocks unless these are smaller.
      return { std: path.endsWith("c_proj.weight") ? 0.02 / Math.sqrt(2 * c.layers) : 0.02 };
    },
    layers: c.layers,
    kvHeads: c.heads,
    headSize: c.width / c.heads,
    forward: (params, tokens, run) => forward(c, params, tokens, run),
  });
}

function specs(c: Required<Gpt2Config>): Gpt2Params<TensorSpec> {
  const { width: d } = c;
  const norm = (): Affine<TensorSpec> => ({ weight: f32(d), bias: f32(d) });
  const linear = (from: number, to: number): Affine<TensorSpec> => ({ weight: f32(from, to), bias: f32(to) });
  return {
    transformer: {
      wte: { weight: f32(c.vocabulary, d) },
      wpe: { weight: f32(c.positions, d) },
      h: Array.from({ length: c.layers }, () => ({
        ln_1: norm(),
        attn: { c_attn: linear(d, 3 * d), c_proj: linear(d, d) },
        ln_2: norm(),
        mlp: { c_fc: linear(d, c.hidden), c_proj: linear(c.hidden, d) },
      })),
      ln_f: norm(),
    },
  };
}

function forward(c: Required<Gpt2Config>, params: Gpt2Params<Tensor>, tokens: Tensor, run: Run): Tensor {
  const { wte, wpe, h, ln_f } = params.transformer;
  const norm = (x: Tensor, p: Affine<Tensor>): Tensor =>
    layerNorm(x, { scale: inDType(p.weight, "f32"), bias: inDType(p.bias, "f32"), axes: -1, epsilon: c.epsilon });
  const positions = positionRows(wpe.weight, tokens.size(1), run.position);
  const dense = (x: Tensor, p: Affine<Tensor>): Tensor => linear(run.cast(x), run.cast(p));
  let x = run.drop(inDType(add(embedding(wte.weight, tokens), positions), "f32"));
  h.forEach((block, layer) => {
    x = run.layer(
      (x, p: Gpt2Block<Tensor>) => {
        const qkv = dense(norm(x, p.ln_1), p.attn.c_attn);
        const [q, k, v] = split(qkv, { axis: -1, parts: 3 }).map((t) => splitHeads(t, c.heads));
        const mixed = run.attend(layer, q as Tensor, k as Tensor, v as Tensor);
        const y = add(x, inDType(run.drop(dense(mergeHeads(mixed), p.attn.c_proj)), "f32"));
        const up = gelu(dense(norm(y, p.ln_2), p.mlp.c_fc), { approximate: "tanh" });
        return add(y, inDType(run.drop(dense(up, p.mlp.c_proj)), "f32"));
      },
      x,
      block,
    );
  });
  return linear(run.cast(norm(x, ln_f)), run.cast(wte), { transposed: true });
}

/** The rows of the position table for `count` tokens. */
function positionRows(table: Tensor, count: Dim, position: Tensor | undefined): Tensor {
  const [rows, width] = table.shape as [number, number];
  if (!isSym(count) && count > rows) {
    fail("shape-mismatch", `gpt2: ${count} tokens, but the model has ${rows} positions`, {
      hint: "cut the sequences, or make the model with more positions",
    });
  }
  if (position !== undefined) return dynamicSlice(table, { starts: [position, 0], sizes: [count, width] });
  // Not the slice of the language, which gives min(rows, count) rows: a named dim counts as fitting until it is bound.
  const attrs = { starts: [0, 0], steps: [1, 1], sizes: [count, width] };
  return enter((b) => wrap(b.add("slice", [table.node], attrs)));
}
