import { describe, expect, test, vi } from "vitest";
import { compileGraph } from "../../src/compiler.ts";
import { signatureOf } from "../../src/fuse/signature.ts";
import {
  add,
  and,
  cast,
  compile,
  dynamicUpdateSlice,
  f16,
  f32,
  gelu,
  i32,
  iota,
  layerNorm,
  matmul,
  mul,
  type Program,
  rmsNorm,
  shiftRight,
  silu,
  softmax,
  sub,
  type Tensor,
  u32,
} from "../../src/index.ts";
import { interpret } from "../../src/ir/interpret.ts";
import { type NDArray, ndarray } from "../../src/ir/ndarray.ts";
import { loadManifest } from "../../src/runtime/session.ts";
import { emptyTable } from "../../src/tune/table.ts";
import { identityOf } from "../../src/tuning.ts";
import { candidatesOf } from "../../src/wgsl/write.ts";
import { hostData, sharedGpu } from "../support/gpu.ts";
import { leftOut, leftOutWhy } from "../support/share.ts";
import {
  checkManifest,
  checkVariants,
  type Hardware,
  hardware,
  type Inputs,
  variantInputs,
} from "../support/variants.ts";

// Drivers of software adapters take seconds for these kernels.
vi.setConfig({ testTimeout: 180_000 });

const gpu = sharedGpu();

interface Case {
  readonly program: Pick<Program, "graph">;
  readonly variants: readonly string[];
  readonly device?: Hardware;
  readonly inputs?: (inputs: Inputs) => Inputs;
  readonly tolerance?: number;
}

/** A smaller workgroup: a text that a CPU compiles sooner. */
const small = { limits: { maxComputeInvocationsPerWorkgroup: 128 } };

/** Values of a few bits in words, from the lowest on, less `zero`, with a scale for each `size` of them. */
function packed(w: Tensor, scales: Tensor, bits: number, zero: number | Tensor): Tensor {
  const per = 32 / bits;
  const [n, words] = w.shape as [number, number];
  const groups = scales.shape[1] as number;
  const shift = mul(iota([per], { dtype: "u32" }), bits);
  const values = cast(and(shiftRight(w.reshape([n, groups, words / groups, 1]), shift), 2 ** bits - 1), "f32");
  return mul(sub(values, zero), cast(scales, "f32").reshape([n, groups, 1, 1])).reshape([n, words * per]);
}

const words = (i: Inputs): Inputs =>
  Object.fromEntries(
    Object.entries(i).map(([name, x]) => {
      const random = (_: number, j: number): number => (Math.imul(j + 1, 0x9e3779b9) ^ (j << 7)) >>> 0;
      return [name, x.dtype === "u32" ? ndarray("u32", x.shape, Array.from(x.data, random)) : x];
    }),
  );

