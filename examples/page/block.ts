import { attention, compile, dim, f32, gelu, layerNorm, split, type Tensor } from "sinter";

const width = 64;
const headCount = 4;
const depth = width / headCount;

/** Lengths of the sequence that the page offers. */
export const lengths = [16, 64, 256] as const;

const T = dim("T", { hint: 64 });

/** One block of a transformer over f32[T, 64], the same weights for every length. */
export const block = compile(
  {
    x: f32(T, width),
    qkv: f32(width, 3 * width),
    out: f32(width, width),
    up: f32(width, 4 * width),
    down: f32(4 * width, width),
  },
  ({ x, qkv, out, up, down }) => {
    const heads = layerNorm(x).matmul(qkv).reshape([T, 3, headCount, depth]).transpose([1, 2, 0, 3]);
    const [q, k, v] = split(heads, { parts: 3 }).map((part) => part.reshape([headCount, T, depth]));
    const mixed = attention(q as Tensor, k as Tensor, v as Tensor, { causal: true });
    const y = x.add(mixed.transpose([1, 0, 2]).reshape([T, width]).matmul(out));
    return y.add(gelu(layerNorm(y).matmul(up)).matmul(down));
  },
  { weights: ["qkv", "out", "up", "down"] },
);
