import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { reflectWgsl } from "../../../codegen/reflect/index.ts";
import { compileUniform } from "../../../codegen/uniform/compile.ts";
import { evaluate } from "../../../codegen/uniform/fit.ts";
import type { KernelDefinition } from "../../../src/frontend/define-kernel.ts";
import { defineKernel, dim, dimCeilDiv, f32, gelu, u32, wgslKernel } from "../../../src/index.ts";
import { interpret } from "../../../src/ir/interpret.ts";
import type { NDArray } from "../../../src/ir/ndarray.ts";
import type { Kernel, Sizes } from "../../../src/manifest/kernel-module.ts";
import type { SizeExpr, UniformKernel } from "../../../src/manifest/uniform.ts";
import { openDevice } from "../../../src/node/device.ts";
import { compile, type Program } from "../../../src/program.ts";
import type { Gpu } from "../../../src/runtime/gpu.ts";
import { createRuntime } from "../../../src/runtime/index.ts";
import { hostData } from "../../support/gpu.ts";
import { histogram, histogramOnCpu, matmulOnCpu, tiledMatmul } from "../../support/own-kernels.ts";
import { benignInputs, difference } from "../../support/values.ts";

let gpu: Gpu;
beforeAll(async () => {
  gpu = await openDevice();
});
afterAll(() => gpu.dispose());

const [m, n, k] = [dim("m", { hint: 512 }), dim("n", { hint: 4096 }), dim("k", { hint: 768 })];
const product = wgslKernel(tiledMatmul, { cpu: matmulOnCpu }, reflectWgsl(tiledMatmul));
const count = wgslKernel(histogram, { name: "histogram", cpu: histogramOnCpu }, reflectWgsl(histogram));

const linear = defineKernel(
  { name: "linear", inputs: { a: f32(m, k), b: f32(k, n), bias: f32(n), alpha: f32() } },
  ({ a, b, bias, alpha }) => {
    const sizes = { m: a.size(0), n: b.size(1), k: a.size(1), scale: alpha };
    const workgroups = [dimCeilDiv(n, 8), dimCeilDiv(m, 8)];
    const { c } = product({ a: a.mul(0.5).relu(), b, sizes }, { outputs: { c: f32(m, n) }, workgroups });
    return { y: gelu(c.add(bias)), c };
  },
);
const counted = defineKernel(
  { name: "counted", inputs: { values: u32(n), from: u32(16), old: u32(16) }, donate: ["old"] },
  ({ values, from, old }) => {
    const call = { outputs: { bins: u32(16) }, workgroups: [dimCeilDiv(n, 64)] };
    const fresh = count({ values, bins: from }, call).bins;
    return {
      fresh,
      twice: count({ values, bins: from.mul(2) }, call).bins.add(1),
      old: count({ values, bins: old }, call).bins,
    };
  },
);

/** A kernel as a generated module has it. */
function moduleOf(u: UniformKernel): Kernel {
  const of = (e: SizeExpr, d: Sizes): number => evaluate(e, d as never);
  return {
    name: u.name,
    tensors: (u.tensors.f32 ?? []).map(({ name, dtype, access }) => ({ name, dtype, access })),
    sizes: u.dims,
    scalars: u.scalars.map((s) => s.name),
    count: (d, i) => (u.tensors.f32?.[i]?.shape ?? []).reduce<number>((p, e) => p * of(e, d), 1),
    code: {
      f32: {
        variants: (u.codes[0]?.variants ?? []).map((v) => ({
          when: (d: Sizes) => Object.entries(v.multiples).every(([name, by]) => (d[name] as number) % by === 0),
          align: v.align,
          scratch: (d: Sizes) => v.scratch.map((e) => of(e, d)),
          steps: v.steps.map((s) => ({
            wgsl: s.wgsl,
            key: s.key,
            bindings: s.bindings.map((b) => b.tensor ?? -1 - (b.scratch as number)),
            writes: s.bindings.reduce((bits, b, i) => (b.access === "read_write" ? bits | (1 << i) : bits), 0),
            words: s.args.length,
            args: (d: Sizes, o: ArrayLike<number>, words: Uint32Array, floats: Float32Array) =>
              s.args.forEach((a, i) => {
                if (a.kind === "size") words[i] = of(a.value, d);
                else if (a.kind === "float") floats[i] = of(a.value, d);
                else if (a.kind === "scalar") floats[i] = d[a.name] as number;
                else words[i] = (o[a.binding] as number) / a.unit;
              }),
            groups: (d: Sizes) => of(s.groups, d),
            ...(s.grid ? { grid: (d: Sizes) => s.grid?.map((e) => of(e, d)) as number[] } : {}),
          })),
        })),
      },
    },
  };
}

