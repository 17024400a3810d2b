import { describe, expect, test } from "vitest";
import type { FuseMode } from "../../src/fuse/fuser.ts";
import {
  argMax,
  argMin,
  cast,
  compile,
  crossEntropy,
  cumSum,
  f16,
  f32,
  i32,
  layerNorm,
  max,
  min,
  type Program,
  prod,
  rmsNorm,
  scatterElements,
  softmax,
  sum,
  type Tensor,
  u32,
  valueAndGrad,
} from "../../src/index.ts";
import type { NDArray } from "../../src/ir/ndarray.ts";
import { sharedGpu } from "../support/gpu.ts";
import { leftOut, leftOutWhy } from "../support/share.ts";
import {
  checkManifest,
  checkVariants,
  type Hardware,
  hardware,
  type Inputs,
  variantInputs,
  withRowSchedule,
} from "../support/variants.ts";
import { endsOf, matrixProduct, welford } from "./variants-combine.ts";

const gpu = sharedGpu();

interface Case {
  readonly program: Pick<Program, "graph">;
  readonly variants: readonly string[];
  readonly fuse?: FuseMode;
  readonly tolerance?: number;
  readonly ranges?: Readonly<Record<string, readonly [number, number]>>;
  readonly inputs?: (inputs: Inputs) => Inputs;
  readonly device?: Hardware;
}

function check(cases: Readonly<Record<string, Case>>): void {
  test.for(Object.entries(cases))("%s", async ([name, { program, variants, device, ranges, ...rest }], { skip }) => {
    skip(leftOut(name), leftOutWhy);
    const { graph } = program;
    const made = variantInputs(graph, ranges);
    const inputs = rest.inputs?.(made) ?? made;
    await checkVariants(gpu(), hardware(gpu(), device), variants, { graph, ...rest, inputs });
  });
}

/** Every reduction that has a row of its own, of one tensor. */
const everyReduction = (x: Tensor, axes: number | readonly number[]) => ({
  sum: sum(x, { axes }),
  prod: prod(x, { axes }),
  min: min(x, { axes }),
  max: max(x, { axes }),
  any: x.greater(1.09).any({ axes }),
  all: x.less(1.09).all({ axes }),
});
/** Products of many stay in range. */
const nearOne = { x: [0.9, 1.1] } as const;

describe("every reduction", () => {
  test.for([
    ["rows of two", [300, 2], [1], "row_2x32"],
    ["rows of five", [131, 5], [1], "row_4x16"],
    ["rows of two vectors, fewer than a workgroup takes", [5, 8], [1], "row_2x4"],
    ["rows of 31", [300, 31], [1], "row_16x4"],
    ["many short rows", [1030, 12], [1], "row_1x64"],
    ["rows of 97", [41, 97], [1], "row_64x1"],
    ["rows of 1021", [37, 1021], [1], "row_256x1"],
    ["one row of 3000", [3000], [0], "row_256x1"],
    ["the last two axes", [9, 5, 41], [1, 2], "row_128x1"],
    ["columns, odd", [130, 7], [0], "column_16x16"],
    ["few rows of columns", [10, 35], [0], "column_1x64"],
    ["columns of forty", [40, 6], [0], "column_4x16"],
    ["a middle axis", [3, 67, 7], [1], "column_8x16"],
    ["two axes, the last one kept", [6, 5, 4, 7], [0, 2], "column_2x16"],
    ["two axes, the last one of them", [3, 7, 5, 11], [1, 3], "column_8x16"],
  ] as const)("%s", async ([title, shape, axes, variant], { skip }) => {
    skip(leftOut(title), leftOutWhy);
    const { graph } = compile({ x: f32(...shape) }, ({ x }) => everyReduction(x, axes));
    const name = variant.startsWith("row") ? variant : `row_${variant}`;
    await checkVariants(gpu(), hardware(gpu()), [name], { graph, inputs: variantInputs(graph, nearOne) });
  });

  check({
    "of integers, which wrap": {
      program: compile({ i: i32(9, 203), u: u32(9, 203) }, ({ i, u }) => ({
        sum: sum(i.mul(1_000_000_007), { axes: 1 }),
        prod: prod(i.mul(2).add(1), { axes: 1 }),
        min: min(i, { axes: 1 }),
        most: max(u.mul(2_654_435_761), { axes: 1 }),
      })),
      variants: ["row_128x1"],
      fuse: "legal",
    },
    "of columns by fours": {
      program: compile({ x: f32(300, 36) }, ({ x }) => ({
        sum: sum(x, { axes: 0 }),
        max: max(x, { axes: 0 }),
        any: x.greater(1.09).any({ axes: 0 }),
      })),
      variants: ["row_column_32x8"],
      ranges: nearOne,
    },
    "of f16 in packed words, odd rows": {
      program: compile({ x: f16(37, 131) }, ({ x }) => ({ sum: sum(x, { axes: 1 }), max: max(x, { axes: 1 }) })),
      variants: ["row_128x1", "pointwise_x2"],
    },
    "full ones, in two stages, padded by their identities": {
      program: compile({ x: f32(97, 101) }, ({ x }) => ({ sum: sum(x), max: max(x) })),
      variants: ["row_64x1", "row_64x1 | row_64x1"],
    },
  });
});

