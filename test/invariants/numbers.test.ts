import { describe, expect, test } from "vitest";
import { halfRound, toHalfBits } from "../../src/base/half.ts";
import { compileGraph } from "../../src/compiler.ts";
import {
  cast,
  clamp,
  compile,
  f16,
  f32,
  layerNorm,
  logSoftmax,
  matmul,
  rmsNorm,
  softmax,
  sum,
  u32,
  uniform,
} from "../../src/index.ts";
import { interpret } from "../../src/ir/interpret.ts";
import { type NDArray, ndarray } from "../../src/ir/ndarray.ts";
import type { Capabilities, Manifest } from "../../src/manifest/manifest.ts";
import { profiles } from "../../src/runtime/profiles.ts";
import { loadManifest } from "../../src/runtime/session.ts";
import { errorBounds, outside } from "../support/error-bounds.ts";
import { hostData, sharedGpu } from "../support/gpu.ts";
import { programs } from "../support/programs.ts";
import { leftOut, leftOutWhy } from "../support/share.ts";
import { difference } from "../support/values.ts";
import { load, runOnce } from "./run.ts";

const gpu = sharedGpu();
const n = 96;
const ramp = (from: number, to: number): Float32Array =>
  Float32Array.from({ length: n }, (_, i) => from + ((to - from) * i) / n);

describe("1. scalars that change are data", () => {
  const program = compile(
    { p: f32(n), m: f32(n), t: f32(), g: f32(n), lr: f32(), scale: f32(), bound: f32(), seed: u32(2) },
    ({ p, m, t, g, lr, scale, bound, seed }) => {
      const step = t.add(1);
      const grad = g.div(scale);
      const clipped = grad.mul(clamp(bound.div(sum(grad.mul(grad)).sqrt()), null, 1));
      const moment = m.mul(0.9).add(clipped.mul(0.1));
      const unbiased = moment.div(step.mul(-0.10536051565782628).exp().neg().add(1));
      const noise = uniform(seed, [n], { low: -0.001, high: 0.001 });
      return { p: p.sub(unbiased.mul(lr)).add(noise), m: moment, t: step };
    },
    { donate: ["p", "m", "t"] },
  );
  const start = { p: ramp(-1, 1), m: new Float32Array(n), t: 0 };
  const settings = [
    { lr: 0.125, scale: 1, bound: 1, seed: [1, 2] },
    { lr: 0.001953125, scale: 1024, bound: 0.25, seed: [3, 4] },
    { lr: 3, scale: 0.5, bound: 1e9, seed: [4294967295, 0] },
    { lr: 0, scale: 65536, bound: 1e-3, seed: [0, 0] },
  ];

  test("learning rate, step count, loss scale, clip bound and seed change between runs: nothing is made anew, and they count", async () => {
    const session = await program.load(gpu(), { state: start, strict: true });
    let state: Record<string, NDArray> = {
      p: ndarray("f32", [n], start.p),
      m: ndarray("f32", [n]),
      t: ndarray("f32", []),
    };
    await session.run({ g: ramp(-3, 5), ...settings[0]! });
    await session.setState(start);
    gpu().counters.reset();
    for (const s of settings) {
      const g = ramp(-2 * s.scale, 3 * s.scale);
      const inputs = {
        ...state,
        g: ndarray("f32", [n], g),
        lr: ndarray("f32", [], [s.lr]),
        scale: ndarray("f32", [], [s.scale]),
        bound: ndarray("f32", [], [s.bound]),
        seed: ndarray("u32", [2], s.seed),
      };
      await session.run({ g, ...s });
      const expected = interpret(program.graph, inputs);
      const got = { p: await session.state.p.data(), m: await session.state.m.data(), t: await session.state.t.data() };
      for (const name of ["p", "m", "t"] as const) {
        const want = expected[name] as NDArray;
        expect(difference({ ...want, data: Float64Array.from(got[name]) }, want, 2e-5), name).toBeUndefined();
      }
      state = Object.fromEntries(Object.entries(got).map(([k, v]) => [k, ndarray("f32", k === "t" ? [] : [n], v)]));
    }
    expect(state.t?.data[0]).toBe(settings.length);
    expect(gpu().counters).toMatchObject({
      pipelines: 0,
      latePipelines: 0,
      submits: settings.length + 3 * settings.length,
    });
    session.dispose();
  });

  test("a number is in a kernel's text only where the program has it as a constant", () => {
    const bits = (x: number): string => new Uint32Array(Float32Array.of(x).buffer)[0]!.toString(16).padStart(8, "0");
    const lr = 0.0123456789;
    const constant = compile({ p: f32(n), g: f32(n) }, ({ p, g }) => p.sub(g.mul(lr)));
    const data = compile({ p: f32(n), g: f32(n), lr: f32() }, ({ p, g, lr }) => p.sub(g.mul(lr)));
    const text = (p: typeof constant | typeof data): string =>
      compileGraph(p.graph, gpu().capabilities)
        .manifest.kernels.map((k) => k.wgsl)
        .join();
    expect(text(constant)).toContain(bits(lr));
    expect(text(data)).not.toMatch(/0x(?!7f|80|ff)[0-9a-f]{8}u/);
  });
});