const buffer = (bytes: number, data?: ArrayLike<number> & ArrayBufferView): GPUBuffer => {
  const b = gpu.device.createBuffer({ size: bytes, usage: 0x80 | 0x4 | 0x8 });
  if (data) gpu.device.queue.writeBuffer(b, 0, data as never);
  return b;
};
async function read(b: GPUBuffer, bytes: number): Promise<ArrayBuffer> {
  const to = gpu.device.createBuffer({ size: bytes, usage: 0x1 | 0x8 });
  const e = gpu.device.createCommandEncoder();
  e.copyBufferToBuffer(b, 0, to, 0, bytes);
  gpu.device.queue.submit([e.finish()]);
  await to.mapAsync(1);
  return to.getMappedRange().slice(0);
}

async function check(definition: KernelDefinition, dims: Record<string, number>, tolerance: number): Promise<void> {
  const kernel = moduleOf(compileUniform(definition));
  const program = compile(definition.inputs("f32") as never, definition.body as never, {
    donate: definition.donate as never,
  }) as unknown as Program;
  const graph = program.bind(Object.fromEntries(Object.entries(dims).filter(([d]) => program.dims.has(d))));
  const inputs = benignInputs(graph);
  const expected = interpret(graph, inputs);
  const rt = await createRuntime({ device: gpu.device });
  const tensors: Record<string, GPUBuffer> = {};
  for (const t of kernel.tensors) {
    const x = inputs[t.name];
    const size = 4 * kernel.count(dims, kernel.tensors.indexOf(t));
    // Larger than the tensor: the kernel may still ask how long its buffers are.
    tensors[t.name] = buffer(size + 1024, x && (hostData(x.dtype, x.data) as never));
  }
  const scalars = Object.fromEntries(kernel.scalars.map((s) => [s, (inputs[s] as NDArray).data[0] as number]));
  for (let run = 0; run < 2; run++) rt.run(kernel, tensors, { ...dims, ...scalars });
  const again = interpret(graph, { ...inputs, ...(expected.old ? { old: expected.old } : {}) });
  for (const [name, e] of Object.entries(again)) {
    const bytes = await read(tensors[name] as GPUBuffer, 4 * e.data.length);
    const data = Float64Array.from(e.dtype === "f32" ? new Float32Array(bytes) : new Uint32Array(bytes));
    expect(difference({ ...e, data }, e, tolerance), name).toBeUndefined();
  }
}

describe("kernels in WGSL of one's own whose sizes are data", () => {
  test.each([
    { m: 5, n: 7, k: 11 },
    { m: 16, n: 24, k: 8 },
    { m: 33, n: 64, k: 100 },
  ])("a product for %j", async (d) => {
    await check(linear as unknown as KernelDefinition, d, 1e-4);
  });
  test.each([{ n: 1 }, { n: 100 }, { n: 4096 }])("counts in place for %j", async (d) => {
    await check(counted as unknown as KernelDefinition, d, 0);
  });
  test("an offset inside a binding is refused", async () => {
    const kernel = moduleOf(compileUniform(counted as unknown as KernelDefinition));
    const rt = await createRuntime({ device: gpu.device });
    const tensors = Object.fromEntries(kernel.tensors.map((t) => [t.name, buffer(1024)]));
    const shifted = { ...tensors, values: { buffer: tensors.values as GPUBuffer, offset: 3 } };
    expect(() => rt.run(kernel, shifted, { n: 64 })).toThrow(/"values" begins inside a binding/);
    expect(() =>
      rt.run(kernel, { ...shifted, values: { buffer: tensors.values as GPUBuffer, offset: 64 } }, { n: 64 }),
    ).not.toThrow();
  });
});
