import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  compile,
  f32,
  type Gpu,
  makeTensor,
  matmul,
  type ProfileReport,
  profile,
  type Tensor,
  tanh,
  valueAndGrad,
} from "../../src/index.ts";
import { adamW, adamWInit } from "../../src/nn/index.ts";
import { openDevice } from "../../src/node/index.ts";
import { copySpeed } from "../../src/runtime/copy-speed.ts";

const [rows, width, inner] = [24, 32, 48];
const specs = { a: f32(width, inner), b: f32(inner, inner), c: f32(inner, width) };
const values = (seed: number, n: number): Float32Array =>
  Float32Array.from({ length: n }, (_, i) => Math.sin(seed + i) / 8);
const start = { a: values(1, width * inner), b: values(2, inner * inner), c: values(3, inner * width) };
const x = values(4, rows * width);

const program = compile(
  { params: specs, opt: adamWInit(specs), x: f32(rows, width), y: f32(rows, width) },
  ({ params, opt, x, y }) => {
    const { value: loss, grad } = valueAndGrad(
      (p: typeof params): Tensor =>
        matmul(tanh(matmul(tanh(matmul(x, p.a)), p.b)), p.c)
          .sub(y)
          .pow(2)
          .mean(),
    )(params);
    const next = adamW(params, grad, opt, { lr: 1e-2 });
    return { loss, params: next.params, opt: next.state };
  },
  { donate: ["params", "opt"] },
);

let gpu: Gpu;
beforeAll(async () => {
  gpu = await openDevice();
});
afterAll(() => gpu.dispose());

const load = () => program.load(gpu, { state: { params: start, opt: adamWInit(start) as never }, strict: true });
const runs = 3;

