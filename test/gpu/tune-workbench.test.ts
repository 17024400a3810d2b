import { compile, f32, i32, matmul, softmax, type TuningTable } from "sinter";
import { type Tuned, type TuneEvent, tune } from "sinter/tuning";
import { describe, expect, test, vi } from "vitest";
import type { DType } from "../../src/base/dtype.ts";
import { fromHalfBits, toHalfBits } from "../../src/base/half.ts";
import { mapModeRead, usage } from "../../src/runtime/usage.ts";
import { trialOf } from "../../src/trial.ts";
import { Agreement } from "../../src/tune/agreement.ts";
import { Course } from "../../src/tune/course.ts";
import { emptyTable } from "../../src/tune/table.ts";
import type { Runnable, Timed, Timer } from "../../src/tune/timer.ts";
import { Workbench } from "../../src/tune/workbench.ts";
import { sharedGpu } from "../support/gpu.ts";
import { randomOf } from "../support/values.ts";

const gpu = sharedGpu();
const none = emptyTable({ vendor: "", architecture: "", device: "" });

/** Whether the device finds `actual` off, one pair of words a call. */
async function judged(
  dtype: DType,
  pairs: readonly (readonly [number, number])[],
  limits: readonly [number, number],
): Promise<boolean[]> {
  const { device } = gpu();
  const make = (words: Uint32Array): GPUBuffer => {
    const buffer = device.createBuffer({
      size: words.byteLength,
      usage: usage.storage | usage.copySrc | usage.copyDst,
    });
    gpu().write(buffer, 0, new Uint8Array(words.buffer));
    return buffer;
  };
  const apart = (list: readonly number[]): Uint32Array => {
    const words = new Uint32Array(64 * list.length);
    for (const [i, w] of list.entries()) words[64 * i] = w;
    return words;
  };
  const buffers = {
    actual: make(apart(pairs.map((p) => p[0]))),
    expected: make(apart(pairs.map((p) => p[1]))),
    limits: make(new Uint32Array(Float32Array.from(limits).buffer)),
    wrong: make(apart(pairs.map(() => 0))),
  };
  const agreement = new Agreement(gpu());
  const encoder = device.createCommandEncoder();
  const pass = encoder.beginComputePass();
  for (const i of pairs.keys()) {
    const at = (buffer: GPUBuffer) => ({ buffer, offset: 256 * i, size: 4 });
    agreement.encode(pass, dtype, {
      ...{ actual: at(buffers.actual), expected: at(buffers.expected), wrong: at(buffers.wrong) },
      limits: { buffer: buffers.limits, offset: 0, size: 8 },
    });
  }
  pass.end();
  const staging = device.createBuffer({ size: 256 * pairs.length, usage: usage.mapRead | usage.copyDst });
  encoder.copyBufferToBuffer(buffers.wrong, 0, staging, 0, 256 * pairs.length);
  gpu().submit([encoder.finish()]);
  await staging.mapAsync(mapModeRead);
  const words = new Uint32Array(staging.getMappedRange().slice(0));
  for (const b of [...Object.values(buffers), staging]) b.destroy();
  return pairs.map((_, i) => words[64 * i] !== 0);
}

/** The rule, in f64. */
function off(a: number, e: number, [tolerance, typical]: readonly [number, number]): boolean {
  if (Object.is(a, e) || a === e) return false;
  if (!Number.isFinite(a) || !Number.isFinite(e)) return true;
  return Math.abs(a - e) > Math.fround(tolerance) * (Math.abs(e) + Math.fround(typical));
}

const bitsOf = (x: number): number => new Uint32Array(Float32Array.of(x).buffer)[0] as number;

