import { describe, expect, test, vi } from "vitest";
import { compileGraph } from "../../src/compiler.ts";
import {
  attention,
  cast,
  compile,
  f16,
  f32,
  gelu,
  grad,
  matmul,
  softmax,
  sum,
  type Tensor,
  transpose,
} from "../../src/index.ts";
import type { Graph } from "../../src/ir/graph.ts";
import type { Capabilities } from "../../src/manifest/manifest.ts";
import { profiles } from "../../src/runtime/profiles.ts";
import { candidatesOf } from "../../src/wgsl/write.ts";
import { clampsIn, spirvOf } from "../support/clamps.ts";
import { leftOut, leftOutWhy } from "../support/share.ts";

vi.setConfig({ testTimeout: 180_000 });

const lavapipe = process.env.SINTER_ADAPTER === "lavapipe";
const limits = {
  ...profiles.h200.limits,
  maxComputeInvocationsPerWorkgroup: 256,
  maxComputeWorkgroupStorageSize: 32768,
};
const plain: Capabilities = { ...profiles.h200, features: { f16: false, subgroups: false }, limits };
const capabilities = {
  plain,
  subgroups: { ...plain, features: { f16: false, subgroups: true }, subgroupMinSize: 4, subgroupMaxSize: 8 },
  matrix: { ...profiles.h200, limits: { ...profiles.h200.limits, maxComputeWorkgroupStorageSize: 32768 } },
} as const;

/** Every text that a program's kernels can have on a device, by variant. */
function textsOf({ graph }: { readonly graph: Graph }, c: Capabilities): Map<string, string> {
  const texts = new Map<string, string>();
  compileGraph(graph, c, {
    inspect: ({ main }) => {
      for (const { region } of main) {
        for (const candidate of candidatesOf(region, c)) {
          const kernel = candidate.write();
          if (!texts.has(kernel.variant)) texts.set(kernel.variant, kernel.wgsl);
        }
      }
    },
  });
  return texts;
}

/**
 * The text without its matrix calls, which Dawn takes on devices that have them alone: what is left reads and writes the
 * staged operands as before.
 */
const withoutMatrices = (wgsl: string): string =>
  withoutCalls(wgsl).replace(/^enable f16;\n/m, (line) =>
    /\bf16\b/.test(withoutCalls(wgsl).slice(line.length)) ? line : "",
  );

