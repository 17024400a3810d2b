import { describe, expect, test } from "vitest";
import { compileGraph } from "../../src/compiler.ts";
import type { NDArray } from "../../src/ir/ndarray.ts";
import * as nn from "../../src/nn/index.ts";
import { compile, f32, type GpuTensor, readTensors } from "../../src/node/index.ts";
import { deviation } from "../nn/support/deviation.ts";
import { Interpreted } from "../nn/support/interpreted.ts";
import { caseName, programOf, trajectories } from "../nn/support/trajectories.ts";
import { errorBounds, knownShare, outside } from "../support/error-bounds.ts";
import { sharedGpu } from "../support/gpu.ts";
import { runPoisoned } from "../support/poisoned-run.ts";
import { benignInputs, randomOf } from "../support/values.ts";

const gpu = sharedGpu();

test.runIf(trajectories.cases.length > 0)("every optimiser stays on PyTorch's trajectory", async () => {
  const { program, state } = programOf(trajectories.cases);
  using session = await program.load(gpu(), { state, strict: true } as never);
  for (const [step, grads] of trajectories.grads.entries()) {
    const out = (await session.run({ grads } as never)) as unknown as Record<string, GpuTensor[]>;
    const data = await readTensors(
      gpu(),
      trajectories.cases.flatMap((_, i) => out[`p${i}`] as GpuTensor[]),
    );
    for (const [i, c] of trajectories.cases.entries()) {
      for (const [k, expected] of (c.trajectory[step] ?? []).entries()) {
        const off = deviation(data[2 * i + k] as Float32Array, expected);
        expect(off, `${caseName(c)}: step ${step}, parameter ${k}`).toBeLessThan(1e-5);
      }
    }
  }
});

describe("a step with clipping, schedule, mask and loss scale", () => {
  const specs = { w: f32(7, 5), n: [f32(33), f32()] };
  const mask = { w: f32(), n: [f32(), f32()] };
  const program = compile(
    {
      params: specs,
      grads: specs,
      opt: nn.adamWInit(specs),
      scale: nn.lossScaleSpec(),
      lr: f32(),
      weightDecay: f32(),
      max: f32(),
      mask,
    },
    ({ params, grads, opt, scale, lr, weightDecay, max, mask }) => {
      const { grads: g, finite } = nn.unscale(grads, scale);
      const clipped = nn.clipByGlobalNorm(g, max);
      const next = nn.adamW(params, clipped.grads, opt, { lr, weightDecay, mask, when: finite });
      return {
        params: next.params,
        opt: next.state,
        scale: nn.updateLossScale(scale, finite, { interval: 4 }),
        norm: clipped.norm,
      };
    },
    { donate: ["params", "opt", "scale"] },
  );

  test("gives what the interpreter gives over 30 runs, and compiles and creates nothing", async () => {
    const random = randomOf(11);
    const tree = (scale: number) => {
      const of = (n: number) => Float32Array.from({ length: n }, () => (random() - 0.5) * scale);
      return { w: of(35), n: [of(33), of(1)] as [Float32Array, Float32Array] };
    };
    const params = tree(2);
    const state = { params, opt: nn.adamWInit(params), scale: nn.lossScaleInit({ scale: 8 }) };
    const oracle = new Interpreted(program, state as never);
    using session = await program.load(gpu(), { state, strict: true });
    const schedule = nn.warmupCosine(0.05, 5, 30);
    let before = gpu().counters.snapshot();
    for (let step = 0; step < 30; step++) {
      const grads = tree(step % 3 === 0 ? 100 : 1);
      if (step === 7) grads.w[34] = Number.NaN;
      if (step === 19) grads.n[0][0] = Number.NEGATIVE_INFINITY;
      const inputs = {
        grads,
        lr: schedule(step),
        weightDecay: 0.1 * (step % 4),
        max: 1 + (step % 5),
        mask: { w: 1, n: [step % 2, 0.5] as [number, number] },
      };
      const want = oracle.run(inputs as never);
      const { norm } = await session.run(inputs);
      const { params, opt, scale } = session.state;
      const tensors = [params.w, ...params.n, opt.m.w, opt.v.n[0], opt.step, scale.scale, scale.goodSteps, norm];
      const names = ["params.w", "params.n.0", "params.n.1", "opt.m.w", "opt.v.n.0", "opt.step", "scale.scale"];
      const data = await readTensors(gpu(), tensors as GpuTensor[]);
      for (const [i, name] of [...names, "scale.goodSteps", "norm"].entries()) {
        const [actual, expected] = [data[i] as Float32Array, want[name] as number[]];
        if (name === "norm" && (step === 7 || step === 19)) expect(Number.isFinite(actual[0])).toBe(false);
        else expect(deviation(actual, expected), `step ${step}, ${name}`).toBeLessThan(1e-5);
      }
      norm.dispose();
      if (step === 1) before = gpu().counters.snapshot();
    }
    expect(oracle.state.get("opt.step")?.data[0]).toBe(28);
    const { pipelines, buffers, bindGroups } = gpu().counters;
    expect([pipelines, buffers, bindGroups]).toEqual([before.pipelines, before.buffers, before.bindGroups]);
  });
});

