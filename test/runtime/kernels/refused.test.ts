import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { KernelCode } from "../../../src/manifest/kernel-module.ts";
import { openDevice } from "../../../src/node/device.ts";
import { createRuntime, type Kernel, type KernelRuntime, SinterError } from "../../../src/runtime/index.ts";
import { usage } from "../../../src/runtime/usage.ts";
import { floatsOf } from "../../support/buffers.ts";
import { sharedGpu } from "../../support/gpu.ts";
import { accumulate, axpy, code, neighbours, share, spec, step } from "../../support/hand-kernels.ts";

const gpu = sharedGpu();
let rt: KernelRuntime;
let device: GPUDevice;
/** 64 floats. */
let x: GPUBuffer;
let y: GPUBuffer;
let z: GPUBuffer;
beforeAll(async () => {
  device = gpu().device;
  rt = await createRuntime({ device });
  const make = (): GPUBuffer => device.createBuffer({ size: 256, usage: usage.storage | usage.copySrc });
  [x, y, z] = [make(), make(), make()];
});
afterAll(() => rt.dispose());

/** Without the types that stop most mistakes in TypeScript. */
const run = (kernel: unknown, ...args: unknown[]): void => (rt.run as (...a: unknown[]) => void)(kernel, ...args);
const sizes = { n: 64, scale: 1 };

const unbuilt = (): number => 1;
const huge: Kernel<"y", "n"> = {
  name: "huge",
  tensors: [spec("y", "write")],
  sizes: ["n"],
  scalars: [],
  count: () => 1,
  code: {
    f32: code({
      ...step({ bindings: [0], writes: 1, sizes: [], elements: () => 1, body: "" }),
      groups: (d) => d.n! * 1e6,
    }),
  },
};

const fromSize = (least: number): Kernel => ({
  ...axpy,
  code: { f32: code({ when: (d) => d.n! >= least, steps: (axpy.code.f32 as KernelCode).variants.at(-1)!.steps }) },
});

interface Case {
  readonly name: string;
  call(): void;
  readonly code: string;
  readonly says: RegExp;
}
const cases: readonly Case[] = [
  { name: "a function", call: () => run(unbuilt, {}, {}), code: "not-built", says: /sinter build/ },
  {
    name: "a definition",
    call: () => run({ name: "k", dtypes: ["f32"] }, {}, {}),
    code: "not-built",
    says: /an object/,
  },
  { name: "nothing", call: () => run(undefined, {}, {}), code: "not-built", says: /undefined/ },
  { name: "a tensor missing", call: () => run(axpy, { x, y }, sizes), code: "missing-input", says: /"z"/ },
  {
    name: "a tensor undefined",
    call: () => run(axpy, { x, y, z: undefined }, sizes),
    code: "missing-input",
    says: /"z"/,
  },
  { name: "no tensors", call: () => run(axpy, undefined, sizes), code: "missing-input", says: /"x"/ },
  {
    name: "a misspelt tensor",
    call: () => run(accumulate, { x, totl: y }, sizes),
    code: "extra-input",
    says: /mean "total"/,
  },
  {
    name: "a tensor too many",
    call: () => run(axpy, { x, y, z, mask: x }, sizes),
    code: "extra-input",
    says: /x, y, z/,
  },
  { name: "a size missing", call: () => run(axpy, { x, y, z }, { scale: 1 }), code: "missing-input", says: /"n"/ },
  {
    name: "a size undefined",
    call: () => run(axpy, { x, y, z }, { n: undefined, scale: 1 }),
    code: "missing-input",
    says: /"n"/,
  },
  { name: "no sizes", call: () => run(axpy, { x, y, z }), code: "missing-input", says: /"n"/ },
  {
    name: "a misspelt scalar",
    call: () => run(axpy, { x, y, z }, { n: 4, scal: 1 }),
    code: "extra-input",
    says: /mean "scale"/,
  },
  {
    name: "a size too many",
    call: () => run(axpy, { x, y, z }, { ...sizes, rows: 1 }),
    code: "extra-input",
    says: /n, scale/,
  },
  {
    name: "a size below the least that the kernel takes",
    call: () => run(fromSize(100), { x, y, z }, sizes),
    code: "bad-dim",
    says: /"n" is 64[\s\S]*at least 100/,
  },
  {
    name: "a size that is negative",
    call: () => run(axpy, { x, y, z }, { n: -1, scale: 1 }),
    code: "bad-dim",
    says: /-1/,
  },
  {
    name: "a size that is no integer",
    call: () => run(axpy, { x, y, z }, { n: 1.5, scale: 1 }),
    code: "bad-dim",
    says: /1\.5/,
  },
  {
    name: "a size that is NaN",
    call: () => run(axpy, { x, y, z }, { n: Number.NaN, scale: 1 }),
    code: "bad-dim",
    says: /NaN/,
  },
  {
    name: "a size that is text",
    call: () => run(axpy, { x, y, z }, { n: "4", scale: 1 }),
    code: "bad-dim",
    says: /"4"/,
  },
  {
    name: "a size of 2^32",
    call: () => run(axpy, { x, y, z }, { n: 2 ** 32, scale: 1 }),
    code: "bad-dim",
    says: /4294967296/,
  },
  {
    name: "a scalar that is a buffer",
    call: () => run(axpy, { x, y, z }, { n: 4, scale: x }),
    code: "wrong-value",
    says: /"scale"/,
  },
  {
    name: "a typed array for a tensor",
    call: () => run(axpy, { x, y, z: new Float32Array(64) }, sizes),
    code: "wrong-value",
    says: /GPUBuffer/,
  },
  {
    name: "text for a tensor",
    call: () => run(axpy, { x, y, z: "z" }, sizes),
    code: "wrong-value",
    says: /the text "z"/,
  },
  {
    name: "an offset below 0",
    call: () => run(axpy, { x, y, z: { buffer: z, offset: -1 } }, sizes),
    code: "bad-buffer",
    says: /element -1/,
  },
  {
    name: "an offset that is no integer",
    call: () => run(axpy, { x, y, z: { buffer: z, offset: 0.5 } }, sizes),
    code: "bad-buffer",
    says: /0\.5/,
  },
  {
    name: "an offset past the end",
    call: () => run(axpy, { x, y, z: { buffer: z, offset: 1 } }, sizes),
    code: "bad-buffer",
    says: /256 bytes, and 260 are needed/,
  },
  {
    name: "a buffer too small",
    call: () => run(axpy, { x, y, z }, { n: 65, scale: 1 }),
    code: "bad-buffer",
    says: /65 elements of 4 bytes/,
  },
  {
    name: "a buffer without STORAGE",
    call: () => run(axpy, { x, y, z: device.createBuffer({ size: 256, usage: usage.copyDst }) }, sizes),
    code: "bad-buffer",
    says: /GPUBufferUsage\.STORAGE/,
  },
  {
    name: "an overlap",
    call: () => run(accumulate, { x, total: x }, sizes),
    code: "aliased-buffers",
    says: /"x" and "total" share memory/,
  },
  {
    name: "an overlap in part",
    call: () => run(neighbours, { x, low: y, high: { buffer: y, offset: 31 } }, { n: 32 }),
    code: "aliased-buffers",
    says: /"low" and "high" share memory/,
  },
  {
    name: "one buffer read and written in one dispatch",
    call: () => run(accumulate, { x, total: { buffer: x, offset: 32 } }, { n: 32, scale: 1 }),
    code: "aliased-buffers",
    says: /buffer of its own/,
  },
  {
    name: "written tensors that share an alignment block",
    call: () => run(neighbours, { x, low: y, high: { buffer: y, offset: 3 } }, { n: 3 }),
    code: "aliased-buffers",
    says: /different multiples of \d+ bytes/,
  },
  {
    name: "an unknown option",
    call: () => run(axpy, { x, y, z }, sizes, { encodr: 1 }),
    code: "unknown-option",
    says: /mean "encoder"/,
  },
  {
    name: "an unknown dtype",
    call: () => run(axpy, { x, y, z }, sizes, { dtype: "bf16" }),
    code: "wrong-dtype",
    says: /f16, f32/,
  },
  {
    name: "a dtype that it lacks",
    call: () => run(share, { x, y }, { rows: 1, cols: 1 }, { dtype: "f16" }),
    code: "wrong-dtype",
    says: /f32/,
  },
  {
    name: "too many workgroups",
    call: () => run(huge, { y }, { n: 4294967295 }),
    code: "too-many-workgroups",
    says: /split/,
  },
];

