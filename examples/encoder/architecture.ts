import { type GraphModel, takeWeight } from "./weights.ts";

/** Where a weight is in the published file, and its shape. */
interface Source {
  readonly source: string;
  readonly shape: readonly number[];
}

/** A tree of the same form with every {@link Source} replaced. */
type Filled<T, L> = T extends Source ? L : { readonly [K in keyof T]: Filled<T[K], L> };

/**
 * Universal Sentence Encoder Lite (Cer et al. 2018, "Universal Sentence Encoder", the transformer variant over
 * SentencePiece ids). The first layer attends over 256 features and hands on 512; the second works on 512.
 */
export const architecture = {
  vocabulary: 8002,
  embedding: 256,
  width: 512,
  hidden: 1536,
  heads: 4,
  /** Tokens of a sentence beyond this many are dropped. */
  maxTokens: 128,
  layerNormEpsilon: 1e-6,
} as const;

const { vocabulary, embedding, width, hidden } = architecture;
const root = "module_apply_default/Encoder_en/KonaTransformer/Encode";
const at = (source: string, ...shape: number[]): Source => ({ source, shape });
const part = (path: string): string => `${root}/${path}/ConcatPartitions/concat`;

/** Weights of one transformer layer whose attention is `inner` wide. */
function layer(index: number, inner: number) {
  const own = `Layer_${index}/TransformerLayer`;
  const kernel = (path: string) =>
    `module/Encoder_en/KonaTransformer/Encode/${own}/MultiheadAttention/${path}/kernel/part_0`;
  const dense = (path: string) => `${root}/TransformerStack/${own}/FFN/${path}/Tensordot/Reshape_1`;
  const norm = (path: string, features: number) => ({
    scale: at(part(`${own}/${path}layer_prepostprocess/layer_norm/layer_norm_scale`), features),
    bias: at(part(`${own}/${path}layer_prepostprocess/layer_norm/layer_norm_bias`), features),
  });
  return {
    attention: {
      norm: norm("", inner),
      qkv: {
        weight: at(kernel("qkv_transform_single"), inner, 3 * inner),
        bias: at(part(`${own}/MultiheadAttention/qkv_transform_single/bias`), 3 * inner),
      },
      output: {
        weight: at(kernel("output_transform_single"), inner, width),
        bias: at(part(`${own}/MultiheadAttention/output_transform_single/bias`), width),
      },
    },
    feedForward: {
      norm: norm("FFN/", width),
      up: { weight: at(dense("conv1"), width, hidden), bias: at(part(`${own}/FFN/conv1/bias`), hidden) },
      down: { weight: at(dense("conv2"), hidden, width), bias: at(part(`${own}/FFN/conv2/bias`), width) },
    },
  };
}

const sources = {
  embedding: at("module/Embeddings_en", vocabulary, embedding),
  /** Angular frequencies of the timing signal, in radians a token. */
  frequencies: at(`${root}/TransformerStack/Layer_0/AddTimingSignal/TimingSignal/ExpandDims_1`, 1, embedding / 2),
  first: {
    ...layer(0, embedding),
    /** Widens the residual stream from 256 to 512 features. */
    widen: {
      weight: at(part("Layer_0/TransformerLayer/dense/kernel"), embedding, width),
      bias: at(part("Layer_0/TransformerLayer/dense/bias"), width),
    },
  },
  second: layer(1, width),
  sentence: {
    weight: at("module/Encoder_en/hidden_layers/tanh_layer_0/weights", width, width),
    bias: at("module/Encoder_en/hidden_layers/tanh_layer_0/bias", width),
  },
};

/** The encoder's weights as a tree of whatever stands for one: specs, tensors, typed arrays. */
export type EncoderWeights<L> = Filled<typeof sources, L>;

/** The tree of weights with `make(shape, name in the file)` for each. */
export function weightTree<L>(make: (shape: readonly number[], source: string) => L): EncoderWeights<L> {
  const fill = (tree: object): unknown =>
    "source" in tree
      ? make((tree as Source).shape, (tree as Source).source)
      : Object.fromEntries(Object.entries(tree).map(([name, child]) => [name, fill(child as object)]));
  return fill(sources) as EncoderWeights<L>;
}

/**
 * The encoder's weights out of a read model.
 * @throws SinterError `corrupted-weights` when one is missing or has another shape or dtype.
 */
export const loadWeights = (model: GraphModel): EncoderWeights<Float32Array> =>
  weightTree((shape, source) => takeWeight(model, source, shape));