describe("results on the device", () => {
  const special = [0, -0, 1, -1, 1e-30, 3e38, -3e38, Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];

  test("floats are off where they are beyond the tolerance, or special and another", async () => {
    const random = randomOf(5);
    const limits = [2 ** -10, 0.25] as const;
    const near = Array.from({ length: 100 }, () => {
      const e = Math.fround(4 * random() - 2);
      // Not so near the limit that the rounding of its product decides.
      const step = (random() < 0.5 ? 0.99 : 1.01) * limits[0] * (Math.abs(e) + limits[1]);
      return [Math.fround(e + (random() < 0.5 ? step : -step)), e] as const;
    });
    const pairs = [...special.flatMap((a) => special.map((e) => [a, e] as const)), ...near];
    const expected = pairs.map(([a, e]) => off(a, e, limits));
    expect(new Set(expected.slice(-near.length)).size).toBe(2);
    const words = pairs.map(([a, e]) => [bitsOf(a), bitsOf(e)] as const);
    expect(await judged("f32", words, limits)).toEqual(expected);
  });

  test("halves too, both of a word", async () => {
    const limits = [2 ** -7, 0.5] as const;
    const values = [...special, 0.5, 0.503, 0.52, 6e-5, 65504].map((x) => fromHalfBits(toHalfBits(x)));
    const pairs = values.flatMap((a) => values.map((e) => [a, e] as const));
    const word = (low: number, high: number): number => (toHalfBits(low) | (toHalfBits(high) << 16)) >>> 0;
    const expected = pairs.map(([a, e]) => off(a, e, limits));
    for (const put of [(x: number) => word(x, 1), (x: number) => word(1, x)]) {
      expect(
        await judged(
          "f16",
          pairs.map(([a, e]) => [put(a), put(e)] as const),
          limits,
        ),
      ).toEqual(expected);
    }
  });

  test.each(["i32", "u32", "bool"] as const)("%s have to be equal", async (dtype) => {
    const pairs = [0, 1, 2, 0x7fc00000, 0x7fc00001, 0x80000000, 0xffffffff].flatMap((a, _, all) =>
      all.map((e) => [a, e] as const),
    );
    expect(await judged(dtype, pairs, [1, 1])).toEqual(pairs.map(([a, e]) => a !== e));
  });
});

/** A kernel by hand, for the bindings of one that adds 1 to 5000 elements. */
function byHand(course: Course, body: string): Runnable {
  const { device } = gpu();
  const [step] = course.steps as [(typeof course.steps)[number]];
  const access = step.pipeline.kernel.bindings;
  const code = `${access.map((a, i) => `@group(0) @binding(${i}) var<storage, ${a}> b${i}: array<f32>;`).join("\n")}
@compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  let i = id.x;
  if (i < 5000u) { ${body} }
}`;
  const pipeline = device.createComputePipeline({
    layout: device.createPipelineLayout({ bindGroupLayouts: [step.pipeline.layout] }),
    compute: { module: device.createShaderModule({ code }), entryPoint: "main" },
  });
  return { pipeline, group: step.group, workgroups: [79, 1, 1] };
}

test("a variant that computes something else, or not all of it, is told from one that computes the same", async () => {
  const { graph } = compile({ x: f32(5000) }, ({ x }) => x.add(1));
  const { bound, manifest } = trialOf(graph, gpu().capabilities, none);
  const course = await Course.load(gpu(), manifest, {});
  const bench = new Workbench(gpu());
  try {
    const texts = [
      "b1[i] = b0[i] + 1.0;",
      "b1[i] = 1.0000001 + b0[i];",
      "b1[i] = b0[i];",
      "b1[i] = b0[i] + select(1.0, 1.001, i == 4999u);",
      "if (i != 2500u) { b1[i] = b0[i] + 1.0; }",
    ];
    const [usual] = course.runs as [Runnable];
    const runs = [usual, ...texts.map((t) => byHand(course, t))];
    const agree = await bench.agreeing(bound[0]!, course.rangesOf(0), runs, {});
    expect(agree).toEqual([true, true, true, false, false, false]);
  } finally {
    bench.dispose();
    course.release();
  }
});