describe("2. fused = unfused = interpreter", () => {
  /** Other kernels that the device can run, though it would choose its own; one way a program, to save compiling. */
  const others = (own: Capabilities, turn: number): { capabilities: Capabilities; fuse: "legal" | "off" } => {
    if (turn % 3 === 0) return { capabilities: own, fuse: "off" };
    const like = turn % 3 === 1 ? own : profiles.base;
    return { capabilities: { ...like, software: false }, fuse: "legal" };
  };
  /** Neither many kernels nor long ones, which take an adapter that computes on the CPU seconds to compile. */
  const cheap = (m: Manifest): boolean => m.kernels.length <= 8 && m.kernels.every((k) => k.wgsl.length < 7000);

  test.for(programs.map((p, i) => [p.name, p, i] as const))("%s", async ([title, p, i], { skip }) => {
    skip(leftOut(title), leftOutWhy);
    const bounds = errorBounds(p.graph, p.inputs);
    const own = compileGraph(p.graph, gpu().capabilities).manifest;
    const { capabilities, fuse } = others(gpu().capabilities, i);
    const other = compileGraph(p.graph, capabilities, { fuse }).manifest;
    const differ = other.kernels.some((k) => own.kernels.every((o) => o.key !== k.key));
    for (const manifest of differ && cheap(other) ? [own, other] : [own]) {
      const name = manifest === own ? "own" : `${capabilities.name}, ${fuse}`;
      const session = await load(gpu(), manifest, p.inputs);
      const first = await runOnce(session, p.inputs);
      for (const [output, bound] of Object.entries(bounds)) {
        expect(outside(first[output] as NDArray, bound), `${name}: ${output}`).toBeUndefined();
      }
      // A second run starts from the state that the first one left.
      if (manifest.state.length === 0) expect(await runOnce(session, p.inputs), `${name}, again`).toEqual(first);
      session.dispose();
    }
  });

  test("runs of a batch give the bits that single runs give, however the batch is split", async () => {
    const p = programs.find((c) => c.name.startsWith("layerNorm with residual"))!;
    const { manifest } = compileGraph(p.graph, gpu().capabilities);
    const session = await loadManifest(gpu(), manifest);
    const inputs = (turn: number) =>
      Object.fromEntries(
        manifest.inputs.map((port) => [
          port.name,
          hostData(
            port.dtype,
            p.inputs[port.name]!.data.map((x) => x * (turn + 1)),
          ),
        ]),
      );
    const turns = [0, 1, 2, 3, 4, 5];
    const single: number[][] = [];
    for (const t of turns) single.push([...(await (await session.run(inputs(t))).y!.data())]);
    for (const sizes of [[6], [1, 5], [2, 2, 2]]) {
      const got: number[][] = [];
      for (const size of sizes) {
        const batch = gpu().batch();
        const handles = turns.slice(got.length, got.length + size).map((t) => batch.run(session, inputs(t)));
        await batch.submit();
        for (const h of handles) got.push([...(await h.y!.data())]);
      }
      expect(got).toEqual(single);
    }
    session.dispose();
  });
});

