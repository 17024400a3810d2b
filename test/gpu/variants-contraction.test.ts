import { describe, expect, test, vi } from "vitest";
import { compileGraph } from "../../src/compiler.ts";
import type { FuseMode } from "../../src/fuse/fuser.ts";
import {
  cast,
  compile,
  embedding,
  f16,
  f32,
  gelu,
  i32,
  matmul,
  max,
  type Program,
  pad,
  relu,
  tanh,
} from "../../src/index.ts";
import type { NDArray } from "../../src/ir/ndarray.ts";
import { type Tile, tileName } from "../../src/passes/product-tiles.ts";
import { profiles } from "../../src/runtime/profiles.ts";
import { writeTiled } from "../../src/wgsl/contraction-tiled.ts";
import { errorBounds, knownShare, outside } from "../support/error-bounds.ts";
import { sharedGpu } from "../support/gpu.ts";
import { runUnplanned, unplanned } from "../support/region-run.ts";
import { leftOut, leftOutWhy } from "../support/share.ts";
import { checkVariants, type Hardware, hardware, variantInputs } from "../support/variants.ts";

// Drivers of software adapters take seconds for these kernels.
vi.setConfig({ testTimeout: 180_000 });

const gpu = sharedGpu();

/** Real tiles take drivers of software adapters seconds to compile: most cases run in a small one that is written the same way. */
const little: Tile = { m: 16, n: 16, k: 4, rows: 4, columns: 4 };
const small = "tile_32x32x16";

interface Case {
  readonly program: Pick<Program, "graph">;
  readonly variants: readonly string[];
  readonly fuse?: FuseMode;
  readonly tolerance?: number;
  readonly ranges?: Readonly<Record<string, readonly [number, number]>>;
  readonly device?: Hardware;
}

function check(cases: Readonly<Record<string, Case>>): void {
  test.for(Object.entries(cases))("%s", async ([name, { program, variants, device, ranges, ...rest }], { skip }) => {
    skip(leftOut(name), leftOutWhy);
    const { graph } = program;
    const inputs = variantInputs(graph, ranges);
    await checkVariants(gpu(), hardware(gpu(), device), variants, { graph, inputs, ...rest });
  });
}

/** Runs the program's only kernel by tiles of this size, whatever the device would get. */
function checkTile(tile: Tile, cases: Readonly<Record<string, Omit<Case, "variants">>>): void {
  test.for(Object.entries(cases))("%s", async ([name, { program, device, ranges, fuse = "profit" }], { skip }) => {
    skip(leftOut(name), leftOutWhy);
    const { graph } = program;
    const inputs = variantInputs(graph, ranges);
    const c = hardware(gpu(), device);
    const made = unplanned(graph, c, { fuse, write: (r) => writeTiled(r, c, tile) });
    expect(made.kernels.map((k) => k.kernel.variant)).toEqual([tileName(tile)]);
    const got = await runUnplanned(gpu(), made, inputs);
    for (const [name, bound] of Object.entries(errorBounds(graph, inputs))) {
      expect(knownShare(bound), `${name}: share of elements of which a bound is known`).toBe(1);
      expect(outside(got[name] as NDArray, bound), name).toBeUndefined();
    }
  });
}

/** One that loads in no branch and divides its terms among slices, rows and columns of 8 and 12. */
const sliced: Tile = { m: 16, n: 48, k: 8, rows: 4, columns: 12, slices: 2, eager: true };
const largest: Tile = { m: 64, n: 64, k: 16, rows: 8, columns: 8 };

