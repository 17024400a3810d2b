import { describe, expect, test, vi } from "vitest";
import {
  add,
  attention,
  compile,
  constant,
  f16,
  f32,
  i32,
  iota,
  lessEqual,
  type Program,
  reshape,
  where,
} from "../../src/index.ts";
import { interpret } from "../../src/ir/interpret.ts";
import { type NDArray, ndarray } from "../../src/ir/ndarray.ts";
import { writeAttentionDecode } from "../../src/wgsl/attention-decode.ts";
import { sharedGpu } from "../support/gpu.ts";
import { runUnplanned, unplanned } from "../support/region-run.ts";
import { leftOut, leftOutWhy } from "../support/share.ts";
import { checkVariants, type Hardware, hardware, type Inputs, variantInputs } from "../support/variants.ts";

// Drivers of software adapters take seconds for these kernels.
vi.setConfig({ testTimeout: 180_000 });

const gpu = sharedGpu();

interface Case {
  readonly program: Pick<Program, "graph">;
  readonly inputs?: (inputs: Inputs) => Inputs;
  readonly device?: Hardware;
  readonly tolerance?: number;
}

/** Chunks of 64 keys: a text that a CPU compiles sooner. */
const small = { maxComputeInvocationsPerWorkgroup: 64 };

/** Queries that see what stands at up to a position that is data. */
const upTo = (rows: number) =>
  compile({ q: f32(1, 2, rows, 16), k: f32(1, 1, 70, 16), v: f32(1, 1, 70, 8), at: i32() }, ({ q, k, v, at }) => {
    const seen = lessEqual(iota([1, 70]), reshape(add(iota([rows]), at), [-1, 1]));
    return attention(q, k, v, { mask: where(seen, constant(0), Number.NEGATIVE_INFINITY) });
  });
const one = upTo(1);
const two = upTo(2);

/** What a cache holds after the position is zeros. */
const at =
  (position: number, rows = 1) =>
  (i: Inputs) => {
    const after = (x: NDArray): NDArray => {
      const each = x.shape.at(-1) as number;
      const used = (position + rows) * each;
      return ndarray(
        x.dtype,
        x.shape,
        Array.from(x.data, (v, j) => (j < used ? v : 0)),
      );
    };
    return { ...i, k: after(i.k as NDArray), v: after(i.v as NDArray), at: ndarray("i32", [], [position]) };
  };

const cases: Readonly<Record<string, Case>> = {
  "grouped heads, two chunks and a part of a third, features that share a key": {
    program: compile({ q: f32(2, 4, 1, 32), k: f32(2, 2, 141, 32), v: f32(2, 2, 141, 20) }, ({ q, k, v }) =>
      attention(q, k, v),
    ),
    device: { limits: small },
  },
  "causal, three queries, subgroups, heads written side by side": {
    program: compile({ q: f32(1, 2, 3, 12), k: f32(1, 2, 40, 12), v: f32(1, 2, 40, 12) }, ({ q, k, v }) =>
      attention(q, k, v, { causal: true }).transpose([0, 2, 1, 3]).reshape([1, 3, 24]),
    ),
    device: { subgroups: true, limits: small },
  },
  "the first key alone": { program: one, inputs: at(0), device: { limits: small } },
  "the first chunk": { program: one, inputs: at(63), device: { limits: small } },
  "one key of the second chunk": { program: one, inputs: at(64), device: { limits: small } },
  "up to the last key, two queries": { program: two, inputs: at(68, 2), device: { limits: small } },
  "a window of keys, halves in words, features that take more than one round of loads": {
    program: compile({ q: f16(1, 1, 24), k: f16(1, 200, 24), v: f16(1, 200, 128), m: f32(200) }, ({ q, k, v, m }) =>
      attention(q, k, v, { mask: m }),
    ),
    inputs: (i) => {
      const m = Array.from((i.m as NDArray).data, (x, j) => (j < 70 || j > 130 ? Number.NEGATIVE_INFINITY : x));
      return { ...i, m: ndarray("f32", [200], m) };
    },
    device: { limits: small },
    tolerance: 2e-3,
  },
};

describe("attention of a few queries", () => {
  test.for(Object.entries(cases))("%s", async ([name, { program, device, tolerance = 2e-5, ...rest }], { skip }) => {
    skip(leftOut(name), leftOutWhy);
    const { graph } = program;
    const made = variantInputs(graph);
    const inputs = rest.inputs?.(made) ?? made;
    await checkVariants(gpu(), hardware(gpu(), device), ["attention_decode"], { graph, tolerance, inputs });
  });

  test.for([3, 16])("values loaded before their weights are known, %i vectors at a time", async (early) => {
    const { graph } = compile({ q: f32(1, 3, 16), k: f32(1, 141, 16), v: f32(1, 141, 20) }, ({ q, k, v }) =>
      attention(q, k, v),
    );
    const c = hardware(gpu(), { limits: small });
    const inputs = variantInputs(graph);
    const made = unplanned(graph, c, { write: (r) => writeAttentionDecode(r, c, { threads: 64, early }) });
    const got = await runUnplanned(gpu(), made, inputs);
    for (const [name, expected] of Object.entries(interpret(graph, inputs))) {
      const off = Array.from(expected.data, (x, i) => Math.abs(x - (got[name]!.data[i] as number)));
      expect(Math.max(...off), name).toBeLessThan(1e-5);
    }
  });

  test("a mask that hides every key gives 0", async () => {
    const { graph } = one;
    const inputs = { ...variantInputs(graph), at: ndarray("i32", [], [-1]) };
    const c = hardware(gpu(), { limits: small });
    const manifest = await checkVariants(gpu(), c, ["attention_decode"], { graph, tolerance: 0, inputs });
    expect(manifest.dispatches).toHaveLength(1);
  });
});