const withoutCalls = (wgsl: string): string =>
  wgsl
    .replace(/^enable chromium_experimental_subgroup_matrix;\n/m, "")
    .replace(/^diagnostic\(.*\n/m, "")
    .replace(/subgroup_matrix_(?:result|left|right)<f\d+, 16, 16>(\(\))?/g, (_, made) => (made ? "vec3u()" : "vec3u"))
    .replace(/subgroupMatrixLoad<vec3u, \w+>\(&\w+, /g, "loaded(")
    .replace(/subgroupMatrixMultiplyAccumulate\(/g, "multiplied(")
    .replace(/subgroupMatrixScalarMultiply\(/g, "scaled(")
    .replace(/subgroupMatrixStore<\w+>\(&(\w+), /g, "stored(")
    .replace(
      "@compute",
      `fn loaded(at: u32, pitch: u32) -> vec3u { return vec3u(at, pitch, 0u); }
fn multiplied(a: vec3u, b: vec3u, c: vec3u) -> vec3u { return a + b + c; }
fn scaled(a: vec3u, by: f32) -> vec3u { return a + u32(by); }
fn stored(at: u32, c: vec3u, pitch: u32) { _ = at + c.x + pitch; }
@compute`,
    );

const shape = [1, 2, 40, 16] as const;
const heads = { q: f32(...shape), k: f32(...shape), v: f32(...shape) };
const halfHeads = { q: f16(...shape), k: f16(...shape), v: f16(...shape) };
interface Heads {
  readonly q: Tensor;
  readonly k: Tensor;
  readonly v: Tensor;
}
const attend = ({ q, k, v }: Heads) => cast(attention(q, k, v, { causal: true }), "f32");
const energy = (p: Heads) => {
  const y = attend(p);
  return sum(y.mul(y));
};
const odd = ({ a, b }: { a: Tensor; b: Tensor }) => cast(matmul(a, b, { transposeA: true, transposeB: true }), "f32");

interface Case {
  readonly program: { readonly graph: Graph };
  readonly on: keyof typeof capabilities;
  readonly variants: RegExp;
  /** Kernels that clamp one index in the loop over tiles, and none in the loops within a tile. */
  readonly onceATile?: RegExp;
  /** Those of them that SwiftShader, which takes seconds for what is unrolled, gets too. */
  readonly small?: RegExp;
}

/** Kernels that index what they have staged in their inner loops, where a clamp costs as much as the arithmetic. */
const staged: Readonly<Record<string, Case>> = {
  product: {
    program: compile({ a: f32(96, 72), b: f32(72, 80) }, ({ a, b }) => gelu(matmul(a, b))),
    on: "plain",
    variants: /^tile|^direct_2x/,
    small: /^tile_32x32x16$/,
  },
  "product of odd sizes, transposed": {
    program: compile({ a: f32(67, 93), b: f32(83, 67) }, odd),
    on: "plain",
    variants: /^tile_(32x32|64x64|128x64)/,
  },
  "matrices of halves": {
    program: compile({ a: f16(96, 72), b: f16(72, 80) }, ({ a, b }) => cast(matmul(a, b), "f32")),
    on: "matrix",
    variants: /^matrix/,
  },
  "matrices of halves, odd sizes": {
    program: compile({ a: f16(67, 93), b: f16(83, 67) }, odd),
    on: "matrix",
    variants: /^matrix_(64x64|128x128)/,
  },
  "matrices of pairs of halves": {
    program: compile({ a: f32(96, 72), b: f32(72, 80) }, ({ a, b }) => matmul(a, b, { precision: "f16x3" })),
    on: "matrix",
    variants: /^f16x3/,
  },
  "attention and its gradients": {
    program: compile(heads, (p) => grad(energy)(p)),
    on: "plain",
    variants: /_tile_/,
  },
  "attention of halves and its gradients": {
    program: compile(halfHeads, (p) => grad(energy)(p)),
    on: "matrix",
    variants: /_matrix_/,
    // An invocation stages one row's statistics: one clamp in tens of thousands of operations.
    onceATile: /^attention_grad_key_value_matrix/,
  },
  "elementwise, transposed": {
    program: compile({ x: f32(64, 48), y: f32(48, 64) }, ({ x, y }) => gelu(x).add(transpose(y))),
    on: "plain",
    variants: /./,
    small: /./,
  },
};

/** The clamps in each text of a case, by variant. */
function clampsOf({ program, on, variants, small }: Case): [string, ReturnType<typeof clampsIn>][] {
  const wanted = lavapipe ? variants : small;
  const texts = [...textsOf(program, capabilities[on])].filter(([variant]) => wanted?.test(variant));
  expect(texts.length).toBeGreaterThan(0);
  const spirv = spirvOf(
    texts.map(([, wgsl]) => withoutMatrices(wgsl)),
    lavapipe ? "lavapipe" : "swiftshader",
  );
  expect(spirv).toHaveLength(texts.length);
  return texts.map(([variant], i) => [variant, clampsIn(spirv[i] as string)]);
}

describe("every index of workgroup and private memory is proven to be in range", () => {
  test.for(Object.entries(staged))("%s", ([name, c], { skip }) => {
    skip(!lavapipe && !c.small, "SwiftShader takes too long for these kernels, or lacks f16");
    skip(leftOut(name), leftOutWhy);
    const found = clampsOf(c).filter(
      ([variant, [first, ...more]]) => first && !(c.onceATile?.test(variant) && first.loops === 1 && more.length === 0),
    );
    expect(found).toEqual([]);
  });
});

describe("sums that several invocations share", () => {
  test("of a matrix and a vector clamp after their loop, where they are added up", () => {
    const program = compile({ a: f32(1, 256), b: f32(256, 64) }, ({ a, b }) => matmul(a, b));
    for (const [variant, clamps] of clampsOf({ program, on: "plain", variants: /^matvec/, small: /^matvec/ })) {
      expect(
        clamps.filter((c) => c.loops > 0),
        variant,
      ).toEqual([]);
    }
  });

  const program = compile({ x: f32(64, 700) }, ({ x }) => softmax(x));
  const rows = (on: Case["on"]) => clampsOf({ program, on, variants: /^row_(64|256)x1$/, small: /^row_64x1$/ });

  test("of rows clamp once a step of the tree that combines them, where a remainder would cost as much", () => {
    for (const [variant, clamps] of rows("plain")) {
      const steps = Math.log2(Number(/\d+/.exec(variant)?.[0]));
      // Two reductions, a maximum and a sum; none inside the loops along the row.
      expect(clamps.length, variant).toBeLessThanOrEqual(2 * (steps + 1));
      expect(
        clamps.every((c) => c.loops === 0),
        variant,
      ).toBe(true);
    }
  });

  test("of rows by subgroups clamp once a reduction in its short loop, whose end is known when it runs", () => {
    for (const [variant, clamps] of rows("subgroups")) {
      expect(clamps.filter((c) => c.loops > 0).length, variant).toBeLessThanOrEqual(2);
    }
  });
});

test("a clamp is found where there is one, with its loop", () => {
  const wgsl = `var<workgroup> sh: array<f32, 64>;
@group(0) @binding(0) var<storage, read_write> o: array<f32>;
@compute @workgroup_size(64) fn main(@builtin(local_invocation_index) lid: u32) {
  sh[lid] = o[lid];
  workgroupBarrier();
  var s = sh[u32(o[0])];
  for (var k = 0u; k < 8u; k++) { s += sh[(lid + k) / 1u] + sh[(lid / 8u) * 8u + k]; }
  o[lid] = s;
}`;
  const clamps = clampsIn(spirvOf([wgsl], lavapipe ? "lavapipe" : "swiftshader")[0] as string);
  expect(clamps).toEqual([
    { storage: "Workgroup", loops: 0, last: "63" },
    { storage: "Workgroup", loops: 1, last: "63" },
  ]);
});