describe("workgroup tiles", () => {
  checkTile(sliced, {
    "in slices: odd M, N and K, bias and relu": {
      program: compile({ a: f32(33, 21), b: f32(21, 51), c: f32(51) }, ({ a, b, c }) => relu(matmul(a, b).add(c))),
    },
    "in slices: both transposed, batches": {
      program: compile({ a: f32(2, 24, 35), b: f32(2, 52, 24) }, ({ a, b }) =>
        matmul(a, b, { transposeA: true, transposeB: true }),
      ),
    },
  });
  checkTile(
    { m: 16, n: 16, k: 16, rows: 4, columns: 4, slices: 4 },
    {
      "in four slices of four terms, a share of one row each": {
        program: compile({ a: f32(20, 40), b: f32(40, 18) }, ({ a, b }) => matmul(a, b)),
      },
    },
  );
  checkTile(
    { m: 32, n: 16, k: 4, rows: 4, columns: 4, eager: true },
    {
      "blocks of 4 by 8 invocations, rows of tiles in bands": {
        program: compile({ a: f32(190, 20), b: f32(20, 36) }, ({ a, b }) => matmul(a, b)),
      },
    },
  );
  checkTile(little, {
    "odd M and N, bias, relu and residual, lanes stored one by one": {
      program: compile({ a: f32(33, 20), b: f32(20, 51), c: f32(51), r: f32(33, 51) }, ({ a, b, c, r }) =>
        relu(matmul(a, b).add(c)).add(r),
      ),
    },
    "both operands transposed, odd M, even N": {
      program: compile({ a: f32(36, 37), b: f32(42, 36) }, ({ a, b }) =>
        matmul(a, b, { transposeA: true, transposeB: true }),
      ),
    },
    "the left one transposed, tanh of it, gelu, two results, one of them f16 in packed words": {
      program: compile({ a: f32(20, 35), b: f32(20, 44), c: f32(44) }, ({ a, b, c }) => {
        const y = matmul(tanh(a), b, { transposeA: true }).add(c);
        return { y, g: cast(gelu(y, { approximate: "tanh" }), "f16") };
      }),
      fuse: "legal",
    },
    "the right one transposed, batches broadcast on both sides": {
      program: compile({ a: f32(2, 1, 34, 24), b: f32(3, 40, 24) }, ({ a, b }) => matmul(a, b, { transposeB: true })),
    },
    "K of one step, the left one shared by the batches, results in another order": {
      program: compile({ a: f32(35, 16), b: f32(3, 16, 32) }, ({ a, b }) =>
        matmul(a, b).reshape([3, 35, 4, 8]).transpose([0, 2, 1, 3]),
      ),
    },
    "heads of one tensor times the transposed heads of another": {
      program: compile({ x: f32(34, 3, 20), y: f32(33, 3, 20) }, ({ x, y }) =>
        matmul(x.transpose([1, 0, 2]), y.transpose([1, 2, 0])).mul(0.25),
      ),
    },
    "rows picked from a table, columns flipped and padded": {
      program: compile({ t: f32(13, 16), i: i32(18), b: f32(16, 30) }, ({ t, i, b }) =>
        matmul(embedding(t, i), pad(b.flip({ axes: [1] }), { low: [0, 1], high: [4, 2] }).slice([[0, 16]])),
      ),
      ranges: { i: [-13, 13] },
    },
    "integers, which wrap": {
      program: compile({ a: i32(33, 20), b: i32(20, 36) }, ({ a, b }) => matmul(a.mul(100_000_007), b)),
    },
    "f16 in packed words": {
      program: compile({ a: f16(33, 20), b: f16(20, 36), c: f16(36) }, ({ a, b, c }) => matmul(a, b).add(c)),
    },
    "f16 in packed words, odd rows of the transposed operands": {
      program: compile({ a: f16(20, 33), b: f16(36, 20) }, ({ a, b }) =>
        matmul(a, b, { transposeA: true, transposeB: true }),
      ),
    },
    "more workgroups than a dimension has: folded to two, with some to spare": {
      program: compile({ a: f32(100, 20), b: f32(20, 130) }, ({ a, b }) => matmul(a, b)),
      device: { limits: { maxComputeWorkgroupsPerDimension: 7 } },
    },
    "K odd, operands as they are": {
      program: compile({ a: f32(33, 19), b: f32(19, 36) }, ({ a, b }) => matmul(a, b)),
    },
    "K odd, both transposed": {
      program: compile({ a: f32(21, 36), b: f32(20, 21) }, ({ a, b }) =>
        matmul(a, b, { transposeA: true, transposeB: true }),
      ),
    },
    "K odd, rows of both contiguous, odd M and N": {
      program: compile({ a: f32(17, 13), b: f32(19, 13) }, ({ a, b }) => matmul(a, b, { transposeB: true })),
    },
    "K even, every second element of a row": {
      program: compile({ a: f32(18, 20), b: f32(10, 20) }, ({ a, b }) => matmul(a.slice([[], [0, 20, 2]]), b)),
    },
  });
});