describe("order, NaN and first ones", () => {
  check({
    "products of matrices along rows": {
      program: compile({ a: i32(5, 301), b: i32(5, 301), c: i32(5, 301), d: i32(5, 301) }, (t) =>
        matrixProduct([t.a, t.b, t.c, t.d], 1),
      ),
      variants: ["row_256x1"],
    },
    "products of matrices along columns": {
      program: compile({ a: i32(70, 7), b: i32(70, 7), c: i32(70, 7), d: i32(70, 7) }, (t) =>
        matrixProduct([t.a, t.b, t.c, t.d], 0),
      ),
      variants: ["row_column_8x16"],
    },
    "the ends of short rows, several a workgroup": {
      program: compile({ x: i32(37, 21) }, ({ x }) => endsOf(x, 1)),
      variants: ["row_16x4"],
    },
    "the ends of rows of one": {
      program: compile({ x: i32(131, 1) }, ({ x }) => endsOf(x, 1)),
      variants: ["row_1x64"],
    },
    "the ends of rows so long that they are reduced in two kernels": {
      program: compile({ x: i32(3, 9001) }, ({ x }) => endsOf(x, 1)),
      variants: ["row_16x4", "row_64x1"],
    },
    "the ends of a middle axis": {
      program: compile({ x: i32(3, 131, 5) }, ({ x }) => endsOf(x, 1)),
      variants: ["row_column_16x16"],
    },
    "Welford's mean and variance": {
      program: compile({ x: f32(7, 1021) }, ({ x }) => welford(x, 1)),
      variants: ["row_256x1"],
      tolerance: 2e-6,
    },
    "argMax and argMin of rows with ties and NaN": {
      program: compile({ x: f32(12, 203) }, ({ x }) => ({ most: argMax(x), least: argMin(x) })),
      variants: ["row_128x1"],
      inputs: (i) => ({ x: withNaN(quarters(i.x as NDArray), 12, 203) }),
    },
    "argMax of columns": {
      program: compile({ x: f32(203, 12) }, ({ x }) => argMax(x, { axis: 0 })),
      variants: ["row_column_16x16"],
      inputs: (i) => ({ x: quarters(i.x as NDArray) }),
    },
    "NaN is the largest and the smallest of rows": {
      program: compile({ x: f32(12, 203) }, ({ x }) => ({ max: max(x, { axes: 1 }), min: min(x, { axes: 1 }) })),
      variants: ["row_128x1"],
      inputs: (i) => ({ x: withNaN(i.x as NDArray, 12, 203) }),
    },
    "NaN is the largest and the smallest of columns": {
      program: compile({ x: f32(67, 12) }, ({ x }) => ({ max: max(x, { axes: 0 }), min: min(x, { axes: 0 }) })),
      variants: ["row_column_8x16"],
      inputs: (i) => ({ x: withNaN(i.x as NDArray, 67, 12) }),
    },
  });
});

