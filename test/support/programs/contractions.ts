import {
  attention,
  cast,
  compile,
  einsum,
  f16,
  f32,
  gelu,
  i32,
  matmul,
  split,
  sum,
  type Tensor,
  tanh,
} from "../../../src/index.ts";
import type { Listed } from "./listed.ts";

/** Matrix products and attention. */
export const contractionPrograms: readonly Listed[] = [
  [
    "matmul with bias and gelu",
    compile({ x: f32(17, 64), w: f32(64, 96), b: f32(96) }, ({ x, w, b }) =>
      gelu(matmul(x, w).add(b), { approximate: "tanh" }),
    ),
  ],
  [
    "matmul of odd sizes with a residual and a row sum after it",
    compile({ x: f32(5, 7), w: f32(7, 3), r: f32(5, 3) }, ({ x, w, r }) => {
      const y = matmul(x, w).add(r);
      return { y, s: sum(y, { axes: 1 }) };
    }),
  ],
  [
    "batched matmul, broadcast and transposed",
    compile({ a: f32(2, 1, 8, 6), b: f32(3, 10, 8), c: f32(3, 9, 5), d: f32(3, 9, 4) }, ({ a, b, c, d }) => ({
      x: matmul(a, b, { transposeA: true, transposeB: true }),
      y: matmul(c, d, { transposeA: true }),
    })),
  ],
  [
    "matmul of f16 with f32 epilogue",
    compile({ x: f16(33, 40), w: f16(40, 24), b: f32(24) }, ({ x, w, b }) => cast(matmul(x, w), "f32").add(b)),
  ],
  [
    "matrix times vector and vector times matrix",
    compile({ a: f32(130, 128), v: f32(128), w: f32(130) }, ({ a, v, w }) => ({ r: matmul(a, v), l: matmul(w, a) })),
  ],
  ["integer matmul", compile({ a: i32(6, 9), b: i32(9, 4) }, ({ a, b }) => matmul(a, b).add(1))],
  [
    "matmul with elementwise operands",
    compile({ x: f16(16, 64), s: f32(64), w: f32(64, 32), m: f32(16, 64) }, ({ x, s, w, m }) =>
      matmul(tanh(cast(x, "f32").mul(s)).mul(m), w.mul(0.5)),
    ),
  ],
  [
    "matmul over an empty axis",
    compile({ a: f32(3, 0), b: f32(0, 4), c: f32(4) }, ({ a, b, c }) => matmul(a, b).add(c)),
  ],
  ["einsum", compile({ a: f32(3, 4, 5), b: f32(4, 6, 3) }, ({ a, b }) => einsum("bij,ikb->bkj", a, b))],
  [
    "causal attention with grouped heads",
    compile({ q: f32(2, 4, 11, 8), k: f32(2, 2, 11, 8), v: f32(2, 2, 11, 8) }, ({ q, k, v }) =>
      attention(q, k, v, { causal: true }),
    ),
  ],
  [
    "masked attention of odd depth, keys beyond the queries",
    compile({ q: f32(3, 5, 7), k: f32(3, 9, 7), v: f32(3, 9, 5), m: f32(5, 9) }, ({ q, k, v, m }) =>
      attention(q, k, v, { mask: m, scale: 0.3 }),
    ),
  ],
  [
    "attention on parts of one tensor",
    compile({ qkv: f32(2, 13, 48) }, ({ qkv }) => {
      const [q, k, v] = split(qkv, { axis: 2, parts: 3 }).map((t) =>
        t.reshape([2, 13, 2, 8]).transpose([0, 2, 1, 3]),
      ) as [Tensor, Tensor, Tensor];
      return attention(q, k, v, { causal: true }).transpose([0, 2, 1, 3]).reshape([2, 13, 16]);
    }),
  ],
  [
    "attention of f16",
    compile({ q: f16(2, 6, 4), k: f16(2, 6, 4), v: f16(2, 6, 4) }, ({ q, k, v }) => attention(q, k, v)),
  ],
];
