import { describe, expect, test } from "vitest";
import type { Region } from "../../src/fuse/region.ts";
import {
  compile,
  dynamicSlice,
  dynamicUpdateSlice,
  f32,
  i32,
  type Program,
  scatterElements,
  scatterND,
  u32,
} from "../../src/index.ts";
import { interpret } from "../../src/ir/interpret.ts";
import type { NDArray } from "../../src/ir/ndarray.ts";
import { parse } from "../../src/ir/parse.ts";
import type { Capabilities } from "../../src/manifest/manifest.ts";
import { sharedGpu } from "../support/gpu.ts";
import { inPlace, runUnplanned, unplanned } from "../support/region-run.ts";
import { leftOut, leftOutWhy } from "../support/share.ts";
import { difference } from "../support/values.ts";
import { hardware, variantInputs } from "../support/variants.ts";

const gpu = sharedGpu();

interface Case {
  readonly program: Pick<Program, "graph">;
  /** On a GPU and on a CPU adapter; the same in place with a suffix. */
  readonly variants: readonly [gpu: string, cpu: string];
  readonly inPlace?: readonly [gpu: string, cpu: string];
}

const reductions = ["none", "add", "mul", "min", "max"] as const;
const nd = (
  [data, index, update]: readonly (readonly number[])[],
  reduction: (typeof reductions)[number] = "add",
): Pick<Program, "graph"> =>
  compile(
    { x: f32(...(data as number[])), i: i32(...(index as number[])), u: f32(...(update as number[])) },
    ({ x, i, u }) => scatterND(x, i, u.mul(2), { reduction }),
  );

const both = (name: string): readonly [string, string] => [name, name];
const cases: Readonly<Record<string, Case>> = {
  "an embedding's gradient": {
    program: nd([
      [23, 64],
      [130, 1],
      [130, 64],
    ]),
    variants: ["scatter_listed", "scatter_alone"],
    inPlace: ["scatter_together_in_place", "scatter_alone_in_place"],
  },
  "an embedding's gradient, odd, more vectors than a workgroup has": {
    program: nd([
      [7, 301],
      [65, 1],
      [65, 301],
    ]),
    variants: ["scatter_listed", "scatter_alone"],
    inPlace: ["scatter_together_in_place", "scatter_alone_in_place"],
  },
  "an embedding's gradient, more updates of a workgroup's rows than it lists": {
    program: nd([
      [70, 64],
      [2100, 1],
      [2100, 64],
    ]),
    variants: ["scatter_listed", "scatter_alone"],
  },
  "indices of two axes by batch and position": {
    program: nd([
      [5, 4, 20],
      [3, 33, 2],
      [3, 33, 20],
    ]),
    variants: both("scatter_alone"),
  },
  "long slices by few updates": {
    program: nd(
      [
        [9, 200],
        [12, 1],
        [12, 200],
      ],
      "max",
    ),
    variants: both("scatter_alone"),
  },
  ...Object.fromEntries(
    reductions.map((r) => [
      `single elements, ${r}`,
      { program: nd([[17], [40, 1], [40]], r), variants: both("scatter_alone") },
    ]),
  ),
  ...Object.fromEntries(
    reductions.map((r): [string, Case] => [
      `elements along an axis, ${r}`,
      {
        program: compile({ x: f32(6, 9), i: i32(11, 7), u: f32(11, 7) }, ({ x, i, u }) =>
          scatterElements(x, i, u, { axis: 0, reduction: r }),
        ),
        variants: both("scatter_look"),
        inPlace: both("scatter_addressed"),
      },
    ]),
  ),
  "one element of each row, unsigned": {
    program: compile({ x: f32(70, 9), j: u32(70, 1), u: f32(70, 1) }, ({ x, j, u }) =>
      scatterElements(x, j, u, { axis: 1, reduction: "add" }),
    ),
    variants: both("scatter_look"),
    inPlace: both("scatter_addressed"),
  },
  "a block at a place that is data": {
    program: compile({ x: f32(9, 12), u: f32(3, 8), a: i32(), b: i32() }, ({ x, u, a, b }) =>
      dynamicUpdateSlice(x, u.add(1), { starts: [a, b] }),
    ),
    variants: both("update_select_x4"),
    inPlace: both("update_block_x4"),
  },
  "whole rows of a cache": {
    program: compile({ x: f32(2, 9, 6), u: f32(2, 1, 6), j: u32() }, ({ x, u, j }) =>
      dynamicUpdateSlice(x, u, { starts: [0, j, 0] }),
    ),
    variants: both("update_select_x4"),
    inPlace: both("update_block_x2"),
  },
};