test("what a function makes of the zeros between leaves reaches no norm of a later run", async () => {
  const program = compile(
    { t: { a: f32(2), b: f32(3) } },
    ({ t }) => ({ t: nn.foreach({ t }, ({ t: x }) => x.add(1)), norm: nn.globalNorm(t) }),
    { donate: ["t"] },
  );
  using session = await program.load(gpu(), { state: { t: { a: [0, 0], b: [0, 0, 0] } } });
  for (const n of [0, 1, 2]) {
    const { norm } = await session.run({});
    expect(Number((await norm.data())[0])).toBeCloseTo(n * Math.sqrt(5), 5);
  }
});

test("a step with clipping reads nothing that neither a kernel nor the load has written", async () => {
  const params = { w: f32(7, 5), n: [f32(33), f32()] };
  const { graph } = compile({ params, grads: params, opt: nn.adamWInit(params) }, ({ params, grads, opt }) =>
    nn.adamW(params, nn.clipByGlobalNorm(grads, 1).grads, opt, { lr: 0.1 }),
  );
  const benign = Object.entries(benignInputs(graph));
  // Means of squares, and a number of steps.
  const inputs = Object.fromEntries(benign.map(([name, x]) => [name, { ...x, data: x.data.map(Math.abs) }]));
  const bounds = errorBounds(graph, inputs);
  for (const fuse of ["legal", "off"] as const) {
    const { manifest } = compileGraph(graph, gpu().capabilities, { fuse });
    expect(manifest.buffers.some(({ clear }) => clear)).toBe(true);
    const out = await runPoisoned(gpu(), manifest, inputs);
    for (const [name, bound] of Object.entries(bounds)) {
      expect(knownShare(bound), name).toBe(1);
      expect(outside(out[name] as NDArray, bound), `fuse ${fuse}: ${name}`).toBeUndefined();
    }
  }
});

test("bias corrections are exact enough at every update up to a million", async () => {
  const p = f32(2);
  const program = compile(
    { p, g: p, s: nn.adamInit(p) },
    ({ p, g, s }) => {
      const next = nn.adam(p, g, s, { lr: 1 });
      return { p: next.params, s: next.state };
    },
    { donate: ["p", "s"] },
  );
  const zero = () => new Float32Array(2);
  using session = await program.load(gpu(), { state: { p: zero(), s: nn.adamInit(zero()) } });
  for (const t of [1, 2, 7, 100, 5000, 1e5, 1e6]) {
    // From moments of 0 the update is lr * 0.1 / (1 - b1^t) / sqrt(0.001 / (1 - b2^t)), whatever the gradient.
    await session.setState({ p: zero(), s: { ...nn.adamInit(zero()), step: t - 1 } });
    const { p } = await session.run({ g: [3, -3] });
    const change = (0.1 / (1 - 0.9 ** t) / Math.sqrt(0.001)) * Math.sqrt(-Math.expm1(t * Math.log(0.999)));
    const off = [...(await p.data())].map((x, i) => Math.abs((x as number) / (i === 0 ? -change : change) - 1));
    expect(Math.max(...off), `update ${t}`).toBeLessThan(2e-6);
  }
});