const cases: Readonly<Record<string, Case>> = {
  "one row normalised, columns in rows of the matrix, gelu": {
    program: compile({ x: f32(1, 100), g: f32(100), b: f32(100), w: f32(100, 44), c: f32(44) }, ({ x, g, b, w, c }) => {
      const h = layerNorm(x, { scale: g, bias: b, axes: -1, epsilon: 1e-5 });
      return gelu(add(matmul(h, w), c), { approximate: "tanh" });
    }),
    variants: ["matvec_n"],
    device: { ...small, subgroups: true },
  },
  "four rows of another shape, along K, the residual they are of": {
    program: compile({ x: f32(2, 2, 68), r: f32(2, 2, 68), w: f32(36, 68) }, ({ x, r, w }) => {
      const y = add(x, r);
      return matmul(rmsNorm(y, { axes: -1, epsilon: 1e-6 }), w, { transposeB: true });
    }),
    variants: ["matvec_k"],
    device: small,
  },
  "softmax of three rows, no whole vectors of columns": {
    program: compile({ x: f32(3, 72), w: f32(72, 12) }, ({ x, w }) => matmul(softmax(mul(x, 9), { axis: -1 }), w)),
    variants: ["matvec_n"],
    device: small,
  },
  "columns that are no multiple of anything, along K": {
    program: compile({ x: f32(2, 128), w: f32(23, 128), c: f32(23) }, ({ x, w, c }) =>
      add(matmul(x, w, { transposeB: true }), c),
    ),
    variants: ["matvec_k"],
    device: small,
  },
  "columns that are no multiple of anything, side by side": {
    program: compile({ x: f32(2, 64), w: f32(64, 23) }, ({ x, w }) => matmul(x, w)),
    variants: ["matvec_n"],
    device: small,
  },
  "int4 by 32, a gate and the other half of two rows": {
    program: compile(
      { x: f32(2, 192), g: u32(12, 24), gs: f32(12, 6), u: u32(12, 24), us: f32(12, 6) },
      ({ x, g, gs, u, us }) => {
        const h = rmsNorm(x, { axes: -1, epsilon: 1e-6 });
        const product = (w: Tensor): Tensor => matmul(h, w, { transposeB: true });
        return mul(silu(product(packed(g, gs, 4, 8))), product(packed(u, us, 4, 8)));
      },
    ),
    variants: ["matvec_k"],
    device: small,
    inputs: words,
  },
  "int4 by 128, halves as scales, no zero": {
    program: compile({ x: f32(1, 256), w: u32(8, 32), s: f16(8, 2) }, ({ x, w, s }) =>
      matmul(x, packed(w, s, 4, 0), { transposeB: true }),
    ),
    variants: ["matvec_k"],
    device: small,
    inputs: words,
  },
  "int4 by 32 with a zero for each group": {
    program: compile({ x: f32(1, 128), w: u32(8, 16), s: f32(8, 4), z: f32(8, 4) }, ({ x, w, s, z }) =>
      matmul(x, packed(w, s, 4, z.reshape([8, 4, 1, 1])), { transposeB: true }),
    ),
    variants: ["matvec_k"],
    device: small,
    inputs: words,
  },
  "bytes, more than 127 off zero": {
    program: compile({ x: f32(3, 160), w: u32(8, 40), s: f32(8, 5) }, ({ x, w, s }) =>
      matmul(x, packed(w, s, 8, 128), { transposeB: true }),
    ),
    variants: ["matvec_k"],
    device: small,
    inputs: words,
  },
  "int4 by 32 in 19 blocks, normalised, a gate and the other half": {
    program: compile(
      { x: f32(1, 608), g: u32(44, 76), gs: f32(44, 19), u: u32(44, 76), us: f32(44, 19) },
      ({ x, g, gs, u, us }) => {
        const h = rmsNorm(x, { axes: -1, epsilon: 1e-6 });
        const product = (w: Tensor): Tensor => matmul(h, w, { transposeB: true });
        return mul(silu(product(packed(g, gs, 4, 8))), product(packed(u, us, 4, 8)));
      },
    ),
    variants: ["matvec_b"],
    device: small,
    inputs: words,
  },
  "int4 by 128 in 16 blocks, two rows of which one is all zeros, a residual": {
    program: compile({ x: f32(2, 512), w: u32(52, 64), s: f16(52, 4), r: f32(2, 52) }, ({ x, w, s, r }) =>
      add(r, matmul(mul(x, cast(iota([2, 1], { dtype: "u32" }), "f32")), packed(w, s, 4, 8), { transposeB: true })),
    ),
    variants: ["matvec_b"],
    device: small,
    inputs: words,
  },
  "int4 by 32 in 16 blocks, of two rows that are normalised and weighted": {
    program: compile({ x: f32(2, 512), n: f32(512), w: u32(44, 64), s: f32(44, 16) }, ({ x, n, w, s }) =>
      matmul(rmsNorm(mul(x, 3), { scale: n, axes: -1, epsilon: 1e-6 }), packed(w, s, 4, 8), { transposeB: true }),
    ),
    variants: ["matvec_b"],
    device: { ...small, subgroups: true },
    inputs: words,
  },
  "int4 by 32 in 17 blocks, of a row less its mean": {
    program: compile({ x: f32(1, 544), n: f32(544), w: u32(44, 68), s: f32(44, 17) }, ({ x, n, w, s }) =>
      matmul(layerNorm(x, { scale: n, bias: n, axes: -1, epsilon: 1e-5 }), packed(w, s, 4, 8), { transposeB: true }),
    ),
    variants: ["matvec_b"],
    device: small,
    inputs: words,
  },
  "bytes in 16 blocks, a zero for each group": {
    program: compile({ x: f32(1, 256), w: u32(41, 64), s: f32(41, 4), z: f32(41, 4) }, ({ x, w, s, z }) =>
      matmul(x, packed(w, s, 8, z.reshape([41, 4, 1, 1])), { transposeB: true }),
    ),
    variants: ["matvec_b"],
    device: small,
    inputs: words,
  },
  "two bits, words of sixteen": {
    program: compile({ x: f32(1, 128), w: u32(8, 8), s: f32(8, 2) }, ({ x, w, s }) =>
      matmul(x, packed(w, s, 2, 1), { transposeB: true }),
    ),
    variants: ["matvec_k"],
    device: small,
    inputs: words,
  },
};