describe("rows that are read again", () => {
  check({
    "softmax of odd rows, several a workgroup": {
      program: compile({ x: f32(37, 29), m: f32(29) }, ({ x, m }) => softmax(x.mul(3).add(m))),
      variants: ["row_16x4"],
    },
    "softmax of long rows": {
      program: compile({ x: f32(3, 2998) }, ({ x }) => softmax(x.mul(9))),
      variants: ["row_256x1"],
    },
    "softmax of columns, written in another order": {
      program: compile({ x: f32(2, 83, 12) }, ({ x }) => softmax(x, { axis: 1 }).transpose([0, 2, 1])),
      variants: ["row_column_8x16"],
    },
    "softmax of f16 in packed words": {
      program: compile({ x: f16(9, 130) }, ({ x }) => softmax(x)),
      variants: ["row_64x1"],
    },
    "layerNorm with residual, affine and cast": {
      program: compile({ x: f32(9, 200), r: f32(9, 200), scale: f32(200), bias: f32(200) }, (t) => {
        const h = t.x.add(t.r);
        return { h, y: cast(layerNorm(h, { scale: t.scale, bias: t.bias }), "f16") };
      }),
      variants: ["row_32x2"],
    },
    "rmsNorm of f16, rows of odd length": {
      program: compile({ x: f16(9, 33), scale: f16(33) }, ({ x, scale }) => rmsNorm(x, { scale })),
      variants: ["row_32x2", "pointwise_x2"],
    },
    "crossEntropy of logits": {
      program: compile({ x: f32(19, 257), t: i32(19) }, ({ x, t }) => crossEntropy(x.mul(4), t, { reduction: "none" })),
      variants: ["row_256x1"],
      ranges: { t: [0, 257] },
    },
    "long rows, their maximum and what depends on it in one pass": {
      program: compile({ x: f32(5, 5001), t: i32(5) }, ({ x, t }) =>
        valueAndGrad((x: Tensor) => crossEntropy(x.mul(8), t, { reduction: "sum" }))(x),
      ),
      variants: ["row_256x1", "row_4x1"],
      fuse: "legal",
      ranges: { t: [-1, 5002] },
    },
    "long rows of vectors, with infinities and NaN": {
      program: compile({ x: f32(6, 9216) }, ({ x }) => softmax(x)),
      variants: ["row_256x1"],
      inputs: (inputs) => {
        const { data, shape } = inputs.x as NDArray;
        const own = Float64Array.from(data);
        const low = Number.NEGATIVE_INFINITY;
        own.fill(low, 9216, 2 * 9216 - 5);
        own.fill(low, 2 * 9216, 3 * 9216);
        own[3 * 9216 + 4000] = Number.NaN;
        own[4 * 9216 + 77] = Number.POSITIVE_INFINITY;
        return { ...inputs, x: { ...(inputs.x as NDArray), data: own, shape } };
      },
    },
    "more workgroups than a dimension has": {
      program: compile({ x: f32(37, 97) }, ({ x }) => softmax(x)),
      variants: ["row_64x1"],
      device: { limits: { maxComputeWorkgroupsPerDimension: 7 } },
    },
    "workgroup memory for a quarter of the invocations": {
      program: compile({ x: f32(7, 1021) }, ({ x }) => ({ y: softmax(x), s: sum(x, { axes: 1 }) })),
      variants: ["row_64x1"],
      device: { limits: { maxComputeWorkgroupStorageSize: 256 } },
    },
  });
});

describe("small devices", () => {
  const sixty = { limits: { maxComputeInvocationsPerWorkgroup: 64 } };
  const seven = { limits: { maxComputeWorkgroupsPerDimension: 7 } };
  check({
    "rows, 64 invocations a workgroup": {
      program: compile({ x: f32(7, 1021) }, ({ x }) => ({ sum: sum(x, { axes: 1 }), max: max(x, { axes: 1 }) })),
      variants: ["row_64x1"],
      device: sixty,
    },
    "columns, 64 invocations a workgroup": {
      program: compile({ x: f32(300, 9) }, ({ x }) => ({ sum: sum(x, { axes: 0 }), max: max(x, { axes: 0 }) })),
      variants: ["row_column_32x2"],
      device: sixty,
    },
    "columns, more workgroups than a dimension has": {
      program: compile({ x: f32(40, 500) }, ({ x }) => softmax(x, { axis: 0 })),
      variants: ["row_column_4x16"],
      device: seven,
    },
    "elements, more workgroups than a dimension has": {
      program: compile({ x: f32(20, 256), y: f32(256) }, ({ x, y }) => x.mul(y).add(1)),
      variants: ["pointwise_x4"],
      device: seven,
    },
    "running sums, more workgroups than a dimension has": {
      program: compile({ x: f32(800, 5) }, ({ x }) => cumSum(x)),
      variants: ["scan_serial"],
      device: seven,
    },
    "a scatter, more workgroups than a dimension has": {
      program: compile({ x: f32(1100, 2), i: i32(3, 2), u: f32(3, 2) }, ({ x, i, u }) =>
        scatterElements(x, i, u, { axis: 0, reduction: "add" }),
      ),
      variants: ["scatter_look"],
      ranges: { i: [-1100, 1100] },
      device: seven,
    },
  });
});

