import { expect, test } from "vitest";
import type { Region } from "../../src/fuse/region.ts";
import { cast, compile, f16, f32, i32, matmul, type Program, sum, tanh } from "../../src/index.ts";
import { interpret } from "../../src/ir/interpret.ts";
import type { NDArray } from "../../src/ir/ndarray.ts";
import type { Capabilities } from "../../src/manifest/manifest.ts";
import { writeTiled } from "../../src/wgsl/contraction-tiled.ts";
import type { Kernel } from "../../src/wgsl/kernel.ts";
import { writeKernel } from "../../src/wgsl/write.ts";
import { sharedGpu } from "../support/gpu.ts";
import { asOne, inPlace, runUnplanned, unplanned } from "../support/region-run.ts";
import { leftOut, leftOutWhy } from "../support/share.ts";
import { difference } from "../support/values.ts";
import { hardware, variantInputs } from "../support/variants.ts";

const gpu = sharedGpu();

/** dW = xᵀ dy and the sums of dy's columns. */
const weights = (tokens: number, ins: number, outs: number): Pick<Program, "graph"> =>
  compile({ x: f32(tokens, ins), dy: f32(tokens, outs) }, ({ x, dy }) => ({
    dw: matmul(x, dy, { transposeA: true }),
    db: sum(dy, { axes: 0 }),
  }));
/** The same for weights that are stored transposed. */
const transposed = (tokens: number, ins: number, outs: number): Pick<Program, "graph"> =>
  compile({ x: f32(tokens, ins), dy: f32(tokens, outs) }, ({ x, dy }) => ({
    dw: matmul(dy, x, { transposeA: true }),
    db: sum(dy, { axes: 0 }),
  }));

/** Quicker to compile than the tiles that devices get, which the first of rows and columns take. */
const little = { m: 16, n: 16, k: 4, rows: 4, columns: 4 };

const cases: Readonly<Record<string, readonly [Pick<Program, "graph">, gpu: string, cpu: string]>> = {
  "columns, several tiles": [weights(70, 40, 68), "tile_32x32x16", "direct_4x8x16"],
  "columns, odd": [weights(33, 37, 35), "tile_16x16x4", "direct_4x4x16"],
  "rows, several tiles": [transposed(70, 40, 68), "tile_16x16x4", "direct_4x8x8"],
  "rows, odd": [transposed(33, 35, 37), "tile_32x32x16", "direct_4x4x16"],
  "columns, few rows": [weights(68, 3, 36), "matvec_n", "direct_3x8x8"],
  "rows, few of them": [transposed(68, 100, 3), "tile_16x16x4", "direct_3x8x16"],
  "columns of a tensor of batches, joined to what was there, both in place": [
    compile({ x: f32(3, 12, 20), dy: f32(3, 12, 24), w: f32(20, 24), b: f32(24) }, ({ x, dy, w, b }) => {
      const d = tanh(dy);
      return {
        w: w.add(matmul(x.reshape([36, 20]), d.reshape([36, 24]), { transposeA: true })),
        b: b.add(sum(d, { axes: [0, 1] }).mul(0.5)),
      };
    }),
    "tile_16x16x4",
    "direct_4x8x8",
  ],
  "sums of both sides, rounded to halves": [
    compile({ x: f16(40, 36), dy: f16(40, 44) }, ({ x, dy }) => ({
      dw: matmul(cast(x, "f32"), cast(dy, "f32"), { transposeA: true }),
      db: cast(sum(cast(dy, "f32"), { axes: 0 }), "f16"),
      dx: cast(sum(cast(x, "f32"), { axes: 0 }), "f16").reshape([6, 6]),
    })),
    "tile_16x16x4",
    "direct_4x8x8",
  ],
  integers: [
    compile({ x: i32(20, 33), dy: i32(20, 36) }, ({ x, dy }) => ({
      dw: matmul(x, dy, { transposeA: true }),
      db: sum(dy, { axes: 0 }),
    })),
    "tile_16x16x4",
    "direct_4x8x8",
  ],
};

for (const [adapter, at] of [
  ["as a GPU", 1],
  ["as a CPU adapter", 2],
] as const) {
  test.for(Object.entries(cases))(`${adapter}: %s`, async ([name, [{ graph }, ...variants]], { skip }) => {
    skip(leftOut(name), leftOutWhy);
    const c: Capabilities = { ...hardware(gpu()), software: at === 2 };
    // One kernel whether or not fusion takes a rider's epilogue along.
    const write = (r: Region): Kernel =>
      variants[at - 1] === "tile_16x16x4" ? writeTiled(r, c, little) : writeKernel(r, c);
    const made = unplanned(graph, c, { slots: inPlace, regions: asOne, write });
    expect(made.kernels.map((k) => k.kernel.variant)).toEqual([variants[at - 1]]);
    const inputs = variantInputs(graph);
    const got = await runUnplanned(gpu(), made, inputs);
    for (const [name, expected] of Object.entries(interpret(graph, inputs))) {
      const tolerance = expected.dtype === "f16" ? 2e-2 : 1e-4;
      expect(difference(got[name] as NDArray, expected, tolerance), name).toBeUndefined();
    }
  });
}
