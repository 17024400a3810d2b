import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { DType } from "../../src/base/dtype.ts";
import { HelperSet, wgslType } from "../../src/ir/ops/helpers.ts";
import { openAdapter } from "../../src/node/adapters.ts";
import { philoxKnownAnswers } from "../support/philox.ts";
import { type ElementwiseCase, elementwiseCases, fromBits, toBits } from "./elementwise-cases.ts";
import { runCaseKernel } from "./elementwise-kernel.ts";

let device: GPUDevice;

beforeAll(async () => {
  const { globals } = await import("webgpu");
  Object.assign(globalThis, globals);
  device = await (await openAdapter()).adapter.requestDevice();
});
afterAll(() => device.destroy());

describe("what compilers would fold away stays", () => {
  const { NaN: nan, POSITIVE_INFINITY: inf } = Number;
  const values = [nan, inf, -inf, 0, -0, 1.5, -3, 0];
  const isNaNBits = (bits: number): boolean => (bits & 0x7fffffff) > 0x7f800000;

  /** An expression of the value `x` for every element of `values`, as bits. */
  async function evaluate(width: number, expression: (set: HelperSet) => string): Promise<number[]> {
    const set = new HelperSet();
    const text = expression(set);
    const v = width === 1 ? "u32" : `vec${width}<u32>`;
    const code = `
@group(0) @binding(1) var<storage, read> in0: array<${v}>;
@group(0) @binding(0) var<storage, read_write> out: array<${v}>;
${set.text()}
@compute @workgroup_size(8)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  if (id.x >= ${values.length / width}u) {
    return;
  }
  let x = bitcast<${wgslType("f32", width)}>(in0[id.x]);
  let y = ${text};
  out[id.x] = bitcast<${v}>(y);
}`;
    const [words] = await runCaseKernel(device, code, [Uint32Array.from(values, (x) => toBits(x, "f32"))], 1);
    return [...(words as Uint32Array)];
  }
  const apply =
    (op: string, width: number, ...x: (string | number)[]) =>
    (set: HelperSet): string => {
      const { row } = elementwiseCases().find(
        (c) => c.label === `${op} ${x.map(() => "f32").join()}`,
      ) as ElementwiseCase;
      const result = (
        row.infer(
          x.map(() => ({ dtype: "f32", shape: [] })),
          {},
        ) as { dtype: DType }
      ).dtype;
      const c = set.context({ width, args: x.map(() => "f32" as const), result });
      const text = row.elementwise?.wgsl(
        x.map((v) => (typeof v === "number" ? c.lit(v) : v)),
        c,
      ) as string;
      const v = width === 1 ? "u32" : `vec${width}<u32>`;
      return result === "bool" ? `select(${v}(0u), ${v}(1u), ${text})` : `bitcast<${v}>(${text})`;
    };

  test.each([1, 4])("width %i: a value against itself", async (width) => {
    const self = async (op: string) => evaluate(width, apply(op, width, "x", "x"));
    expect((await self("sub")).map(isNaNBits)).toEqual([true, true, true, false, false, false, false, false]);
    expect(await self("equal")).toEqual([0, 1, 1, 1, 1, 1, 1, 1]);
    expect(await self("notEqual")).toEqual([1, 0, 0, 0, 0, 0, 0, 0]);
    expect(await self("lessEqual")).toEqual([0, 1, 1, 1, 1, 1, 1, 1]);
    expect(await self("greaterEqual")).toEqual([0, 1, 1, 1, 1, 1, 1, 1]);
    expect(await evaluate(width, apply("isNaN", width, "x"))).toEqual([1, 0, 0, 0, 0, 0, 0, 0]);
  });

  test.each([1, 4])("width %i: a product with a literal zero", async (width) => {
    const bits = await evaluate(width, apply("mul", width, "x", -0));
    expect(
      bits.map((b) => (isNaNBits(b) ? "NaN" : Object.is(fromBits(b, "f32"), -0) ? "-0" : String(fromBits(b, "f32")))),
    ).toEqual(["NaN", "NaN", "NaN", "-0", "0", "-0", "0", "-0"]);
  });

  test.each([1, 4])("width %i: literals arrive bit by bit", async (width) => {
    for (const x of [
      0.1,
      -0,
      inf,
      -inf,
      nan,
      3.4028234663852886e38,
      -3.4028234663852886e38,
      2 ** -149,
      16777217,
      1e-30,
    ]) {
      const bits = await evaluate(width, (set) => set.literal(x, "f32", width));
      expect(new Set(bits)).toEqual(new Set([toBits(Math.fround(x), "f32")]));
    }
  });
});

test("Philox on the GPU gives Random123's known answers", async () => {
  const set = new HelperSet();
  const call = set.use("philox", 1);
  const code = `
@group(0) @binding(1) var<storage, read> in0: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read> in1: array<vec4<u32>>;
@group(0) @binding(0) var<storage, read_write> out: array<vec4<u32>>;
${set.text()}
@compute @workgroup_size(4)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  if (id.x < 3u) {
    out[id.x] = ${call}(in0[id.x], in1[id.x].xy);
  }
}`;
  const counters = Uint32Array.from(philoxKnownAnswers.flatMap((k) => k.counter));
  const keys = Uint32Array.from(philoxKnownAnswers.flatMap((k) => [...k.key, 0, 0]));
  const [words] = await runCaseKernel(device, code, [counters, keys], 1);
  expect([...(words as Uint32Array)]).toEqual(philoxKnownAnswers.flatMap((k) => k.words));
});
