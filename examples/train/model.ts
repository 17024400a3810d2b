import { argMax, compile, crossEntropy, f32, i32, log, neg, type Tensor, u32, uniform, valueAndGrad } from "sinter";
import { adamW, adamWInit, decayMatrices, type Gpt2, gpt2 } from "sinter/nn";
import { padding, vocabulary } from "./words.ts";

/** Sizes of the model and of what a step sees. */
export interface Sizes {
  readonly layers: number;
  readonly width: number;
  readonly heads: number;
  /** Words a step. */
  readonly batch: number;
  /** Tokens a word, its end counted: longer words are left out. */
  readonly length: number;
}

/** Words that are made at once. */
export const samples = 200;

export const modelOf = ({ layers, width, heads, length }: Sizes): Gpt2 =>
  gpt2({ layers, width, heads, vocabulary, positions: length });

/** Parameters to begin with: GPT-2's, but its 0.02 suits hundreds of features; matrices three times as large learn faster here. */
export const firstParams = (model: Gpt2, seed: number): ReturnType<Gpt2["init"]> =>
  scaleMatrices(model.params, model.init({ seed }));

/** One step: the mean loss of a character, its gradient, and AdamW's update of the parameters, which are state. */
export function trainingStep(model: Gpt2, { batch, length }: Sizes) {
  return compile(
    {
      params: model.params,
      opt: adamWInit(model.params),
      tokens: i32(batch, length),
      targets: i32(batch, length),
      lr: f32(),
    },
    ({ params, opt, tokens, targets, lr }) => {
      const lossOf = (p: typeof params): Tensor =>
        crossEntropy(model.logits(p, tokens), targets, { ignoreIndex: padding });
      const { value: loss, grad } = valueAndGrad(lossOf)(params);
      const next = adamW(params, grad, opt, { lr, betas: [0.9, 0.99], weightDecay: 0.1, mask: decayMatrices });
      return { loss, params: next.params, opt: next.state };
    },
    { donate: ["params", "opt"] },
  );
}

/**
 * One character of each of {@link samples} words: takes the characters before, whose keys and values are in the cache, and
 * gives the next, drawn from the model's distribution, and the loss of the one that is given as target.
 */
export function nextCharacter(model: Gpt2, { length }: Sizes) {
  return compile(
    {
      params: model.params,
      cache: model.cache(samples, length),
      token: i32(samples),
      target: i32(samples),
      position: i32(),
      seed: u32(2),
      temperature: f32(),
    },
    ({ params, cache, token, target, position, seed, temperature }) => {
      const decoded = model.decode(params, cache, token.reshape([samples, 1]), position);
      const scores = decoded.logits.reshape([samples, vocabulary]);
      // The largest of scores with Gumbel noise is a draw from their softmax (Gumbel, 1954).
      const noise = neg(log(neg(log(uniform(seed, [samples, vocabulary])))));
      return {
        cache: decoded.cache,
        token: argMax(scores.div(temperature).add(noise), { axis: 1 }),
        loss: crossEntropy(scores, target, { reduction: "none" }),
      };
    },
    { donate: ["cache"] },
  );
}

function scaleMatrices<T>(specs: unknown, params: T): T {
  const walk = (spec: unknown, value: unknown): unknown => {
    if (value instanceof Float32Array) {
      return (spec as { shape: readonly unknown[] }).shape.length < 2 ? value : value.map((x) => 3 * x);
    }
    const entries = Object.entries(value as object).map(([k, v]) => [k, walk((spec as Record<string, unknown>)[k], v)]);
    return Array.isArray(value) ? entries.map(([, v]) => v) : Object.fromEntries(entries);
  };
  return walk(specs, params) as T;
}
