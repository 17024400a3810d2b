import type { Gpu } from "sinter";
import { fromHalfBits } from "../src/base/half.ts";
import { type FeedForwardSizes, feedForward } from "./decode-models.ts";
import type { DecodeOptions } from "./decode-options.ts";
import type { DecodeRun, Differing } from "./decode-run.ts";
import { noise } from "./measure.ts";

interface Matrix {
  readonly words: Uint32Array;
  readonly scales: Float32Array | Uint16Array;
}

interface Layer {
  readonly norm: Float32Array;
  readonly gate: Matrix;
  readonly up: Matrix;
  readonly down: Matrix;
}

/** Weights whose products have about the size of their operands, of each layer others. */
function layerOf(s: FeedForwardSizes, index: number): Layer {
  let seed = 7 + 1000 * index;
  const word = (): number => {
    seed = Math.imul(seed ^ (seed >>> 15), 0x2c1b3c6d) + 0x9e3779b9;
    return seed >>> 0;
  };
  const matrix = (n: number, k: number): Matrix => {
    const size = 0.3 / Math.sqrt(k);
    const values = Float32Array.from({ length: (n * k) / s.group }, (_, i) => size * (0.75 + (i % 64) / 128));
    // Halves by their bits: eleven of them are exact, so that f64 has the same numbers.
    const halves = (): Uint16Array => Uint16Array.from(values, (v) => halfBits(v));
    return { words: Uint32Array.from({ length: (n * k) / 8 }, word), scales: s.scales === "f16" ? halves() : values };
  };
  return {
    norm: Float32Array.from({ length: s.hidden }, (_, i) => 0.5 + (i % 16) / 16),
    gate: matrix(s.intermediate, s.hidden),
    up: matrix(s.intermediate, s.hidden),
    down: matrix(s.hidden, s.intermediate),
  };
}

/** Bits of a positive normal number, rounded down. */
function halfBits(v: number): number {
  const exponent = Math.floor(Math.log2(v));
  return ((exponent + 15) << 10) | Math.floor((v / 2 ** exponent - 1) * 1024);
}

/** Elements of a matrix-vector product in f64. */
function rowsOf({ words, scales }: Matrix, x: readonly number[], group: number, rows: Iterable<number>): number[] {
  const k = x.length;
  const scale = (i: number): number =>
    scales instanceof Uint16Array ? fromHalfBits(scales[i] as number) : (scales[i] as number);
  return Array.from(rows, (n) => {
    let sum = 0;
    for (let j = 0; j < k; j++) {
      const value = (((words[(n * k + j) >> 3] as number) >>> (4 * (j & 7))) & 15) - 8;
      sum += (x[j] as number) * value * scale((n * k) / group + Math.floor(j / group));
    }
    return sum;
  });
}

/** A few elements of one layer's result in f64. */
function layerInF64(s: FeedForwardSizes, l: Layer, x: Float32Array, rows: readonly number[]): number[] {
  const mean = x.reduce((sum, v) => sum + v * v, 0) / s.hidden;
  const h = Array.from(x, (v, i) => (v / Math.sqrt(mean + 1e-6)) * (l.norm[i] as number));
  const all = Array.from({ length: s.intermediate }, (_, i) => i);
  const up = rowsOf(l.up, h, s.group, all);
  const act = rowsOf(l.gate, h, s.group, all).map((g, i) => (g / (1 + Math.exp(-g))) * (up[i] as number));
  return rowsOf(l.down, act, s.group, rows).map((v, i) => v + (x[rows[i] as number] as number));
}

/** Feed-forward layers, ready to be timed. */
export async function ffnRun(gpu: Gpu, { ffn: s }: DecodeOptions): Promise<DecodeRun> {
  const load = (layers: number) =>
    feedForward({ ...s, layers }).load(gpu, {
      weights: { layers: Array.from({ length: layers }, (_, i) => layerOf(s, i)) },
      strict: true,
    } as never);
  const session = await load(s.layers);
  const x = noise(s.hidden);
  const check = async (): Promise<Differing> => {
    const one = await load(1);
    const { y } = (await one.run({ x } as never)) as never as {
      y: { data(): Promise<ArrayLike<number>>; dispose(): void };
    };
    const got = await y.data();
    y.dispose();
    one.dispose();
    const layer = layerOf(s, 0);
    const rows = Array.from({ length: 12 }, (_, i) => (i * 211 + 5) % s.hidden);
    const expected = layerInF64(s, layer, x, rows);
    const scale = Math.max(...expected.map(Math.abs));
    const off = expected.map((e, i) => Math.abs(e - (got[rows[i] as number] as number)) / scale);
    return { difference: Math.max(...off), tolerance: 1e-5 };
  };
  const weights = 3 * s.hidden * s.intermediate;
  const scaleBytes = s.scales === "f16" ? 2 : 4;
  const each = weights / 2 + (weights / s.group) * scaleBytes + s.hidden * 4;
  return {
    name: `ffn int4 by ${s.group}`,
    session: session as never,
    layers: s.layers,
    apart: 0,
    bytes: s.layers * each + 2 * s.hidden * 4,
    inputsAt: () => ({ x }),
    check,
  };
}
