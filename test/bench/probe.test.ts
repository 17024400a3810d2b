import { expect, test } from "vitest";
import { gpuTime } from "../../bench/gpu-time.ts";
import { Probe } from "../../bench/probe.ts";
import { compile, f32 } from "../../src/index.ts";
import { openDevice } from "../../src/node/index.ts";

test("--profile and --trace of a benchmark: a table and a timeline for each session, nothing unless asked for", async () => {
  const gpu = await openDevice({ adapter: "swiftshader" });
  try {
    const x = new Float32Array(64 * 32).fill(1);
    const load = (scale: number) => compile({ x: f32(64, 32) }, ({ x }) => x.mul(scale).sum({ axes: [1] })).load(gpu);
    using a = await load(2);
    using b = await load(3);
    const off = new Probe({ profile: false, trace: undefined });
    await off.session("a", a, { x });
    expect(off.figures()).toEqual([]);
    const probe = new Probe({ profile: true, trace: undefined });
    await probe.session("a", a, { x }, 2);
    await probe.session("b", b, { x }, 2);
    expect(probe.figures().map((f) => [f.name, f.profile.steps, f.profile.rows.length])).toEqual([
      ["a", 2, 1],
      ["b", 2, 1],
    ]);
    expect(probe.text()).toMatch(/^a\nGPU time on swiftshader[\s\S]*\n\nb\nGPU time on/);
    const { traceEvents } = JSON.parse(probe.trace()) as {
      traceEvents: { ph: string; cat: string; args: { session?: string } }[];
    };
    const spans = traceEvents.filter((e) => e.ph === "X");
    expect(new Set(spans.map((e) => e.cat))).toEqual(new Set(["trace", "compile", "encode", "GPU", "readback"]));
    expect(new Set(spans.map((e) => e.args.session))).toEqual(new Set(["a", "b"]));
    const { median_us, min_us } = await gpuTime(a as never, { x }, 3);
    expect(min_us).toBeGreaterThan(0);
    expect(median_us).toBeGreaterThanOrEqual(min_us);
  } finally {
    gpu.dispose();
  }
});