describe("a call is refused, saying why and what to do, for", () => {
  for (const c of cases) {
    test(c.name, () => {
      const before = { ...rt.counters };
      let error: unknown;
      try {
        c.call();
      } catch (e) {
        error = e;
      }
      expect(error).toBeInstanceOf(SinterError);
      expect(error).toMatchObject({ code: c.code, message: expect.stringMatching(c.says) });
      expect((error as SinterError).diagnostic.hint).toBeTruthy();
      const { dispatches, submits } = rt.counters;
      expect({ dispatches, submits }).toEqual({ dispatches: before.dispatches, submits: before.submits });
    });
  }

  test("and the caller's encoder and device go on working", async () => {
    const encoder = device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    for (const options of [{ encoder }, { pass }]) {
      expect(() => run(axpy, { x, y, z }, { n: 65, scale: 1 }, options)).toThrow(/65 elements/);
    }
    rt.run(axpy, { x, y, z }, sizes, { pass });
    pass.end();
    device.queue.submit([encoder.finish()]);
    expect([...(await floatsOf(device, z))]).toEqual([...new Float32Array(64)]);
    await gpu().idle();
  });
});

describe("limits of the device", () => {
  test("a tensor larger than a binding", async () => {
    const base = await openDevice({ profile: "base" });
    const own = await createRuntime({ device: base.device });
    const most = base.device.limits.maxStorageBufferBindingSize;
    const large = base.device.createBuffer({ size: most + 256, usage: usage.storage });
    const n = most / 4 + 1;
    expect(() => own.run(axpy, { x: large, y: large, z: large }, { n, scale: 1 })).toThrow(/tensor-too-large/);
    const small = base.device.createBuffer({ size: 256, usage: usage.storage });
    expect(() => own.run(axpy, { x: large, y: large, z: small }, sizes, { dtype: "f16" })).toThrow(/shader-f16/);
    own.run(axpy, { x: large, y: { buffer: large, offset: n - 2 }, z: small }, { n: 4, scale: 1 });
    await base.idle();
    base.dispose();
  });
});

describe("createRuntime refuses", () => {
  const make = createRuntime as (options?: unknown) => Promise<unknown>;
  test.each([
    ["nothing", () => make(), "bad-arguments", /GPUDevice/],
    ["an adapter", () => make({ device: {} }), "bad-arguments", /requestDevice/],
    ["a Gpu", () => make({ device: gpu() }), "bad-arguments", /\.device/],
    ["an unknown option", () => make({ device, stor: 1 }), "unknown-option", /"store"/],
    ["a store without set", () => make({ device, store: { get: () => 1 } }), "bad-option", /get and set/],
    ["too few slots", () => make({ device, maxSlots: 1 }), "bad-option", /maxSlots/],
  ] as const)("%s", async (_, call, code, says) => {
    await expect(call()).rejects.toMatchObject({ code, message: expect.stringMatching(says) });
  });
});
