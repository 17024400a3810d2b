import type { Array as JaxArray } from "@jax-js/jax";
import { adamW, batchOf, elements, type Gpt2Sizes, hashWeights, parameterShapes } from "./gpt2-model.ts";
import type { Jax } from "./jax.ts";

type Params = Record<string, JaxArray>;
/** Parameters and AdamW's moments; the bias corrections 1 - beta^t are scalars on the device. */
type State = { params: Params; m: Params; v: Params; corrections: [JaxArray, JaxArray] };

export interface JaxTrainer {
  /** Queues a step; gives the loss before its update, still on the device. */
  step(): JaxArray;
  dispose(): void;
}

/**
 * The training step in jax-js, as fast as its public functions make it: forward, its own autodiff and AdamW in one jit,
 * everything resident.
 */
export function jaxTrainer(jax: Jax, sizes: Gpt2Sizes): JaxTrainer {
  const { numpy: np, nn } = jax;
  const { layers, width: d, heads, vocab, batch: B, seq: T } = sizes;
  const shapes = Object.entries(parameterShapes(sizes)).map(([name, shape]): [string, number[]] => [name, [...shape]]);

  /** A parameter for one more use: every function of jax-js consumes its arguments. */
  const take = (p: Params, name: string): JaxArray => (p[name] as JaxArray).ref;
  const linear = (x: JaxArray, p: Params, name: string): JaxArray =>
    np.matmul(x, take(p, `${name}.weight`)).add(take(p, `${name}.bias`));
  function norm(x: JaxArray, p: Params, name: string): JaxArray {
    const centred = x.ref.sub(x.mean(-1, { keepdims: true }));
    const variance = np.square(centred.ref).mean(-1, { keepdims: true });
    return centred
      .div(np.sqrt(variance.add(1e-5)))
      .mul(take(p, `${name}.weight`))
      .add(take(p, `${name}.bias`));
  }
  /** Causal attention; its own `dotProductAttention` needs a newer Node, and is this. */
  function mix(x: JaxArray, p: Params, block: string): JaxArray {
    const qkv = linear(x, p, `${block}.attn.c_attn`)
      .reshape([B, T, 3, heads, d / heads])
      .transpose([2, 0, 3, 1, 4]);
    const [q, k, v] = [qkv.ref.slice(0), qkv.ref.slice(1), qkv.slice(2)] as const;
    const scores = np.matmul(q, np.swapaxes(k, -1, -2)).mul(1 / Math.sqrt(d / heads));
    const past = np.tri(T, T, 0, { dtype: np.bool });
    const weights = nn.softmax(np.where(past, scores, Number.NEGATIVE_INFINITY), -1);
    const y = np.matmul(weights, v).transpose([0, 2, 1, 3]).reshape([B, T, d]);
    return linear(y, p, `${block}.attn.c_proj`);
  }
  function lossOf(p: Params, tokens: JaxArray, targets: JaxArray): JaxArray {
    const wte = take(p, "transformer.wte.weight");
    let x = np.take(wte.ref, tokens, 0).add(take(p, "transformer.wpe.weight").slice([0, T]));
    for (let i = 0; i < layers; i++) {
      const block = `transformer.h.${i}`;
      x = x.ref.add(mix(norm(x, p, `${block}.ln_1`), p, block));
      const up = nn.gelu(linear(norm(x.ref, p, `${block}.ln_2`), p, `${block}.mlp.c_fc`), { approximate: true });
      x = x.add(linear(up, p, `${block}.mlp.c_proj`));
    }
    const logits = np.matmul(norm(x, p, "transformer.ln_f"), np.transpose(wte)).reshape([B * T, vocab]);
    // Its gather has no derivative inside jit when the gradient of what it gives is a constant.
    const picked = nn.logSoftmax(logits, -1).mul(nn.oneHot(targets.reshape([B * T]), vocab));
    for (const name of Object.keys(p)) p[name]?.dispose();
    return np.negative(picked.sum().div(B * T));
  }

  const [b1, b2] = adamW.betas;
  /** decayed parameter - lr * (m / c1) / (sqrt(v / c2) + eps) */
  function update(p: JaxArray, m: JaxArray, v: JaxArray, [c1, c2]: readonly [JaxArray, JaxArray]): JaxArray {
    const step = m.div(c1).div(np.sqrt(v.div(c2)).add(adamW.eps));
    return p.mul(1 - adamW.lr * adamW.weightDecay).sub(step.mul(adamW.lr));
  }
  const train = jax.jit((state: State, tokens: JaxArray, targets: JaxArray): [JaxArray, State] => {
    const { params, corrections } = state;
    const kept = jax.tree.ref(params);
    const [loss, grads] = jax.valueAndGrad(lossOf)(kept, tokens, targets) as unknown as [JaxArray, Params];
    // 1 - b^t = (1 - b) + b (1 - b^(t-1)): no cancellation.
    const c = [corrections[0].mul(b1).add(1 - b1), corrections[1].mul(b2).add(1 - b2)] as [JaxArray, JaxArray];
    const next: State = { params: {}, m: {}, v: {}, corrections: c };
    for (const [name] of shapes) {
      const g = grads[name] as JaxArray;
      const m = (state.m[name] as JaxArray).mul(b1).add(g.ref.mul(1 - b1));
      const v = (state.v[name] as JaxArray).mul(b2).add(np.square(g).mul(1 - b2));
      next.params[name] = update(params[name] as JaxArray, m.ref, v.ref, [c[0].ref, c[1].ref]);
      next.m[name] = m;
      next.v[name] = v;
    }
    return [loss, next];
  });

  const weights = hashWeights(sizes);
  const filled = (make: (name: string, shape: number[]) => JaxArray): Params =>
    Object.fromEntries(shapes.map(([name, shape]) => [name, make(name, shape)]));
  const zeros = () => filled((_, shape) => np.array(new Float32Array(elements(shape)), { shape }));
  let state: State = {
    params: filled((name, shape) => np.array(weights[name] as Float32Array, { shape })),
    m: zeros(),
    v: zeros(),
    corrections: [np.array(new Float32Array(1), { shape: [] }), np.array(new Float32Array(1), { shape: [] })],
  };
  const batch = batchOf(sizes);
  const tokens = np.array(batch.tokens, { shape: [B, T], dtype: np.int32 });
  const targets = np.array(batch.targets, { shape: [B, T], dtype: np.int32 });
  return {
    step() {
      const [loss, next] = train(state, tokens.ref, targets.ref);
      state = next;
      return loss;
    },
    dispose() {
      jax.tree.dispose(state);
      tokens.dispose();
      targets.dispose();
      train.dispose();
    },
  };
}
