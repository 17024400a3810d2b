import { fail } from "../../base/diagnostic.ts";
import type { Shape } from "../dim.ts";
import type { TensorType } from "../graph.ts";
import { count, ndarray } from "../ndarray.ts";
import type { OpRow } from "../op.ts";
import { typeText } from "./infer.ts";

type Words4 = readonly [number, number, number, number];

/** The upper 32 bits of a 32 x 32 bit product; every intermediate stays below 2^53. */
function mulHigh(a: number, b: number): number {
  const low = Math.floor((a * (b & 0xffff)) / 0x10000);
  return Math.floor((a * (b >>> 16) + low) / 0x10000);
}

/**
 * Philox-4x32-10: four random 32-bit words from a counter of four words and a key of two.
 * Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
 */
export function philox4x32(counter: Words4, key: readonly [number, number]): Words4 {
  let [c0, c1, c2, c3] = counter;
  let [k0, k1] = key;
  for (let round = 0; round < 10; round++) {
    const h0 = mulHigh(0xd2511f53, c0);
    const h1 = mulHigh(0xcd9e8d57, c2);
    const l0 = Math.imul(0xd2511f53, c0) >>> 0;
    const l1 = Math.imul(0xcd9e8d57, c2) >>> 0;
    c0 = (h1 ^ c1 ^ k0) >>> 0;
    c2 = (h0 ^ c3 ^ k1) >>> 0;
    c1 = l1;
    c3 = l0;
    k0 = (k0 + 0x9e3779b9) >>> 0;
    k1 = (k1 + 0xbb67ae85) >>> 0;
  }
  return [c0, c1, c2, c3];
}

function requireSeed(seed: TensorType | undefined): void {
  const [n] = seed?.shape ?? [];
  if (seed?.dtype === "u32" && seed.shape.length === 1 && n === 2) return;
  fail("bad-seed", `philox takes a seed of type u32[2], not ${seed ? typeText(seed) : "nothing"}`, {
    cause: "the seed is the generator's 64-bit key",
    hint: "give the seed as a Uint32Array of two words",
  });
}

export const randomRows: readonly OpRow[] = [
  {
    name: "philox",
    kind: "random",
    params: ["seed"],
    attrs: {
      shape: { type: "shape", doc: "the result's shape" },
      stream: { type: "int", doc: "which of the independent sequences of one seed", default: 0 },
    },
    doc: "Random u32 words by Philox-4x32-10 with key = seed (u32[2]): the element with row-major number i is word i mod 4 of counter (floor(i / 4), 0, stream, 0).",
    infer([seed], a) {
      requireSeed(seed);
      return { dtype: "u32", shape: a.shape as Shape };
    },
    evaluate([seed], a, [type]) {
      const shape = type?.shape as number[];
      const [k0 = 0, k1 = 0] = seed?.data ?? [];
      const out = ndarray("u32", shape);
      const stream = ((a.stream as number) ?? 0) >>> 0;
      for (let i = 0; i < count(shape); i += 4) {
        out.data.set(philox4x32([i / 4, 0, stream, 0], [k0, k1]).slice(0, out.data.length - i), i);
      }
      return [out];
    },
    accuracy: { ulp: 0 },
  },
];
