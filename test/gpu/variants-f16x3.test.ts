import { describe, expect, test, vi } from "vitest";
import { compile, f32, matmul, type Program, relu, sum, tanh } from "../../src/index.ts";
import type { NDArray } from "../../src/ir/ndarray.ts";
import { parse } from "../../src/ir/parse.ts";
import { type PairTile, pairBytes, pairName } from "../../src/passes/matrix-tiles.ts";
import { writePairs } from "../../src/wgsl/contraction-matrix-f16x3.ts";
import { errorBounds, knownShare, outside } from "../support/error-bounds.ts";
import { sharedGpu } from "../support/gpu.ts";
import { emulated } from "../support/matrix-emulation.ts";
import { runUnplanned, unplanned } from "../support/region-run.ts";
import { leftOut, leftOutWhy } from "../support/share.ts";
import { hardware, variantInputs } from "../support/variants.ts";

// Drivers of software adapters take seconds for these kernels.
vi.setConfig({ testTimeout: 180_000 });

const gpu = sharedGpu();

/** Compiles quickly: four subgroups of one matrix each; two steps are a chunk. */
const small: PairTile = { m: 32, n: 32, k: 32, rows: 16, columns: 16, chunk: 64 };
const whole: PairTile = { ...small, chunk: 2 ** 20, band: 2 };

type Case = Pick<Program, "graph">;

async function run(tile: PairTile, { graph }: Case, inputs: Readonly<Record<string, NDArray>>, half = false) {
  const c = hardware(gpu(), { f16: half });
  const made = unplanned(graph, c, { fuse: "legal", write: (r) => emulated(writePairs(r, c, tile)) });
  expect(made.kernels.map((k) => k.kernel.variant)).toEqual([pairName(tile)]);
  expect(made.kernels[0]?.kernel.requires.workgroupBytes).toBeLessThanOrEqual(pairBytes(tile));
  return runUnplanned(gpu(), made, inputs);
}

function check(tile: PairTile, cases: Readonly<Record<string, Case>>): void {
  test.for(Object.entries(cases))("%s", async ([name, c], { skip }) => {
    skip(leftOut(name), leftOutWhy);
    const inputs = variantInputs(c.graph);
    const got = await run(tile, c, inputs);
    for (const [name, bound] of Object.entries(errorBounds(c.graph, inputs))) {
      expect(knownShare(bound), `${name}: share of elements of which a bound is known`).toBe(1);
      expect(outside(got[name] as NDArray, bound), name).toBeUndefined();
    }
  });
}

/** A product with sums of both operands. */
const summed = (a: Parameters<typeof f32>, b: Parameters<typeof f32>, transposeA: boolean, transposeB: boolean) =>
  compile({ a: f32(...a), b: f32(...b) }, ({ a, b }) => ({
    y: matmul(a, b, { transposeA, transposeB }),
    rows: sum(a, { axes: transposeA ? 0 : 1 }),
    columns: sum(b, { axes: transposeB ? 1 : 0 }),
  }));

describe("f32 products as products of halves", () => {
  check(small, {
    "sums of operands, the left one transposed, odd sizes": summed([51, 37], [51, 67], true, false),
    "the right one transposed, three parts, the last one short": {
      graph: parse(`graph(%a: f32[40, 72], %b: f32[72, 72]) {
        %0 = transpose(%b) {perm: [1, 0]} : f32[72, 72]
        %1 = matmul(%a, %0) {parts: 3, depth: 32} : f32[3, 40, 72]
        return y: %1
      }`),
    },
  });
  check(whole, {
    "in one chunk, bands of tiles, batches, tanh of an operand, two results": compile(
      { a: f32(2, 40, 48), b: f32(2, 48, 72), c: f32(72) },
      ({ a, b, c }) => {
        const y = matmul(tanh(a), b).add(c);
        return { y, z: relu(y) };
      },
    ),
  });
});

describe("as accurate as a sum in f32", () => {
  const [m, n, k] = [32, 32, 200];
  const program = compile({ a: f32(m, k), b: f32(k, n) }, ({ a, b }) => matmul(a, b));
  let state = 1;
  const random = (): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
  const signed = (): number => random() * 2 - 1;
  const decades = (from: number, to: number) => (): number => signed() * 10 ** (from + (to - from) * random());
  const fills: Readonly<Record<string, readonly [() => number, () => number]>> = {
    "of one": [signed, signed],
    "of one sign": [random, random],
    "of 1e-9 times 1e-9": [() => 1e-9 * signed(), () => 1e-9 * signed()],
    "of 1e6": [() => 1e6 * signed(), () => 1e6 * signed()],
    "of 1e30 times 1e-30": [() => 1e30 * signed(), () => 1e-30 * signed()],
    "up to the largest f32": [() => 3.4e38 * signed(), () => 1e-9 * signed()],
    "of all magnitudes": [decades(-9, 6), decades(-9, 6)],
    "of a loss's logits": [() => (random() < 0.01 ? -2e-3 : 4e-8 * random()), signed],
    "that grow along the sum": [signed, signed],
  };
  const worst = (data: ArrayLike<number>, a: Float32Array, b: Float32Array): { ours: number; f32: number } => {
    const out = { ours: 0, f32: 0 };
    for (let i = 0; i < m; i++) {
      for (let j = 0; j < n; j++) {
        let [exact, rounded, magnitude] = [0, 0, 0];
        for (let p = 0; p < k; p++) {
          const x = (a[i * k + p] as number) * (b[p * n + j] as number);
          exact += x;
          magnitude += Math.abs(x);
          rounded = Math.fround(rounded + x);
        }
        out.ours = Math.max(out.ours, Math.abs((data[i * n + j] as number) - exact) / magnitude);
        out.f32 = Math.max(out.f32, Math.abs(rounded - exact) / magnitude);
      }
    }
    return out;
  };
  const array = (data: Float32Array, shape: readonly number[]): NDArray => ({
    ...{ dtype: "f32", shape },
    data: Float64Array.from(data),
  });
  const product = async (a: Float32Array, b: Float32Array, tile = small): Promise<ArrayLike<number>> => {
    const got = await run(tile, program, { a: array(a, [m, k]), b: array(b, [k, n]) });
    return (got.out as NDArray).data;
  };

  test.for(Object.entries(fills))("operands %s", async ([name, [ofA, ofB]], { skip }) => {
    skip(leftOut(name), leftOutWhy);
    const [a, b] = [Float32Array.from({ length: m * k }, ofA), Float32Array.from({ length: k * n }, ofB)];
    if (name.includes("grow"))
      a.forEach((x, i) => {
        a[i] = x * 2 ** ((i % k) / 4);
      });
    const { ours, f32 } = worst(await product(a, b), a, b);
    expect(ours).toBeLessThan(4 * f32);
    // A single half each would be a thousand times worse.
    expect(ours).toBeLessThan(2 ** -18);
  });

  test("zeros give zeros; what is not finite stays so, in its own row", async () => {
    const a = Float32Array.from({ length: m * k }, signed);
    const b = Float32Array.from({ length: k * n }, signed);
    const zeros = await product(new Float32Array(m * k), b);
    expect([...(zeros as number[])].every((x) => x === 0)).toBe(true);
    a[3 * k + 5] = Number.NaN;
    a[7 * k + 150] = Number.POSITIVE_INFINITY;
    const data = await product(a, b);
    for (let i = 0; i < m; i++) {
      for (let j = 0; j < n; j++) expect(Number.isFinite(data[i * n + j])).toBe(i !== 3 && i !== 7);
    }
  });
});