/** Indices that miss, repeat and count from the end. */
const ranges = { i: [-26, 26], j: [0, 12], a: [-3, 12], b: [-3, 12] } as const;

async function check({ graph }: Case["program"], c: Capabilities, variant: string, slots?: (r: Region) => never) {
  const made = unplanned(graph, c, slots ? { slots } : {});
  expect(made.kernels.map((k) => k.kernel.variant)).toEqual([variant]);
  const inputs = variantInputs(graph, ranges);
  const got = await runUnplanned(gpu(), made, inputs);
  for (const [name, expected] of Object.entries(interpret(graph, inputs))) {
    expect(difference(got[name] as NDArray, expected, 1e-4), name).toBeUndefined();
  }
  // The order of additions is that of the updates: twice the same bits.
  expect(await runUnplanned(gpu(), made, inputs)).toEqual(got);
}

describe.each([
  ["as a GPU", 0],
  ["as a CPU adapter", 1],
] as const)("%s", (_, at) => {
  const capabilities = (): Capabilities => ({ ...hardware(gpu()), software: at === 1 });
  test.for(Object.entries(cases))("%s", async ([title, { program, variants, inPlace: replaced }], { skip }) => {
    skip(leftOut(title), leftOutWhy);
    await check(program, capabilities(), variants[at]);
    const name = replaced?.[at] ?? `${variants[at]}_in_place`;
    await check(program, capabilities(), name, ((r: Region) => {
      const slots = inPlace(r);
      expect(slots.filter((s) => s.input && s.output).length).toBe(1);
      return slots;
    }) as never);
  });
});

test("a block read from a place that is data", async () => {
  const { graph } = compile({ x: f32(9, 12), h: f32(12, 9), a: i32(), b: u32() }, ({ x, h, a, b }) => ({
    rows: dynamicSlice(x, { starts: [a, 0], sizes: [3, 12] }).mul(2),
    block: dynamicSlice(x, { starts: [a, b], sizes: [4, 5] }).add(dynamicSlice(h, { starts: [b, a], sizes: [4, 5] })),
  }));
  for (const [a, b] of [
    [-2, 0],
    [2, 3],
    [100, 200],
  ] as const) {
    const at = { ...variantInputs(graph), ...scalars({ a, b }) };
    const got = await runUnplanned(gpu(), unplanned(graph, hardware(gpu())), at);
    for (const [name, e] of Object.entries(interpret(graph, at)))
      expect(difference(got[name] as NDArray, e, 1e-6), name).toBeUndefined();
  }
});

const scalars = (values: { readonly a: number; readonly b: number }): Record<string, NDArray> => ({
  a: { dtype: "i32", shape: [], data: Float64Array.of(values.a) },
  b: { dtype: "u32", shape: [], data: Float64Array.of(values.b) },
});

test("a value for each segment, where vectors lie in one segment and where they do not", async () => {
  for (const sizes of [
    [64, 128, 0, 64, 8],
    [3, 0, 7, 1, 13],
  ]) {
    const n = sizes.reduce((a, b) => a + b, 0);
    const graph = parse(`graph(%x: f32[${n}], %t: f32[${sizes.length}]) {
  %0 = segments() {sizes: [${sizes}]} : u32[${n}]
  %1 = gather(%t, %0) {axis: 0} : f32[${n}]
  %2 = mul(%x, %1) : f32[${n}]
  return y: %2, s: %0
}`);
    const inputs = variantInputs(graph);
    const got = await runUnplanned(gpu(), unplanned(graph, hardware(gpu())), inputs);
    for (const [name, e] of Object.entries(interpret(graph, inputs)))
      expect(difference(got[name] as NDArray, e, 1e-6), name).toBeUndefined();
  }
});
