import { expect, test, vi } from "vitest";
import { attention, compile, f16, f32, type Program, split, type Tensor } from "../../src/index.ts";
import type { NDArray } from "../../src/ir/ndarray.ts";
import { sharedGpu } from "../support/gpu.ts";
import { leftOut, leftOutWhy } from "../support/share.ts";
import { checkVariants, type Hardware, hardware, type Inputs, variantInputs } from "../support/variants.ts";

// Drivers of software adapters take seconds for these kernels.
vi.setConfig({ testTimeout: 180_000 });

const gpu = sharedGpu();
const tile = "attention_tile_32x32";
/** Where there is workgroup memory for it. */
const halves = "attention_tile_32x32_by2";

interface Case {
  readonly program: Pick<Program, "graph">;
  readonly variants?: readonly string[];
  readonly tolerance?: number;
  readonly inputs?: (inputs: Inputs) => Inputs;
  readonly device?: Hardware;
}

const cases: Readonly<Record<string, Case>> = {
  "causal, grouped heads, odd lengths, values of another depth": {
    program: compile({ q: f32(2, 4, 33, 20), k: f32(2, 2, 41, 20), v: f32(2, 2, 41, 12) }, ({ q, k, v }) =>
      attention(q, k, v, { causal: true }),
    ),
  },
  // Rows of -inf give 0, rows of the lowest f32 weigh their keys alike.
  "a mask for each head, rows of it all -inf, and others the lowest f32": {
    program: compile({ q: f32(2, 35, 8), k: f32(2, 36, 8), v: f32(2, 36, 36), m: f32(2, 35, 36) }, ({ q, k, v, m }) =>
      attention(q, k, v, { mask: m, scale: 0.7 }),
    ),
    inputs: (i) => ({ ...i, m: hiding(i.m as NDArray) }),
  },
  "a mask of one row for all, keys not by fours, causal": {
    variants: [halves],
    program: compile({ q: f32(1, 9, 4), k: f32(1, 39, 4), v: f32(1, 39, 4), m: f32(39) }, ({ q, k, v, m }) =>
      attention(q, k, v, { mask: m.mul(3), causal: true }),
    ),
  },
  "heads of one tensor, written side by side": {
    variants: [halves],
    program: compile({ qkv: f32(2, 37, 96) }, ({ qkv }) => {
      const [q, k, v] = split(qkv, { axis: 2, parts: 3 }).map((t) =>
        t.reshape([2, 37, 4, 8]).transpose([0, 2, 1, 3]),
      ) as [Tensor, Tensor, Tensor];
      return attention(q, k, v, { causal: true }).transpose([0, 2, 1, 3]).reshape([2, 37, 32]);
    }),
  },
  "operands stored along the positions, keys not by fours": {
    variants: [halves],
    program: compile({ q: f32(2, 8, 33), k: f32(2, 8, 35), v: f32(2, 12, 35) }, ({ q, k, v }) =>
      attention(q.transpose([0, 2, 1]), k.transpose([0, 2, 1]), v.transpose([0, 2, 1])),
    ),
  },
  "64 deep, values of 100, more workgroups than a dimension has": {
    program: compile({ q: f32(3, 33, 64), k: f32(3, 70, 64), v: f32(3, 70, 100) }, ({ q, k, v }) =>
      attention(q, k, v).mul(2),
    ),
    device: { limits: { maxComputeWorkgroupStorageSize: 32768, maxComputeWorkgroupsPerDimension: 4 } },
  },
  "scores of hundreds; NaN stays in its row": {
    variants: [halves],
    program: compile({ q: f32(1, 40, 8), k: f32(1, 64, 8), v: f32(1, 64, 8) }, ({ q, k, v }) =>
      attention(q.mul(20), k.mul(20), v, { scale: 1 }),
    ),
    inputs: (i) => ({ ...i, q: { ...(i.q as NDArray), data: (i.q as NDArray).data.with(35 * 8 + 3, Number.NaN) } }),
    tolerance: 2e-4,
  },
  "a depth that is not a multiple of 4": {
    program: compile({ q: f32(1, 33, 6), k: f32(1, 40, 6), v: f32(1, 40, 5) }, ({ q, k, v }) => attention(q, k, v)),
    variants: ["attention_row"],
  },
  "too little workgroup memory": {
    program: compile({ q: f32(1, 33, 64), k: f32(1, 33, 64), v: f32(1, 33, 64) }, ({ q, k, v }) => attention(q, k, v)),
    variants: ["attention_row"],
  },
};

test.for(Object.entries(cases))("%s", async ([name, { program, variants = [tile], device, ...rest }], { skip }) => {
  skip(leftOut(name), leftOutWhy);
  const { graph } = program;
  const made = variantInputs(graph);
  const inputs = rest.inputs?.(made) ?? made;
  await checkVariants(gpu(), hardware(gpu(), device), variants, { graph, tolerance: 2e-5, ...rest, inputs });
});

test("f16, natively or in packed words", async () => {
  const { graph } = compile({ q: f16(2, 33, 8), k: f16(2, 40, 8), v: f16(2, 40, 8) }, ({ q, k, v }) =>
    attention(q, k, v, { causal: true }),
  );
  const capabilities = hardware(gpu(), { f16: true });
  const { f16: native } = capabilities.features;
  const check = { graph, tolerance: 2e-3 };
  const manifest = await checkVariants(gpu(), capabilities, [halves], check);
  expect(manifest.kernels[0]?.requires.f16).toBe(native);
});

/** Hides every third key, and all keys of every fifth row; the even rows of the latter by the lowest f32. */
function hiding(m: NDArray): NDArray {
  const keys = m.shape.at(-1) as number;
  const data = m.data.map((x, i) => {
    const row = Math.floor(i / keys);
    if (row % 5 === 2) return row % 2 ? Number.NEGATIVE_INFINITY : -3.4028234663852886e38;
    return (i % keys) % 3 === 1 ? Number.NEGATIVE_INFINITY : x;
  });
  return { ...m, data };
}