describe("tiles of real sizes", () => {
  check({
    "32×32, odd M and N, K odd, bias": {
      program: compile({ a: f32(33, 21), b: f32(21, 51), c: f32(51) }, ({ a, b, c }) => matmul(a, b).add(c)),
      variants: [small],
    },
    "four rows, where a workgroup has half the invocations that a matrix-vector product takes": {
      program: compile({ a: f32(4, 64), b: f32(64, 64), c: f32(64) }, ({ a, b, c }) => matmul(a, b).add(c)),
      variants: [small],
      device: { limits: { maxComputeInvocationsPerWorkgroup: 64 } },
    },
  });
  checkTile(largest, {
    "64×64, every workgroup at an edge, odd M and K, bias": {
      program: compile({ a: f32(65, 21), b: f32(21, 68), c: f32(68) }, ({ a, b, c }) => matmul(a, b).add(c)),
    },
  });

  test("are chosen by how their workgroups fill the device", () => {
    const variant = (m: number, n: number, k: number): string => {
      const { graph } = compile({ a: f32(m, k), b: f32(k, n) }, ({ a, b }) => matmul(a, b));
      return compileGraph(graph, { ...profiles.h200, name: "any" })
        .report.kernels.map((k) => k.variant)
        .join();
    };
    // Whole turns of two workgroups a multiprocessor; three turns where two would not do; few workgroups, divided.
    expect(variant(4096, 3072, 768)).toBe("tile_128x128x16");
    expect(variant(4096, 2304, 768)).toBe("tile_128x96x16");
    expect(variant(512, 3072, 768)).toBe("tile_64x96x16_by2");
    expect(variant(768, 2304, 512)).toBe("tile_32x64x32_by4");
    expect(variant(33, 51, 21)).toBe("tile_32x32x16");
  });

  test("f16 natively, odd columns", async () => {
    const { graph } = compile({ a: f16(33, 20), b: f16(20, 35), c: f16(35) }, ({ a, b, c }) => matmul(a, b).add(c));
    const capabilities = hardware(gpu(), { f16: true });
    const { f16: native } = capabilities.features;
    // Without, rows of odd length are no whole words: the results are packed by a kernel of their own.
    const manifest = await checkVariants(gpu(), capabilities, native ? [small] : [small, "pointwise_x2"], { graph });
    expect(manifest.kernels[0]?.requires.f16).toBe(native);
  });
});

describe("a few rows times a matrix", () => {
  check({
    "a vector, along the columns, odd number of column vectors": {
      program: compile({ a: f32(1, 100), b: f32(100, 44), c: f32(44) }, ({ a, b, c }) => relu(matmul(a, b).add(c))),
      variants: ["matvec_n"],
    },
    "two rows, along K, the operands computed on the way": {
      program: compile({ a: f32(2, 524), b: f32(20, 524), r: f32(2, 20) }, ({ a, b, r }) => {
        const y = matmul(tanh(a), b.mul(0.5), { transposeB: true });
        return { y: y.add(r), h: cast(y, "f16") };
      }),
      variants: ["matvec_k"],
      fuse: "legal",
    },
    "three rows that are columns of their tensor, batches broadcast, along the columns": {
      program: compile({ a: f32(2, 1, 64, 3), b: f32(3, 64, 36) }, ({ a, b }) => matmul(a, b, { transposeA: true })),
      variants: ["matvec_n"],
    },
    "four rows, along K, results in another order": {
      program: compile({ a: f32(4, 400), b: f32(24, 400) }, ({ a, b }) =>
        matmul(a, b, { transposeB: true }).reshape([4, 3, 8]).transpose([1, 0, 2]),
      ),
      variants: ["matvec_k"],
    },
    "f16 in packed words, along the columns": {
      program: compile({ a: f16(3, 68), b: f16(68, 40) }, ({ a, b }) => matmul(a, b)),
      variants: ["matvec_n"],
    },
    "integers along K, more workgroups than a dimension has": {
      program: compile({ a: i32(1, 260), b: i32(60, 260) }, ({ a, b }) => matmul(a, b.mul(7), { transposeB: true })),
      variants: ["matvec_k"],
      device: { limits: { maxComputeWorkgroupsPerDimension: 7 } },
    },
  });

  test("f16 natively, along K", async () => {
    const { graph } = compile({ a: f16(1, 192), b: f16(36, 192) }, ({ a, b }) => matmul(a, b, { transposeB: true }));
    const capabilities = hardware(gpu(), { f16: true });
    const manifest = await checkVariants(gpu(), capabilities, ["matvec_k"], { graph });
    expect(manifest.kernels[0]?.requires.f16).toBe(capabilities.features.f16);
  });
});

describe("what has no tiles", () => {
  check({
    "little work, then the largest of each row": {
      program: compile({ a: f32(5, 64), b: f32(64, 6) }, ({ a, b }) => max(matmul(a, b), { axes: 1 })),
      variants: ["direct_1x1x8", "row_4x4"],
    },
    "a device without workgroup memory to speak of": {
      program: compile({ a: f32(40, 16), b: f32(16, 40) }, ({ a, b }) => matmul(a, b)),
      variants: ["direct_4x8x8"],
      device: { limits: { maxComputeWorkgroupStorageSize: 4096 } },
    },
  });
});
