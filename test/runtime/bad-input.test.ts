import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { openAdapter } from "../../src/node/adapters.ts";
import { type Gpu, loadManifest, makeTensor, openDevice, type Session, warmup } from "../../src/node/runtime.ts";
import { affine, affineOf, identity } from "./programs.ts";

let gpu: Gpu;
let session: Session;
const ramp = (n: number): Float32Array => Float32Array.from({ length: n }, (_, i) => i);
beforeAll(async () => {
  gpu = await openDevice();
  session = await loadManifest(gpu, affine(8), { weights: { w: ramp(8) } });
});
afterAll(() => gpu.dispose());

/** An error with a code that says what to do next. */
const refusal = (code: string | RegExp) => ({
  name: "SinterError",
  code: expect.stringMatching(code),
  diagnostic: { message: expect.not.stringMatching(/undefined|object Object/), hint: expect.stringMatching(/./) },
});

/** Every refused call leaves the session as it was. */
async function stillWorks(): Promise<void> {
  const { y } = await session.run({ x: ramp(8), s: 1 });
  expect([...(await y!.data())]).toEqual(affineOf(ramp(8), ramp(8), 1));
}

describe("inputs of a run", () => {
  const cases: readonly (readonly [string, object, string])[] = [
    ["missing", { x: ramp(8) }, "missing-input"],
    ["undefined", { x: ramp(8), s: undefined }, "missing-input"],
    ["extra", { x: ramp(8), s: 1, z: 1 }, "extra-input"],
    ["inherited names", { x: ramp(8), s: 1, toString: 1 }, "extra-input"],
    ["too short", { x: ramp(7), s: 1 }, "wrong-size"],
    ["too long", { x: ramp(9), s: 1 }, "wrong-size"],
    ["a number for eight", { x: 3, s: 1 }, "wrong-size"],
    ["a ragged list", { x: [[1, 2], [3]], s: 1 }, "wrong-size"],
    ["the wrong typed array", { x: new Int32Array(8), s: 1 }, "wrong-dtype"],
    ["a DataView", { x: new DataView(new ArrayBuffer(32)), s: 1 }, "wrong-dtype"],
    ["text", { x: "12345678", s: 1 }, "wrong-value"],
    ["null", { x: null, s: 1 }, "wrong-value"],
    ["a promise", { x: Promise.resolve(ramp(8)), s: 1 }, "wrong-value"],
    ["a function", { x: () => ramp(8), s: 1 }, "wrong-value"],
    ["lists nested too deep", { x: [[1, 2, 3, 4, 5, 6, 7, 8]], s: 1 }, "wrong-size"],
    ["text in a list", { x: [1, 2, 3, 4, 5, 6, 7, "8"], s: 1 }, "wrong-value"],
  ];
  test.each(cases)("%s", async (_, inputs, code) => {
    await expect(session.run(inputs as never)).rejects.toMatchObject(refusal(code));
    await stillWorks();
  });

  test("a fraction for an integer, and a number out of its range", async () => {
    using integers = await loadManifest(gpu, identity("i32", [1]));
    await expect(integers.run({ x: [1.5] })).rejects.toMatchObject(refusal("wrong-value"));
    await expect(integers.run({ x: [2 ** 31] })).rejects.toMatchObject(refusal("wrong-value"));
    await expect(integers.run({ x: [NaN] })).rejects.toMatchObject(refusal("wrong-value"));
  });

  test("bytes of a file instead of its elements: the message says how to read them", async () => {
    const bytes = new Uint8Array(ramp(8).buffer);
    await expect(session.run({ x: bytes, s: 1 })).rejects.toThrow(
      /as a Uint8Array[\s\S]*new Float32Array\(bytes\.buffer, bytes\.byteOffset, 8\)/,
    );
    await expect(session.run({ x: ramp(8).buffer as never, s: 1 })).rejects.toThrow(/new Float32Array\(buffer\)/);
  });

  test("the message names the input, its shape and what was given", async () => {
    await expect(session.run({ x: ramp(7), s: 1 })).rejects.toThrow(
      /"x" \(f32\[8\]\) has 8 elements, and 7 were given/,
    );
  });
});