describe("as on a device whose rate changes", () => {
  const program = compile({ a: f32(16, 32), b: f32(32, 16), ids: i32(4) }, ({ a, b, ids }) => [
    softmax(matmul(a, b)),
    ids.add(1),
  ]);

  /** Times that follow from workgroups alone: 5 to 15 µs a dispatch; `whole` is what a run takes that is those of its dispatches together. */
  const made = (whole: (sum: number) => number = (sum) => sum): Timer => ({
    time: async (list: readonly Timed[]) =>
      list.map(({ runs }) => {
        const sum = runs.reduce((n, { workgroups: [x] }) => n + (x === 16384 ? 250 : 5 + ((7 * x) % 11)), 0);
        return runs.length > 1 ? whole(sum) : sum;
      }),
    dispose: () => undefined,
  });
  let now = 0;
  const clocked = (options: object): Promise<Tuned> =>
    tune(gpu(), program, {
      ...{ clocked: true, timer: made(), budget: 10_000 },
      now: () => (now += 20),
      ...options,
    } as never);

  test("what is fastest in the runs of the program wins, and the program is no slower", async () => {
    const { table, stopped, withdrawn, measured } = await clocked({ fusions: false });
    expect([stopped, withdrawn, measured]).toEqual([false, 0, 2]);
    const entries = Object.values(table.kernels);
    for (const k of entries) expect(k.time).toBeLessThanOrEqual(k.usualTime);
    expect(entries.some((k) => k.variant !== k.usual)).toBe(true);
    const { manifest } = trialOf(program.graph, gpu().capabilities, table);
    for (const d of manifest.dispatches) expect(5 + ((7 * d.workgroups[0]) % 11)).toBeLessThanOrEqual(15);
  });

  test("choices by which the program as a whole becomes slower are taken back", async () => {
    const first = await clocked({ fusions: false });
    const chosen = Object.values(first.table.kernels).filter((k) => k.variant !== k.usual);
    const { table, withdrawn } = await clocked({ fusions: false, timer: made((sum) => 1000 - sum) });
    expect(withdrawn).toBe(chosen.length);
    for (const k of Object.values(table.kernels)) expect([k.variant, k.time]).toEqual([k.usual, k.usualTime]);
  });

  test("fusions are timed both ways", async () => {
    const { table } = await clocked({});
    expect(Object.keys(table.fusions).length).toBeGreaterThan(0);
    for (const f of Object.values(table.fusions)) expect(Math.min(f.fused, f.apart)).toBeGreaterThan(0);
  });

  test("nothing is written where the device does not come to its rate", async () => {
    // By work alone it is fast; beside what is measured the reference takes twice as long.
    const timer: Timer = {
      ...made(),
      time: async (l, o) => (await made().time(l, o)).map((t) => (l.length > 1 ? 2 : 1) * t),
    };
    const { table, measured } = await clocked({ fusions: false, timer });
    expect([measured, table.kernels]).toEqual([0, {}]);
  });

  test.each(["at once", "after a kernel", "within a fusion"])("an abort %s leaves nothing behind", async (when) => {
    const g = gpu();
    g.trim();
    const held = g.counters.bytesHeld;
    const alive = new Set<GPUBuffer>();
    const create = g.device.createBuffer.bind(g.device);
    vi.spyOn(g.device, "createBuffer").mockImplementation((d) => {
      const buffer = create(d);
      alive.add(buffer);
      const destroy = buffer.destroy.bind(buffer);
      buffer.destroy = () => {
        alive.delete(buffer);
        return destroy();
      };
      return buffer;
    });
    const stop = new AbortController();
    if (when === "at once") stop.abort();
    let events = 0;
    const onProgress = (e: TuneEvent): void => {
      events++;
      if (when === "after a kernel" || e.kind === "fusion" || events > 2) stop.abort();
    };
    await expect(clocked({ signal: stop.signal, onProgress })).rejects.toThrow(/aborted/);
    expect([alive.size, g.counters.bytesHeld]).toEqual([0, held]);
  });
});

test("tables of other programs are left as they are", async () => {
  const entry = { variant: "row_1x64", time: 1, usual: "row_4x16", usualTime: 2 };
  const table: TuningTable = { ...none, kernels: { "row | other": entry }, fusions: { other: { fused: 1, apart: 2 } } };
  const program = compile({ x: f32(8) }, ({ x }) => x.add(1));
  const tuned = await tune(gpu(), program, { table });
  expect(tuned.table).toEqual(table);
});
