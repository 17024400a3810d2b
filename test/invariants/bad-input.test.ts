import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { SinterError } from "../../src/base/diagnostic.ts";
import { bool, compile, dim, f16, f32, i32, makeTensor, profile, type Session, sum, tensor } from "../../src/index.ts";
import { manifestFromJson, manifestToJson, openDevice, profile as profileDispatches } from "../../src/node/runtime.ts";
import { profiles } from "../../src/runtime/profiles.ts";
import { tune } from "../../src/tuning.ts";
import { sharedGpu } from "../support/gpu.ts";

const gpu = sharedGpu();
const B = dim("B");
const program = compile(
  { x: f32(B, 4), ids: i32(B), mask: bool(B), h: f16(B), w: f32(4), total: f32() },
  ({ x, ids, mask, h, w, total }) => {
    const y = sum(x.mul(w), { axes: 1 }).add(ids.cast("f32")).add(h.cast("f32")).mul(mask.cast("f32"));
    return { y, total: total.add(sum(y)) };
  },
  { weights: ["w"], donate: ["total"] },
);
const good = () => ({
  x: Float32Array.from([1, 2, 3, 4, 5, 6, 7, 8]),
  ids: Int32Array.of(10, 20),
  mask: [true, false],
  h: [0.5, 1],
});
const weights = { w: [1, 1, 1, 1] };
const expected = [20.5, 0];
const any = (v: unknown) => v as never;

async function load() {
  return program.load(gpu(), { weights, state: { total: 0 }, dims: { B: 2 } });
}
let session: Awaited<ReturnType<typeof load>>;
beforeAll(async () => {
  session = await load();
});
afterAll(() => session.dispose());

/** Bytes that sessions and results hold. */
const held = (): number => gpu().counters.bytesHeld - gpu().pool.freeBytes;