describe("buffers of the caller", () => {
  const storage = 0x80 | 0x8 | 0x4;
  const refused = async (x: unknown, code: string | RegExp): Promise<void> => {
    await expect(session.run({ x, s: 1 } as never)).rejects.toMatchObject(refusal(code));
    await stillWorks();
  };

  test("too small", () => refused(gpu.device.createBuffer({ size: 28, usage: storage }), "bad-buffer"));
  test("without STORAGE", () => refused(gpu.device.createBuffer({ size: 32, usage: 0x4 | 0x8 }), "bad-buffer"));
  test("mapped", async () => {
    const b = gpu.device.createBuffer({ size: 32, usage: storage, mappedAtCreation: true });
    await refused(b, "bad-buffer");
    b.unmap();
  });
  test("destroyed", async () => {
    const b = gpu.device.createBuffer({ size: 32, usage: storage });
    b.destroy();
    await refused(b, "gpu-validation");
    await expect(session.run({ x: b, s: 1 })).rejects.toThrow(/next: .*"x" belongs to this device/);
  });
  test("destroyed after it was used once", async () => {
    const b = gpu.device.createBuffer({ size: 32, usage: storage });
    await session.run({ x: b, s: 1 });
    b.destroy();
    await refused(b, "gpu-validation");
  });
  test("of another device, whatever way it is wrapped", async () => {
    const { adapter } = await openAdapter();
    const device = await adapter.requestDevice();
    const b = device.createBuffer({ size: 32, usage: storage });
    await refused(b, "gpu-validation");
    await refused(await makeTensor(gpu, b, { dtype: "f32", shape: [8] }), "gpu-validation");
    await expect(loadManifest(gpu, affine(8), { weights: { w: b } })).rejects.toMatchObject(refusal("gpu-validation"));
    device.destroy();
  });
  test("a tensor of another device, another shape or another dtype", async () => {
    const other = await openDevice();
    await refused(await makeTensor(other, ramp(8), { dtype: "f32", shape: [8] }), "wrong-device");
    other.dispose();
    await refused(await makeTensor(gpu, ramp(8), { dtype: "f32", shape: [2, 4] }), "wrong-size");
    await refused(await makeTensor(gpu, new Int32Array(8), { dtype: "i32", shape: [8] }), "wrong-dtype");
  });
  test("a disposed tensor", async () => {
    const t = await makeTensor(gpu, ramp(8), { dtype: "f32", shape: [8] });
    t.dispose();
    t.dispose();
    await refused(t, "disposed");
    await expect(t.data()).rejects.toMatchObject(refusal("disposed"));
  });
});

