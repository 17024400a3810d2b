import { readOptions } from "../../frontend/options.ts";
import type { TensorSpec } from "../../frontend/spec.ts";
import { isSpec } from "../../frontend/trace.ts";
import { mapTree } from "../../frontend/tree.ts";
import { count } from "../../ir/ndarray.ts";

/** Options of a model's first parameters. */
export interface InitOptions {
  /** An integer; another one gives other parameters. 0 by default. */
  readonly seed?: number;
}

/** How a parameter begins: all of one value, or normally distributed around 0. */
export type InitRule = (path: string) => { readonly fill: number } | { readonly std: number };

/** Parameters by a rule: a function of the seed and of each parameter's place in the tree. */
export function initTree(specs: unknown, rule: InitRule, options?: InitOptions): unknown {
  const { seed } = readOptions("init", options, { seed: 0 });
  let leaf = 0;
  return mapTree(specs, isSpec, "in", (path, spec: TensorSpec) => {
    const n = count(spec.shape as number[]);
    const how = rule(path);
    const random = generator(seed, leaf++);
    return "fill" in how ? new Float32Array(n).fill(how.fill) : normals(n, how.std, random);
  });
}

/** Numbers of the normal distribution by the polar form of Box and Muller's transform (Marsaglia and Bray, 1964). */
function normals(n: number, std: number, random: () => number): Float32Array {
  const out = new Float32Array(n);
  for (let i = 0; i < n; ) {
    const x = 2 * random() - 1;
    const y = 2 * random() - 1;
    const r = x * x + y * y;
    if (r >= 1 || r === 0) continue;
    const scale = std * Math.sqrt((-2 * Math.log(r)) / r);
    out[i++] = x * scale;
    if (i < n) out[i++] = y * scale;
  }
  return out;
}

/** Uniform numbers in [0, 1): sfc32 of PractRand (Chris Doty-Humphrey), seeded by two words. */
function generator(seed: number, stream: number): () => number {
  let [a, b, c, counter] = [seed | 0, stream | 0, 0, 1];
  const next = (): number => {
    const t = (((a + b) | 0) + counter) | 0;
    counter = (counter + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = ((c << 21) | (c >>> 11)) + t;
    c |= 0;
    return (t >>> 0) / 2 ** 32;
  };
  for (let i = 0; i < 15; i++) next();
  return next;
}