describe("9. rounding is part of meaning", () => {
  const values = [
    0,
    -0,
    1,
    0.1,
    -0.1,
    1 / 3,
    2047.5,
    2049,
    2051,
    65503,
    65504,
    65519,
    65519.996,
    65520,
    -65520,
    1e5,
    -1e5,
    2 ** -14,
    2 ** -14 * 1.0001,
    Infinity,
    -Infinity,
    NaN,
  ].map(Math.fround);
  const subnormal = [6e-8, 2 ** -24, 2 ** -25, 2 ** -15, -(2 ** -16), 1e-6, 6.1e-5].map(Math.fround);

  /** One kernel in which f32 goes through f16 and back, and one kernel for each cast. */
  const thereAndBack = (count: number, fuse: "legal" | "off") =>
    compile(
      { x: f32(count) },
      ({ x }) => ({ back: cast(cast(x, "f16"), "f32"), more: cast(cast(x, "f16"), "f32").mul(0.5) }),
      { fuse },
    );

  test("a cast to f16 and back inside one kernel rounds, as it does through memory, bit for bit", async () => {
    for (const fuse of ["legal", "off"] as const) {
      const program = thereAndBack(values.length, fuse);
      if (fuse === "legal") expect(program.explain().kernels).toHaveLength(1);
      const session = await program.load(gpu());
      const { back, more } = await session.run({ x: Float32Array.from(values) });
      expect([...(await back.data())], fuse).toEqual(values.map(halfRound));
      expect([...(await more.data())], fuse).toEqual(values.map((x) => halfRound(x) * 0.5));
      session.dispose();
    }
  });

  test("values below the smallest normal f16 keep their f16 value or become zero", async () => {
    const session = await thereAndBack(subnormal.length, "legal").load(gpu());
    const { back } = await session.run({ x: Float32Array.from(subnormal) });
    for (const [i, got] of (await back.data()).entries()) expect([halfRound(subnormal[i]!), 0]).toContain(got + 0);
    session.dispose();
  });

  test("every op of an f16 chain rounds its result, fused or not, odd sizes and even", async () => {
    for (const size of [1, 2, 7, 64, 129]) {
      const program = compile({ x: f16(size), y: f16(size) }, ({ x, y }) =>
        x.mul(y).add(x).sub(y).mul(3).div(y.abs().add(1)),
      );
      const x = Float32Array.from({ length: size }, (_, i) => halfRound(Math.sin(i + 1) * 37));
      const y = Float32Array.from({ length: size }, (_, i) => halfRound(Math.cos(3 * i) * 11));
      const results: number[][] = [];
      for (const fuse of ["legal", "off"] as const) {
        const session = await program.load(gpu(), { fuse });
        results.push([...(await (await session.run({ x, y })).data())].map(toHalfBits));
        session.dispose();
      }
      const expected = interpret(program.graph, { x: ndarray("f16", [size], x), y: ndarray("f16", [size], y) }).out!;
      expect(results[0], `${size} elements`).toEqual(results[1]);
      expect(results[0], `${size} elements`).toEqual([...expected.data].map(toHalfBits));
    }
  });

  test("softmax and normalisations of f16 are computed in f32, sums and products accumulate in f32", async () => {
    const x = Float32Array.from({ length: 4 * 50 }, (_, i) => halfRound(Math.sin(7 * i) * 3e4));
    const program = compile({ x: f16(4, 50), one: f16(4096) }, ({ x, one }) => ({
      softmax: softmax(x.mul(0.0001)),
      logSoftmax: logSoftmax(x),
      layerNorm: layerNorm(x),
      rmsNorm: rmsNorm(x),
      sum: sum(one),
      product: matmul(one, one),
    }));
    const session = await program.load(gpu());
    const one = new Float32Array(4096).fill(1);
    const out = await session.run({ x, one });
    const expected = interpret(program.graph, { x: ndarray("f16", [4, 50], x), one: ndarray("f16", [4096], one) });
    for (const [name, want] of Object.entries(expected)) {
      const got = await out[name as keyof typeof out].data();
      want.data.forEach((v, i) => {
        const distance = Math.abs((got[i] as number) - v);
        expect(distance, `${name}[${i}] is ${got[i]}, not ${v}`).toBeLessThanOrEqual(
          Math.max(Math.abs(v) * 2 ** -10, 2 ** -14),
        );
      });
    }
    expect([...(await out.sum.data()), ...(await out.product.data())]).toEqual([4096, 4096]);
    session.dispose();
  });
});