describe("options", () => {
  const wrong: Readonly<Record<string, readonly [code: string, options: object]>> = {
    "misspelt names": ["unknown-option", { onprogress: () => undefined }],
    "a signal that is none": ["bad-option", { signal: {} }],
    "no kernel at a time": ["bad-option", { concurrency: 0 }],
    "a number that is none": ["bad-option", { concurrency: Number.NaN }],
    "a listener that cannot be called": ["bad-option", { onProgress: "text" }],
  };
  test.each(Object.entries(wrong))("%s", async (_, [code, options]) => {
    const weights = { w: ramp(8) };
    const load = loadManifest(gpu, affine(8), { weights, ...options } as never);
    await expect(load).rejects.toMatchObject(refusal(code));
    await expect(warmup(gpu, affine(8), options as never)).rejects.toMatchObject(refusal(code));
  });

  test("of every call that waits: a signal that is none is refused at once, and nothing is left to go wrong", async () => {
    const options = { signal: "x" } as never;
    const batch = gpu.batch();
    using y = batch.run(session, { x: ramp(8), s: 1 }).y!;
    await expect(batch.submit(options)).rejects.toMatchObject(refusal("bad-option"));
    await batch.submit();
    await expect(y.data(options)).rejects.toMatchObject(refusal("bad-option"));
    await expect(session.run({ x: ramp(8), s: 1 }, options)).rejects.toMatchObject(refusal("bad-option"));
    await expect(gpu.idle(options)).rejects.toMatchObject(refusal("bad-option"));
    await expect(openDevice({ adaptor: "null" } as never)).rejects.toThrow(/did you mean "adapter"/);
    await stillWorks();
  });

  test("what is no object is refused by every call", async () => {
    for (const options of [null, 5, "read", []] as never[]) {
      const load = loadManifest(gpu, affine(8), options);
      await expect(load).rejects.toMatchObject(refusal("bad-option"));
      await expect(warmup(gpu, affine(8), options)).rejects.toMatchObject(refusal("bad-option"));
      await expect(session.run({ x: ramp(8), s: 1 }, options)).rejects.toMatchObject(refusal("bad-option"));
      await expect(gpu.idle(options)).rejects.toMatchObject(refusal("bad-option"));
    }
    await stillWorks();
  });

  test("a device that is none, or that is open", async () => {
    const none = openDevice({ device: 5 } as never);
    await expect(none).rejects.toMatchObject(refusal("bad-option"));
    await expect(openDevice({ device: gpu } as never)).rejects.toThrow(
      /openDevice: device cannot be a Gpu.*\n.*it is open/,
    );
  });

  test("a tuning that is none is refused when the device is opened", async () => {
    for (const tuning of ["on", 3, true, []]) {
      const opened = openDevice({ adapter: "null", tuning } as never);
      await expect(opened).rejects.toMatchObject(refusal("bad-option"));
    }
    (await openDevice({ adapter: "null", tuning: "off" })).dispose();
    vi.stubEnv("SINTER_TUNING", "package-lock.json/none");
    await expect((async () => openDevice())()).rejects.toMatchObject(refusal("bad-tuning-table"));
    vi.unstubAllEnvs();
  });

  test("something else than an open device", async () => {
    const cases = [
      [undefined, /openDevice\(\)/],
      [gpu.device, /openDevice\(\{ device \}\)/],
      [Promise.resolve(gpu), /await it/],
    ] as const;
    for (const [value, hint] of cases) {
      await expect(loadManifest(value as never, affine(8))).rejects.toThrow(hint);
      await expect(warmup(value as never, affine(8))).rejects.toMatchObject({ code: "bad-arguments" });
    }
  });
});

