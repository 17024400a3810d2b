import {
  attention,
  clamp,
  compile,
  dim,
  f32,
  gelu,
  l2,
  layerNorm,
  matmul,
  split,
  sum,
  type Tensor,
} from "../../../src/index.ts";
import type { Listed } from "./listed.ts";

const T = dim("T");

/** Programs of several families: weights, state, symbolic dims. */
export const wholePrograms: readonly Listed[] = [
  [
    "weights prepared once: transposed, cast and normalised",
    compile(
      { x: f32(6, 16), w: f32(24, 16), g: f32(24), b: f32(24) },
      ({ x, w, g, b }) =>
        matmul(x, w.div(l2(w, { axes: 1, keepDims: true })).transpose())
          .mul(g.exp())
          .add(b),
      { weights: ["w", "g", "b"] },
    ),
  ],
  [
    "a transformer block at a symbolic length",
    compile(
      { x: f32(2, T, 32), qkv: f32(32, 96), out: f32(32, 32), up: f32(32, 64), down: f32(64, 32), scale: f32(32) },
      ({ x, qkv, out, up, down, scale }) => {
        const heads = (t: Tensor): Tensor => t.reshape([2, T, 4, 8]).transpose([0, 2, 1, 3]);
        const [q, k, v] = split(matmul(layerNorm(x, { scale }), qkv), { axis: 2, parts: 3 }).map(heads) as [
          Tensor,
          Tensor,
          Tensor,
        ];
        const mixed = attention(q, k, v, { causal: true }).transpose([0, 2, 1, 3]).reshape([2, T, 32]);
        const h = x.add(matmul(mixed, out));
        return h.add(matmul(gelu(matmul(layerNorm(h), up)), down));
      },
      { weights: ["qkv", "out", "up", "down", "scale"] },
    ),
    {
      dims: { T: 13 },
      ranges: { qkv: [-0.3, 0.3], out: [-0.3, 0.3], up: [-0.3, 0.3], down: [-0.3, 0.3] },
    },
  ],
  [
    "an optimiser step over several parameters, with clipping; state is donated",
    compile(
      {
        p: { a: f32(9, 7), b: f32(13) },
        m: { a: f32(9, 7), b: f32(13) },
        g: { a: f32(9, 7), b: f32(13) },
        lr: f32(),
        bound: f32(),
      },
      ({ p, m, g, lr, bound }) => {
        const norm = sum(g.a.mul(g.a))
          .add(sum(g.b.mul(g.b)))
          .sqrt();
        const by = clamp(bound.div(norm), null, 1);
        const next = (["a", "b"] as const).map((k) => {
          const moment = m[k].mul(0.9).add(g[k].mul(by).mul(0.1));
          return { k, moment, value: p[k].sub(moment.mul(lr)) };
        });
        return {
          norm,
          p: Object.fromEntries(next.map((n) => [n.k, n.value])),
          m: Object.fromEntries(next.map((n) => [n.k, n.moment])),
        };
      },
      { donate: ["p", "m"] },
    ),
  ],
  [
    "states that exchange their places",
    compile({ a: f32(6), b: f32(6), x: f32(6) }, ({ a, b, x }) => ({ a: b, b: a.add(x) }), { donate: ["a", "b"] }),
  ],
];
