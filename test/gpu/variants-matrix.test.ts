import { describe, expect, test, vi } from "vitest";
import { cast, compile, f16, f32, gelu, matmul, type Program, relu, sum, tanh } from "../../src/index.ts";
import type { NDArray } from "../../src/ir/ndarray.ts";
import { parse } from "../../src/ir/parse.ts";
import { type MatrixTile, matrixBytes } from "../../src/passes/matrix-tiles.ts";
import { writeMatrix } from "../../src/wgsl/contraction-matrix.ts";
import { errorBounds, knownShare, outside } from "../support/error-bounds.ts";
import { sharedGpu } from "../support/gpu.ts";
import { emulated } from "../support/matrix-emulation.ts";
import { runUnplanned, unplanned } from "../support/region-run.ts";
import { leftOut, leftOutWhy } from "../support/share.ts";
import { hardware, variantInputs } from "../support/variants.ts";

// Drivers of software adapters take seconds for these kernels.
vi.setConfig({ testTimeout: 180_000 });

const gpu = sharedGpu();

/** Compiles quickly: four subgroups of one matrix each, two steps of a tile's depth. */
const small: MatrixTile = { m: 32, n: 32, k: 32, rows: 16, columns: 16 };
/** Several matrices each. */
const little: MatrixTile = { m: 32, n: 64, k: 32, rows: 16, columns: 32 };
const tall: MatrixTile = { m: 64, n: 32, k: 16, rows: 32, columns: 16 };
const one: MatrixTile = { m: 32, n: 16, k: 16, rows: 32, columns: 16 };

type Case = Pick<Program, "graph">;

/** Holds the program's only kernel, by subgroup matrices that loops stand in for, against the interpreter. */
function check(tile: MatrixTile, cases: Readonly<Record<string, Case>>): void {
  const all = Object.entries(cases).flatMap(([name, c]) =>
    [false, true].map((f16) => [`${name}${f16 ? ", f16 in the kernel" : ""}`, c, f16] as const),
  );
  test.for(all)("%s", async ([name, { graph }, f16], { skip }) => {
    skip(leftOut(name), leftOutWhy);
    skip(f16 && !gpu().capabilities.features.f16, "this adapter has no f16");
    const inputs = variantInputs(graph);
    const c = hardware(gpu(), { f16 });
    const made = unplanned(graph, c, { fuse: "legal", write: (r) => emulated(writeMatrix(r, c, tile)) });
    expect(made.kernels.map((k) => k.kernel.variant)).toEqual([`matrix_${tile.m}x${tile.n}x${tile.k}`]);
    expect(made.kernels[0]?.kernel.requires.workgroupBytes).toBeLessThanOrEqual(matrixBytes(tile));
    const got = await runUnplanned(gpu(), made, inputs);
    for (const [name, bound] of Object.entries(errorBounds(graph, inputs))) {
      expect(knownShare(bound), `${name}: share of elements of which a bound is known`).toBe(1);
      expect(outside(got[name] as NDArray, bound), name).toBeUndefined();
    }
  });
}

const wide = (x: Parameters<typeof cast>[0]) => cast(x, "f32");