describe("products of a few rows", () => {
  test.for(Object.entries(cases))("%s", async ([name, { program, variants, device, ...rest }], { skip }) => {
    skip(leftOut(name), leftOutWhy);
    const { graph } = program;
    const made = variantInputs(graph);
    const inputs = rest.inputs?.(made) ?? made;
    await checkVariants(gpu(), hardware(gpu(), device), variants, {
      ...{ graph, inputs, tolerance: rest.tolerance ?? 2e-5 },
    });
  });
});

describe("packed columns, one after the other", () => {
  const name = "int4 by 32 in 19 blocks, normalised, a gate and the other half";
  test.each(["matvec_b_6x3x1", "matvec_b_6x3x3"])("%s", async (variant) => {
    const { graph } = (cases[name] as Case).program;
    const capabilities = hardware(gpu(), small);
    let signature = "";
    compileGraph(graph, capabilities, {
      inspect: ({ main }) => {
        signature = signatureOf(main[0]!.region);
        expect(candidatesOf(main[0]!.region, capabilities).map((c) => c.name)).toContain(variant);
      },
    });
    const kernels = { [signature]: { variant, time: 1, usual: "matvec", usualTime: 2 } };
    const tuning = { ...emptyTable(identityOf(gpu())), kernels };
    const { manifest } = compileGraph(graph, capabilities, { tuning });
    expect(/ < 2u; c\d+ \+= 1u/.test(manifest.kernels[0]!.wgsl)).toBe(variant.endsWith("x1"));
    await checkManifest(gpu(), manifest, { graph, inputs: words(variantInputs(graph)), tolerance: 2e-5 });
  });
});

describe("blocks of states", () => {
  test("keys and values go where they belong from the kernel of their projection", async () => {
    const program = compile(
      { x: f32(2, 64), w: f32(64, 60), k: f32(2, 7, 10), v: f32(2, 10, 7), at: i32() },
      ({ x, w, k, v, at }) => {
        const y = matmul(x, w);
        const heads = (from: number): Tensor =>
          y
            .slice([[], [from, from + 20]])
            .reshape([2, 2, 10])
            .transpose([1, 0, 2]);
        const values = heads(38).transpose([0, 2, 1]);
        return {
          y: y.slice([[], [0, 20]]),
          k: dynamicUpdateSlice(k, heads(20), { starts: [0, at, 0] }),
          v: dynamicUpdateSlice(v, values, { starts: [0, 0, at] }),
        };
      },
      { donate: ["k", "v"] },
    );
    const { manifest, report } = compileGraph(program.graph, hardware(gpu(), small));
    expect(report.kernels.filter((n) => n.ops.includes("dynamicUpdateSlice"))).toHaveLength(1);
    const all = variantInputs(program.graph);
    const host = (x: NDArray) => hostData(x.dtype, x.data);
    const session = await loadManifest(gpu(), manifest, { state: { k: host(all.k!), v: host(all.v!) } });
    let state: Record<string, NDArray> = { k: all.k!, v: all.v! };
    for (const at of [0, 2, 5, 9]) {
      const inputs = { ...all, at: ndarray("i32", [], [at]) };
      const expected = interpret(program.graph, { ...inputs, ...state });
      const { y } = await session.run({ x: host(all.x!), w: host(all.w!), at: Int32Array.of(at) });
      y?.dispose();
      for (const name of ["k", "v"]) {
        const got = await session.state[name]!.data();
        const off = Array.from(got, (g, i) => Math.abs(Number(g) - (expected[name]!.data[i] as number)));
        expect(Math.max(...off), `${name} at ${at}`).toBeLessThan(1e-5);
      }
      state = { k: expected.k!, v: expected.v! };
    }
    session.dispose();
  });
});
