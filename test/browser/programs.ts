import { compileGraph } from "../../src/compiler.ts";
import { attention, compile, f32, gelu, layerNorm, matmul, softmax, sum } from "../../src/index.ts";
import { manifestToJson } from "../../src/manifest/json.ts";
import { profiles } from "../../src/runtime/profiles.ts";

/** A compiled program with data for it, as it is sent to the page. */
export interface Shipped {
  readonly name: string;
  readonly manifest: string;
  readonly weights: Readonly<Record<string, readonly number[]>>;
  readonly state: Readonly<Record<string, readonly number[]>>;
  readonly inputs: Readonly<Record<string, readonly number[]>>;
  /** How often it runs; the last results count. */
  readonly runs: number;
  /** Largest difference between two devices, in units in the last place of the largest element. */
  readonly ulp: number;
}

/** Numbers between -1 and 1 that are the same everywhere. */
function noise(count: number, seed: number): number[] {
  let x = seed * 2654435761;
  return Array.from({ length: count }, () => {
    x = (Math.imul(x, 1664525) + 1013904223) | 0;
    return Math.fround(x / 2 ** 31);
  });
}

const block = compile(
  { x: f32(6, 64), w: f32(64, 96), b: f32(96), scale: f32(64), bias: f32(64) },
  ({ x, w, b, scale, bias }) => gelu(matmul(layerNorm(x, { scale, bias, axes: [-1] }), w).add(b)),
  { weights: ["w", "b", "scale", "bias"] },
);

const attend = compile({ q: f32(1, 2, 9, 16), k: f32(1, 2, 9, 16), v: f32(1, 2, 9, 16) }, ({ q, k, v }) => ({
  mixed: attention(q, k, v, { causal: true }),
  weights: softmax(q, { axis: -1 }),
}));

const running = compile(
  { total: f32(33), x: f32(33) },
  ({ total, x }) => {
    const next = total.add(x.mul(x));
    return { total: next, norm: sum(next) };
  },
  { donate: ["total"] },
);

/** Programs compiled for what WebGPU guarantees on every device. */
export const shipped = (): readonly Shipped[] =>
  [
    {
      name: "normalised linear layer",
      graph: block.graph,
      weights: { w: noise(64 * 96, 1), b: noise(96, 2), scale: noise(64, 3), bias: noise(64, 4) },
      inputs: { x: noise(6 * 64, 5) },
      runs: 1,
      ulp: 2 * 64 + 14 + 18,
    },
    {
      name: "causal attention",
      graph: attend.graph,
      inputs: { q: noise(288, 6), k: noise(288, 7), v: noise(288, 8) },
      runs: 1,
      ulp: 2 * 16 + 3 * 9 + 3,
    },
    {
      name: "running sum",
      graph: running.graph,
      state: { total: noise(33, 9) },
      inputs: { x: noise(33, 10) },
      runs: 3,
      ulp: 33,
    },
  ].map(({ graph, ...rest }) => ({
    weights: {},
    state: {},
    ...rest,
    manifest: manifestToJson(compileGraph(graph, profiles.base).manifest),
  }));