describe("loading", () => {
  test("weights and state are checked as inputs are", async () => {
    await expect(loadManifest(gpu, affine(8))).rejects.toMatchObject(refusal("missing-input"));
    await expect(loadManifest(gpu, affine(8), { weights: { w: ramp(7) } })).rejects.toMatchObject(
      refusal("wrong-size"),
    );
    await expect(loadManifest(gpu, affine(8), { weights: { w: ramp(8) }, state: { q: 1 } })).rejects.toMatchObject(
      refusal("extra-input"),
    );
  });

  test("a kernel that does not compile is named, with the compiler's message", async () => {
    const m = affine(8);
    const broken = {
      ...m,
      kernels: [
        { ...m.kernels[0]!, key: "0".repeat(64), wgsl: "@compute fn main() { let a = ; }", place: "model.ts:7" },
      ],
    };
    const failure = loadManifest(gpu, broken, { weights: { w: ramp(8) } });
    await expect(failure).rejects.toMatchObject(refusal("kernel-compile-failed"));
    await expect(failure).rejects.toThrow(/scale and shift \(model\.ts:7\)[\s\S]*cause: 1:\d+/);
    await stillWorks();
  });

  test("a program for a larger device is refused before anything is made", async () => {
    const m = affine(8);
    const held = gpu.counters.bytesHeld;
    const bindings = new Array(100).fill("read");
    const kernels = [{ ...m.kernels[0]!, key: "1".repeat(64), bindings }];
    const windows = bindings.map(() => m.dispatches[0]!.bindings[0]!);
    const wide = { ...m, kernels, dispatches: [{ ...m.dispatches[0]!, bindings: windows }] };
    await expect(loadManifest(gpu, wide, { weights: { w: ramp(8) } })).rejects.toMatchObject(
      refusal("device-too-small"),
    );
    const far = { ...m, dispatches: [{ ...m.dispatches[0]!, workgroups: [65536, 1, 1] as const }] };
    await expect(loadManifest(gpu, far, { weights: { w: ramp(8) } })).rejects.toMatchObject(
      refusal("device-too-small"),
    );
    const huge = { ...m, buffers: [...m.buffers, { role: "scratch" as const, size: 2 ** 40 }] };
    await expect(loadManifest(gpu, huge, { weights: { w: ramp(8) } })).rejects.toMatchObject(
      refusal("device-too-small"),
    );
    const f16 = {
      ...m,
      kernels: [
        { ...m.kernels[0]!, key: "2".repeat(64), requires: { f16: true, subgroups: false, workgroupBytes: 0 } },
      ],
    };
    const base = await openDevice({ profile: "base" });
    await expect(loadManifest(base, f16, { weights: { w: ramp(8) } })).rejects.toMatchObject(
      refusal("feature-missing"),
    );
    base.dispose();
    expect(gpu.counters.bytesHeld).toBe(held);
  });
});

test("using a session after dispose", async () => {
  const gone = await loadManifest(gpu, affine(8), { weights: { w: ramp(8) } });
  gone.dispose();
  gone.dispose();
  await expect(gone.run({ x: ramp(8), s: 1 })).rejects.toMatchObject(refusal("disposed"));
  await expect(gone.setState({})).rejects.toMatchObject(refusal("disposed"));
});

test("an abort says what was aborted and why", async () => {
  const signal = AbortSignal.abort(new Error("the user left"));
  const load = loadManifest(gpu, affine(8), { weights: { w: ramp(8) }, signal });
  await expect(load).rejects.toMatchObject({ ...refusal("aborted"), diagnostic: { cause: "the user left" } });
  await expect(session.run({ x: ramp(8), s: 1 }, { signal })).rejects.toMatchObject(refusal("aborted"));
  await stillWorks();
});

test("using a device after dispose", async () => {
  const other = await openDevice();
  const s = await loadManifest(other, affine(8), { weights: { w: ramp(8) } });
  const { y } = await s.run({ x: ramp(8), s: 1 });
  other.dispose();
  other.dispose();
  await expect(s.run({ x: ramp(8), s: 1 })).rejects.toMatchObject(refusal("disposed"));
  await expect(y!.data()).rejects.toMatchObject(refusal("disposed"));
  await expect(loadManifest(other, affine(8))).rejects.toMatchObject(refusal("disposed"));
  expect(() => other.batch()).toThrow(expect.objectContaining({ code: "disposed" }));
});

test("an error that the device reports outside any call ends the next one, once, and the results it may have hit", async () => {
  const { y } = await session.run({ x: ramp(8), s: 1 });
  gpu.device.createBuffer({ size: 2 ** 50, usage: 0x80 });
  await expect(session.run({ x: ramp(8), s: 1 })).rejects.toMatchObject(refusal("gpu-validation"));
  await expect(y!.data()).rejects.toMatchObject(refusal("gpu-validation"));
  await stillWorks();
});
test("an unknown adapter, and one that is not there", async () => {
  await expect(openDevice({ adapter: "vulkan" })).rejects.toThrow(/"vulkan"[\s\S]*gpu, lavapipe, swiftshader, null/);
  await expect(openDevice({ profile: "giant" as never })).rejects.toMatchObject(refusal("unknown-profile"));
  await expect(openDevice({ adapter: "null", profile: "h200" })).rejects.toMatchObject(refusal("profile-unavailable"));
});
