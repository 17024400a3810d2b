import type { Gpu } from "sinter";
import { gpt2Weight, hashTokens } from "../fixtures/hash-weights.ts";
import { type DecodeSizes, gpt2Decode, gpt2Forward } from "./decode-models.ts";
import type { DecodeOptions } from "./decode-options.ts";
import { type DecodeRun, type Differing, largest } from "./decode-run.ts";
import { elements } from "./gpt2-model.ts";

type Tree = { readonly [name: string]: Tree } | Float32Array;

/** The oracle's weights as the tree of the program's parameters; of all layers the same, since numbers take seconds to make. */
function weightsOf(specs: unknown, made: Map<string, Float32Array>, path = ""): Tree {
  const spec = specs as { readonly dtype?: string; readonly shape?: readonly number[] };
  if (spec.dtype !== undefined) {
    const name = path.replace(/\.h\.\d+\./, ".h.0.");
    const known = made.get(name) ?? gpt2Weight(name, elements(spec.shape as number[]));
    made.set(name, known);
    return known;
  }
  const entries = Object.entries(specs as object).map(([k, v]) => {
    return [k, weightsOf(v, made, path ? `${path}.${k}` : k)] as const;
  });
  return Array.isArray(specs) ? (entries.map(([, v]) => v) as never) : Object.fromEntries(entries);
}

/** A token's bytes: every weight once, of the tables for tokens and positions a row, the cache up to the token, the scores. */
function bytesOf(s: DecodeSizes, size: number, position: number): number {
  const { width: d, vocab } = s;
  const matrices = s.layers * (12 * d * d + 9 * d) * size + s.layers * 4 * d * 4;
  const cache = s.layers * 2 * d * (position + 1) * size;
  return matrices + cache + vocab * d * size + 2 * d * 4 + 2 * d * 4 + vocab * size;
}

/** GPT-2 with a cache, ready to be timed. */
export async function gpt2Run(gpu: Gpu, o: DecodeOptions, dtype: "f32" | "f16"): Promise<DecodeRun> {
  const { gpt2: s, tokens: count } = o;
  const program = gpt2Decode(s, dtype);
  const specs = program.traced.specs as { readonly params: unknown };
  const params = weightsOf(specs.params, new Map()) as never;
  const size = dtype === "f16" ? 2 : 4;
  const zeros = new Float32Array(s.length * s.width);
  const state = { cache: Array.from({ length: s.layers }, () => ({ key: zeros, value: zeros })) };
  const session = await program.load(gpu, { weights: { params }, state, strict: true } as never);
  const { tokens } = hashTokens(s.vocab, 1, Math.max(count, o.checked));
  const inputsAt = (i: number): object => ({
    tokens: tokens.slice(i % tokens.length, (i % tokens.length) + 1),
    position: Int32Array.of(o.position + (i % count)),
  });
  const check = async (): Promise<Differing> => {
    const forward = await gpt2Forward(s, dtype, o.checked).load(gpu, { weights: { params }, strict: true } as never);
    const whole = (await forward.run({ tokens: tokens.slice(0, o.checked) } as never)) as never as {
      logits: { data(): Promise<ArrayLike<number>>; dispose(): void };
    };
    const expected = await whole.logits.data();
    whole.logits.dispose();
    forward.dispose();
    let worst: Differing = { difference: 0, tolerance: dtype === "f16" ? 2e-2 : 1e-4 };
    for (let t = 0; t < o.checked; t++) {
      const input = { tokens: tokens.slice(t, t + 1), position: Int32Array.of(t) };
      const { logits } = (await session.run(input as never)) as never as typeof whole;
      const row = Array.from({ length: s.vocab }, (_, j) => expected[t * s.vocab + j] as number);
      const difference = largest(await logits.data(), row);
      logits.dispose();
      worst = { ...worst, difference: Math.max(worst.difference, difference) };
    }
    return worst;
  };
  return {
    name: `gpt2 ${dtype}`,
    session: session as never,
    layers: s.layers,
    // The row of the token, and the scores, belong to no layer.
    apart: 2,
    bytes: bytesOf(s, size, o.position + count / 2),
    inputsAt,
    check,
  };
}