describe("subgroups and native f16", () => {
  test.for([
    [
      "sums of long rows, two and a maximum at once",
      compile({ x: f32(5, 1021) }, ({ x }) => ({
        a: sum(x, { axes: 1 }),
        b: sum(x.mul(x), { axes: 1 }),
        c: max(x, { axes: 1 }),
      })),
      "row_256x1",
    ],
    ["sums of integers", compile({ x: i32(3, 203) }, ({ x }) => sum(x.mul(1_000_000_007), { axes: 1 })), "row_128x1"],
    [
      "softmax, its maximum through workgroup memory",
      compile({ x: f32(4, 300) }, ({ x }) => softmax(x.mul(5))),
      "row_64x1",
    ],
    [
      "layerNorm of f16",
      compile({ x: f16(5, 771), g: f16(771) }, ({ x, g }) => layerNorm(x, { scale: g })),
      "row_256x1",
    ],
  ] as const)("%s", async ([title, { graph }, variant], { skip }) => {
    skip(leftOut(title), leftOutWhy);
    const capabilities = hardware(gpu(), { f16: true, subgroups: true });
    const { f16: native, subgroups } = capabilities.features;
    const halves = graph.inputs.some((n) => n.type.dtype === "f16");
    const rest = halves && !native ? ["pointwise_x2"] : [];
    const manifest = await checkVariants(gpu(), capabilities, [variant, ...rest], { graph });
    expect(manifest.kernels[0]?.requires).toMatchObject({ subgroups, f16: halves && native });
  });
});

describe("schedules that are never chosen for these sizes", () => {
  const rows = 37;
  const program = (cols: number) =>
    compile({ x: f32(rows, cols), k: i32(rows, cols) }, ({ x, k }) => ({
      y: softmax(x),
      ...endsOf(k, 1),
      n: sum(k, { axes: 1 }),
    }));
  const columns = compile({ x: f32(78, 12), k: i32(78, 12) }, ({ x, k }) => ({
    y: softmax(x, { axis: 0 }),
    ...endsOf(k, 0),
    n: sum(k, { axes: 0 }),
  }));
  test.for([
    // More invocations than elements, and than steps: some have nothing to add.
    { cols: 5, threads: 64, rowsPerGroup: 4, colWidth: 1 },
    { cols: 3, threads: 256, rowsPerGroup: 1, colWidth: 1 },
    { cols: 76, threads: 2, rowsPerGroup: 64, colWidth: 4 },
    { cols: 78, threads: 8, rowsPerGroup: 2, colWidth: 2 },
    // A sum in blocks by one invocation.
    { cols: 778, threads: 1, rowsPerGroup: 3, colWidth: 1 },
  ])(
    "$cols columns by $threads invocations, $rowsPerGroup rows a workgroup, vectors of $colWidth",
    async (s, { skip }) => {
      skip(leftOut(JSON.stringify(s)), leftOutWhy);
      const { graph } = program(s.cols);
      const schedule = { ...s, name: "forced", rows, contiguous: true, rowWidth: 1 };
      const manifest = withRowSchedule(graph, hardware(gpu()), schedule);
      expect(manifest.kernels[0]?.workgroupSize[0]).toBe(s.threads * s.rowsPerGroup);
      await checkManifest(gpu(), manifest, { graph });
    },
  );

  test.for([
    { threads: 1, rowsPerGroup: 5, rowWidth: 4 },
    { threads: 32, rowsPerGroup: 3, rowWidth: 4 },
    { threads: 64, rowsPerGroup: 1, rowWidth: 2 },
    { threads: 128, rowsPerGroup: 2, rowWidth: 1 },
  ])("columns by $threads invocations, $rowsPerGroup a workgroup, vectors of $rowWidth", async (s, { skip }) => {
    skip(leftOut(JSON.stringify(s)), leftOutWhy);
    const { graph } = columns;
    const schedule = { ...s, name: "forced", rows: 12, cols: 78, contiguous: false, colWidth: 1 };
    const manifest = withRowSchedule(graph, hardware(gpu()), schedule);
    expect(manifest.kernels[0]?.workgroupSize[0]).toBe(s.threads * s.rowsPerGroup);
    await checkManifest(gpu(), manifest, { graph });
  });
});

/** Few different values, so that the largest one occurs several times. */
const quarters = (x: NDArray): NDArray => ({ ...x, data: x.data.map((v) => Math.round(v * 4) / 4) });

/** NaN in all rows but each third one, and infinities, at places that move from row to row. */
function withNaN(x: NDArray, rows: number, cols: number): NDArray {
  const data = Float64Array.from(x.data);
  for (let r = 0; r < rows; r++) {
    data[r * cols + ((r * 31) % cols)] = r % 2 ? Number.POSITIVE_INFINITY : Number.NEGATIVE_INFINITY;
    if (r % 3) data[r * cols + ((r * 17 + cols - 1) % cols)] = Number.NaN;
  }
  return { ...x, data };
}