describe("profile", () => {
  let report: ProfileReport;
  let after: Float32Array[];
  let dispatches: number;
  beforeAll(async () => {
    using session = await load();
    dispatches = session.inner.manifest.dispatches.length;
    report = await profile(session, { x, y: x }, { runs });
    after = await stateOf(session.state.params);
  });
  const stateOf = (tree: Readonly<Record<string, { data(): Promise<unknown> }>>) =>
    Promise.all(Object.values(tree).map(async (t) => Float32Array.from((await t.data()) as Float32Array)));

  test("every dispatch is in one row", () => {
    const all = report.rows.flatMap((r) => r.dispatches).sort((a, b) => a - b);
    expect(all).toEqual(Array.from({ length: dispatches }, (_, i) => i));
    expect(report.rows.every((r) => r.count === r.dispatches.length)).toBe(true);
  });

  test("sums agree: rows, phases, shares, averages", () => {
    const sum = (list: readonly number[]): number => list.reduce((a, b) => a + b, 0);
    expect(sum(report.rows.map((r) => r.totalUs))).toBeCloseTo(report.totalUs, 6);
    expect(sum(report.phases.map((p) => p.totalUs))).toBeCloseTo(report.totalUs, 6);
    expect(sum(report.phases.map((p) => p.count))).toBe(dispatches);
    expect(sum(report.rows.map((r) => r.share))).toBeCloseTo(1, 9);
    for (const p of report.phases) {
      const own = report.rows.filter((r) => r.phase === p.phase);
      for (const name of ["totalUs", "bytesRead", "bytesWritten", "flops", "floorUs"] as const) {
        expect(sum(own.map((r) => r[name])), `${p.phase} ${name}`).toBeCloseTo(p[name], 6);
      }
    }
    for (const r of report.rows) expect(r.averageUs * r.count).toBeCloseTo(r.totalUs, 6);
    expect(report.totalUs).toBeGreaterThan(0);
    expect(report.passUs).toBeGreaterThanOrEqual(report.passMinUs);
  });

  test("bytes and operations are those of explain, rates follow from them", () => {
    const { kernels } = program.explain({ capabilities: gpu.capabilities });
    for (const r of report.rows) {
      const bytes = r.dispatches.reduce((n, i) => n + kernels[i]!.bytesRead + kernels[i]!.bytesWritten, 0);
      expect(r.bytesRead + r.bytesWritten).toBe(bytes);
      if (r.totalUs > 0) expect(r.bytesPerSecond).toBeCloseTo(bytes / (r.totalUs * 1e-6), 0);
      expect(r.floorUs).toBeCloseTo((bytes / report.copyBytesPerSecond) * 1e6, 6);
    }
    // Three products forward, five backward: none by x.
    const flops = (m: number, n: number, k: number): number => 2 * m * n * k;
    const [ab, bb, bc] = [flops(rows, inner, width), flops(rows, inner, inner), flops(rows, width, inner)];
    expect(report.phases.map((p) => [p.phase, p.flops])).toEqual([
      ["forward", ab + bb + bc],
      ["backward", ab + 2 * bb + 2 * bc],
      ["optimiser", 0],
    ]);
  });

  test("profiled steps are steps: the state is that of as many plain runs, bit for bit", async () => {
    using session = await load();
    for (let i = 0; i < 2 * runs + 1; i++) (await session.run({ x, y: x })).loss.dispose();
    expect(await stateOf(session.state.params)).toEqual(after);
  });

  test("the timeline is a trace with every lane, in order", () => {
    const { traceEvents } = JSON.parse(report.trace()) as { traceEvents: Record<string, unknown>[] };
    const names = traceEvents.filter((e) => e.name === "thread_name").map((e) => (e.args as { name: string }).name);
    expect(names).toEqual(["trace", "compile", "encode", "GPU", "readback"]);
    const spans = traceEvents.filter((e) => e.ph === "X") as { cat: string; ts: number; dur: number; tid: number }[];
    const of = (lane: string) => spans.filter((s) => s.cat === lane);
    expect(of("trace")).toHaveLength(1);
    expect(of("compile").length).toBeGreaterThan(0);
    expect(of("encode")).toHaveLength(runs);
    expect(of("GPU")).toHaveLength(runs * dispatches);
    expect(of("readback")).toHaveLength(runs);
    for (const s of spans) {
      expect(Number.isFinite(s.ts) && s.ts >= 0 && s.dur >= 0).toBe(true);
      expect(s.tid).toBe(names.indexOf(s.cat) + 1);
    }
    // The GPU is done with a run before its results are read.
    of("readback").forEach((read, n) => {
      const own = of("GPU").slice(n * dispatches, (n + 1) * dispatches);
      expect(Math.max(...own.map((s) => s.ts + s.dur))).toBeLessThanOrEqual(read.ts + 1);
    });
  });

  test("the table names phases and kernels", () => {
    const text = String(report);
    for (const word of ["forward", "backward", "optimiser", "matmul", "FLOP/s", "floor"]) expect(text).toContain(word);
    expect(text.split("\n").length).toBe(4 + report.phases.length + report.rows.length);
  });

  test("results of the timed runs are given back", async () => {
    using session = await load();
    await profile(session, { x, y: x }, { runs: 1 });
    const { bytesHeld } = gpu.counters;
    await profile(session, { x, y: x }, { runs: 1 });
    expect(gpu.counters.bytesHeld).toBe(bytesHeld);
  });
});

test("the speed of a copy is one that a device can have", async () => {
  const speed = await copySpeed(gpu);
  expect(speed).toBeGreaterThan(1e6);
  expect(speed).toBeLessThan(2e13);
});

test.each([0, -1, 2.5, Number.NaN, Number.POSITIVE_INFINITY, "3"])("%s runs are refused", async (count) => {
  using session = await load();
  const before = gpu.counters.submits;
  const refused = profile(session, { x, y: x }, { runs: count as number });
  await expect(refused).rejects.toMatchObject({ code: "bad-option" });
  expect(gpu.counters.submits).toBe(before);
});

test("without timestamp queries a profile says so and runs nothing", async () => {
  using session = await load();
  const x2 = await makeTensor(gpu, x, { dtype: "f32", shape: [rows, width] });
  const { features } = gpu.device;
  Object.defineProperty(gpu.device, "features", { value: new Set(), configurable: true });
  try {
    const before = gpu.counters.submits;
    await expect(profile(session, { x: x2, y: x })).rejects.toMatchObject({ code: "no-timestamps" });
    expect(gpu.counters.submits).toBe(before);
  } finally {
    Object.defineProperty(gpu.device, "features", { value: features, configurable: true });
  }
});
