import { cast, cos, defineKernel, dim, f32, i32, sin, slice, stack, type Tensor } from "sinter";
import { like, wide } from "./precision.ts";

const tokens = dim("tokens", { hint: 1024 });
const heads = dim("heads", { hint: 12 });
const half = dim("half", { hint: 32 });

/** How the two features that turn together lie in a head. */
const pairings = {
  /** Features i and i + half, as in GPT-NeoX, Llama and Qwen. */
  halves: { shape: [tokens, heads, 2, half], axis: 2 },
  /** Features 2i and 2i + 1, as in GPT-J and the paper. */
  neighbours: { shape: [tokens, heads, half, 2], axis: 3 },
} as const;

/** Turns pairs by position · frequency, or back. */
const turn = (name: string, pairing: keyof typeof pairings, direction: 1 | -1) => {
  const { shape, axis } = pairings[pairing];
  const part = (x: Tensor, i: number): Tensor =>
    slice(x, { axes: [axis], starts: [i], ends: [i + 1] }).reshape([tokens, heads, half]);
  const [from, to] = direction === 1 ? (["x", "y"] as const) : (["dy", "dx"] as const);
  return defineKernel(
    {
      name,
      inputs: (float) => ({ [from]: float(...shape), positions: i32(tokens), frequencies: f32(half) }),
    },
    (inputs) => {
      const x = inputs[from] as Tensor;
      const { positions, frequencies } = inputs as unknown as { positions: Tensor; frequencies: Tensor };
      const angle = cast(positions, "f32").reshape([tokens, 1, 1]).mul(frequencies);
      const [c, s] = [cos(angle), direction === 1 ? sin(angle) : sin(angle).neg()];
      const [a, b] = [wide(part(x, 0)), wide(part(x, 1))];
      return { [to]: like(stack([a.mul(c).sub(b.mul(s)), b.mul(c).add(a.mul(s))], { axis }), x) };
    },
  );
};

/**
 * Rotary position embedding of heads of 2 · half features: features i and i + half turn by positions[token] · frequencies[i].
 * frequencies[i] is base^(-i / half), 10000 the usual base, scaled as the model asks.
 */
export const rope = turn("rope", "halves", 1);

/** The gradient of `rope` by x: turns back. */
export const ropeBackward = turn("ropeBackward", "halves", -1);

/** `rope` where features 2i and 2i + 1 turn together. */
export const ropeNeighbours = turn("ropeNeighbours", "neighbours", 1);

/** The gradient of `ropeNeighbours` by x: turns back. */
export const ropeNeighboursBackward = turn("ropeNeighboursBackward", "neighbours", -1);