describe("subgroup matrices", () => {
  check(small, {
    "whole tiles, rounded to f16": compile({ a: f16(64, 64), b: f16(64, 128) }, ({ a, b }) => matmul(a, b)),
    "both transposed, f32 results, K not of whole tiles": compile({ a: f16(40, 64), b: f16(72, 40) }, ({ a, b }) =>
      wide(matmul(a, b, { transposeA: true, transposeB: true })),
    ),
    "every size odd": compile({ a: f16(37, 51), b: f16(51, 67) }, ({ a, b }) => wide(matmul(a, b))),
    "every size odd, both transposed": compile({ a: f16(51, 37), b: f16(67, 51) }, ({ a, b }) =>
      wide(matmul(a, b, { transposeA: true, transposeB: true })),
    ),
    "sizes of whole fours": compile({ a: f16(36, 20), b: f16(20, 68) }, ({ a, b }) => matmul(a, b)),
    "sizes of whole fours, transposed": compile({ a: f16(20, 36), b: f16(68, 20) }, ({ a, b }) =>
      matmul(a, b, { transposeA: true, transposeB: true }),
    ),
    "f32 operands cast, bias, gelu, residual": compile(
      { a: f32(40, 48), b: f32(48, 72), c: f32(72), r: f32(40, 72) },
      ({ a, b, c, r }) => gelu(wide(matmul(cast(a, "f16"), cast(b, "f16"))).add(c)).add(r),
    ),
    "tanh of the left operand, two results": compile({ a: f16(40, 48), b: f16(48, 72), c: f16(72) }, ({ a, b, c }) => {
      const y = matmul(tanh(a), b).add(c);
      return { y, z: relu(y) };
    }),
    "batches, the right operand shared": compile({ a: f16(3, 40, 32), b: f16(32, 72) }, ({ a, b }) =>
      wide(matmul(a, b)),
    ),
    "heads of one tensor": compile({ q: f16(2, 40, 3, 16), k: f16(2, 40, 3, 16) }, ({ q, k }) =>
      wide(matmul(q.transpose([0, 2, 1, 3]), k.transpose([0, 2, 3, 1]))),
    ),
    "a tensor times itself": compile({ a: f16(40, 48) }, ({ a }) => wide(matmul(a, a, { transposeB: true }))),
    "a part of a longer row": compile({ a: f16(40, 64), b: f16(24, 72) }, ({ a, b }) =>
      wide(
        matmul(
          a.slice([
            [0, 40],
            [8, 32],
          ]),
          b,
        ),
      ),
    ),
  });

  describe("with sums of operands", () => {
    const both = (a: Parameters<typeof f16>, b: Parameters<typeof f16>, transposeA: boolean, transposeB: boolean) =>
      compile({ a: f16(...a), b: f16(...b) }, ({ a, b }) => ({
        y: wide(matmul(a, b, { transposeA, transposeB })),
        rows: wide(sum(a, { axes: transposeA ? 0 : 1 })),
        columns: wide(sum(b, { axes: transposeB ? 1 : 0 })),
      }));
    check(small, {
      "of whole tiles": both([128, 64], [64, 128], false, false),
      "both transposed": both([72, 88], [96, 72], true, true),
      "the left one transposed, odd sizes": both([51, 37], [51, 67], true, false),
      "the right one transposed, odd sizes": both([37, 51], [67, 51], false, true),
    });
    check({ ...tall, k: 32 }, { "of a tall tile": both([72, 88], [67, 72], true, true) });
  });

  /** A product that the compiler has divided: `parts` sums of 32 terms, the last of fewer. */
  const divided = (k: number, parts: number): Case => ({
    graph: parse(`graph(%a: f16[40, ${k}], %b: f16[${k}, 72]) {
      %0 = cast(%a) {dtype: f32} : f32[40, ${k}]
      %1 = cast(%b) {dtype: f32} : f32[${k}, 72]
      %2 = matmul(%0, %1) {parts: ${parts}, depth: 32} : f32[${parts}, 40, 72]
      return y: %2
    }`),
  });
  check(small, { "in two parts": divided(64, 2), "in three parts, the last one short": divided(72, 3) });

  const long = compile({ a: f16(70, 120), b: f16(120, 72) }, ({ a, b }) => wide(matmul(a, b)));
  const short = compile({ a: f16(70, 16), b: f16(72, 16) }, ({ a, b }) => wide(matmul(a, b, { transposeB: true })));
  describe("several matrices a subgroup", () => {
    check(little, { "two by one": long });
    check(tall, { "one by two": short });
    check(one, { "one subgroup": long });
  });
  describe("other ways through the depth", () => {
    check({ ...small, prefetch: false }, { "no prefetch": long });
    check({ ...small, k: 16, pad: 16 }, { "more padding": long });
    check({ ...small, looped: true }, { "a step's matrices in a loop": long });
    check({ ...small, looped: true }, { "in a loop, one matrix deep": short });
  });
  check(
    { ...small, band: 2 },
    {
      "bands of tiles, batches": compile({ a: f16(2, 120, 32), b: f16(2, 32, 72) }, ({ a, b }) => wide(matmul(a, b))),
    },
  );
});