/** The call is refused with a code, a message that names things, and a next step; all that was there goes on working. */
async function refused(code: string | RegExp, call: () => unknown): Promise<SinterError> {
  const before = { held: held(), total: (await session.state.total.data())[0] as number };
  const error = await (async () => call())().then(
    () => new Error("nothing was refused"),
    (e: unknown) => e,
  );
  expect(error).toBeInstanceOf(SinterError);
  const { diagnostic, message } = error as SinterError;
  expect(diagnostic.code).toMatch(code);
  expect(diagnostic.hint ?? diagnostic.cause, message).toBeTruthy();
  expect(message).not.toMatch(/undefined|\[object|NaN/);
  expect(held(), message).toBe(before.held);
  const { y, total } = await session.run(good());
  expect([...(await y.data())]).toEqual(expected);
  expect((await total.data())[0]).toBe(before.total + 20.5);
  y.dispose();
  return error as SinterError;
}

describe("10. bad input gives a clear error and loses nothing", () => {
  const runs: Readonly<Record<string, readonly [code: string | RegExp, inputs: () => unknown]>> = {
    "nothing at all": ["missing-input", () => undefined],
    "an input left out": ["missing-input", () => ({ ...good(), ids: undefined })],
    "an input too many": ["extra-input", () => ({ ...good(), idz: [1, 2] })],
    "a weight given to a run": ["extra-input", () => ({ ...good(), w: [1, 1, 1, 1] })],
    "state given to a run": ["extra-input", () => ({ ...good(), total: 0 })],
    "too few elements": ["wrong-size", () => ({ ...good(), x: new Float32Array(7) })],
    "too many elements": ["wrong-size", () => ({ ...good(), ids: new Int32Array(3) })],
    "lists nested the other way": [
      "wrong-size",
      () => ({
        ...good(),
        x: [
          [1, 2],
          [3, 4],
          [5, 6],
          [7, 8],
        ],
      }),
    ],
    "a ragged list": [
      "wrong-size",
      () => ({
        ...good(),
        x: [
          [1, 2, 3, 4],
          [5, 6, 7],
        ],
      }),
    ],
    "the wrong array": ["wrong-dtype", () => ({ ...good(), ids: Float32Array.of(1, 2) })],
    "a fraction for an integer": ["wrong-value", () => ({ ...good(), ids: [1.5, 2] })],
    "a number beyond i32": ["wrong-value", () => ({ ...good(), ids: [2 ** 31, 2] })],
    text: ["wrong-value", () => ({ ...good(), x: "12345678" })],
    "a promise": ["wrong-value", () => ({ ...good(), x: Promise.resolve(good().x) })],
    "a CPU tensor of another shape": ["wrong-size", () => ({ ...good(), x: tensor(good().x, [4, 2]) })],
    "a CPU tensor of another dtype": ["wrong-dtype", () => ({ ...good(), ids: tensor([1, 2], [2], "f32") })],
    "a list for the tree": [/^(missing|extra)-input$|^wrong-value$|^bad-/, () => [1, 2]],
  };
  test.each(Object.entries(runs))("run: %s", async (_, [code, inputs]) => {
    await refused(code, () => session.run(any(inputs())));
  });

  const buffer = (size: number, usage: number) => gpu().device.createBuffer({ size, usage });
  const buffers: Readonly<Record<string, readonly [code: string, value: () => unknown]>> = {
    "too small": ["bad-buffer", () => buffer(28, 0x80)],
    "of the wrong usage": ["bad-buffer", () => buffer(32, 0x8)],
    destroyed: [
      "gpu-validation",
      () => {
        const b = buffer(32, 0x80 | 0x4);
        b.destroy();
        return b;
      },
    ],
  };
  test.each(Object.entries(buffers))("run: a GPUBuffer %s", async (_, [code, value]) => {
    await refused(code, () => session.run({ ...good(), x: any(value()) }));
  });

  test("run: tensors of another device, another shape, and disposed ones", async () => {
    const other = await openDevice();
    const foreign = await makeTensor(other, good().x, { dtype: "f32", shape: [2, 4] });
    await refused("wrong-device", () => session.run({ ...good(), x: foreign }));
    other.dispose();
    const turned = await makeTensor(gpu(), good().x, { dtype: "f32", shape: [4, 2] });
    await refused("wrong-size", () => session.run({ ...good(), x: turned }));
    turned.dispose();
    const gone = await makeTensor(gpu(), good().x, { dtype: "f32", shape: [2, 4] });
    gone.dispose();
    await refused("disposed", () => session.run({ ...good(), x: gone }));
  });

  test("load: sizes, weights and state", async () => {
    const options = { weights, state: { total: 0 }, dims: { B: 2 } };
    const wrong: readonly (readonly [string, object])[] = [
      ["unbound-dim", { ...options, dims: {} }],
      ["unknown-dim", { ...options, dims: { B: 2, C: 3 } }],
      ["bad-dim", { ...options, dims: { B: 2.5 } }],
      ["missing-input", { ...options, weights: undefined }],
      ["missing-input", { ...options, state: {} }],
      ["extra-input", { ...options, weights: { ...weights, v: 1 } }],
      ["wrong-size", { ...options, weights: { w: [1, 1, 1] } }],
      ["wrong-value", { ...options, weights: { w: "weights.bin" } }],
      ["unknown-option", { ...options, wieghts: 1 }],
    ];
    for (const [code, o] of wrong) await refused(code, () => program.load(gpu(), any(o)));
  });

  test("setState: other names, other sizes", async () => {
    await refused("extra-input", () => session.setState(any({ totl: 1 })));
    await refused("wrong-size", () => session.setState({ total: [1, 2] }));
  });

  test("results and sessions after dispose", async () => {
    const own = await load();
    const { y } = await own.run(good());
    own.dispose();
    expect([...(await y.data())]).toEqual(expected);
    y.dispose();
    await refused("disposed", () => y.data());
    await refused("disposed", () => own.run(good()));
    await refused("disposed", () => (own as Session).batch());
  });

  test("batches: handles too early, of another batch, submitted twice", async () => {
    const chain = await compile({ y: f32(2) }, ({ y }) => y.add(1)).load(gpu());
    const batch = session.batch();
    const { y } = batch.run(session, good());
    await refused("not-submitted", () => y.data());
    await refused("foreign-handle", () => session.batch().run(chain, { y }));
    await refused("missing-input", () => batch.run(session, any({})));
    const z = batch.run(chain, { y });
    await batch.submit();
    await refused("already-submitted", () => batch.submit());
    expect([...(await z.data())]).toEqual(expected.map((v) => v + 1));
    for (const t of [y, z]) t.dispose();
    chain.dispose();
  });

  test("manifests that were changed or are of another version", async () => {
    const json = manifestToJson(compile({ x: f32(4) }, ({ x }) => x.exp()).compiled({}, profiles.base).manifest);
    expect(manifestFromJson(json)).toBeDefined();
    for (const broken of [
      "",
      "{}",
      "null",
      "[]",
      json.slice(0, -9),
      json.replace("exp", "exq"),
      json.replace('"version":1', '"version":2'),
    ]) {
      await refused(/^bad-manifest$/, () => manifestFromJson(broken));
    }
  });

  test("adapters and profiles that are not there", async () => {
    await refused("unknown-adapter", () => openDevice({ adapter: "vulkan" }));
    await refused("unknown-profile", () => openDevice({ profile: any("giant") }));
    await refused("profile-unavailable", () => openDevice({ adapter: "null", profile: "h200" }));
  });

  test("devices to compile for, sessions and programs that are none", async () => {
    const small = compile({ x: f32(4) }, ({ x }) => x.add(1));
    for (const capabilities of [any("h200"), any(5), any({}), any({ features: {}, limits: {} })]) {
      await refused("bad-option", () => small.explain({ capabilities }));
      await refused("bad-option", () => small.memory({ capabilities }));
      await refused("bad-option", () => small.manifest({ capabilities }));
      if (typeof capabilities !== "string")
        await refused("bad-option", () => openDevice({ adapter: "null", profile: capabilities }));
    }
    await refused("bad-dim", () => small.manifest({ dims: any(5) }));
    for (const options of [{ checkMemory: "yes" }, { powerPreference: "much" }])
      await refused("bad-option", () => openDevice(any({ adapter: "null", ...options })));
    await refused("bad-option", () => session.run(good(), { read: any("yes") }));
    await refused("bad-arguments", () => profile(any(program), any(good())));
    await refused("bad-arguments", () => profile(any(Promise.resolve(session)), any(good())));
    await refused("bad-arguments", () => profileDispatches(any(session)));
    expect((await refused("bad-arguments", () => gpu().batch().run(any(session)))).message).toContain(
      "session.batch()",
    );
    await refused("bad-arguments", () => tune(gpu(), any(session)));
  });

  test("a hundred refused calls hold nothing", async () => {
    const before = gpu().counters.snapshot();
    for (let i = 0; i < 100; i++) {
      await session.run(any({ ...good(), x: new Float32Array(i % 8) })).catch(() => undefined);
    }
    const after = gpu().counters.snapshot();
    for (const name of ["submits", "dispatches", "buffers", "bindGroups", "pipelines", "bytesHeld"] as const) {
      expect(after[name], name).toBe(before[name]);
    }
  });
});
