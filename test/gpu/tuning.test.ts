import { attention, compile, f16, f32, layerNorm, matmul, softmax, sum, type TuningTable } from "sinter";
import { identityOf, type TuneEvent, tune } from "sinter/tuning";
import { describe, expect, test } from "vitest";
import { compileGraph, type Inspected } from "../../src/compiler.ts";
import { signatureOf } from "../../src/fuse/signature.ts";
import type { Graph } from "../../src/ir/graph.ts";
import { emptyTable } from "../../src/tune/table.ts";
import type { Timer } from "../../src/tune/timer.ts";
import { candidatesOf } from "../../src/wgsl/write.ts";
import { sharedGpu } from "../support/gpu.ts";
import { leftOut, leftOutWhy } from "../support/share.ts";
import { checkManifest, hardware } from "../support/variants.ts";

const gpu = sharedGpu();

function regionsOf(graph: Graph, capabilities: Parameters<typeof compileGraph>[1]): Inspected["main"] {
  let seen: Inspected | undefined;
  const inspect = (i: Inspected): void => {
    seen = i;
  };
  compileGraph(graph, capabilities, { inspect, bundles: false });
  return (seen as unknown as Inspected).main;
}

describe("candidates compute the same numbers", () => {
  const cases: Readonly<Record<string, Graph>> = {
    product: compile({ a: f32(37, 50), b: f32(50, 36) }, ({ a, b }) => matmul(a, b)).graph,
    "product of halves": compile({ a: f16(40, 36), b: f16(36, 44) }, ({ a, b }) => matmul(a, b)).graph,
    "few rows": compile({ a: f32(2, 64), b: f32(64, 12) }, ({ a, b }) => matmul(a, b)).graph,
    softmax: compile({ x: f32(5, 132) }, ({ x }) => softmax(x)).graph,
    columns: compile({ x: f32(70, 12) }, ({ x }) => sum(x, { axes: 0 })).graph,
    attention: compile({ q: f32(2, 11, 8), k: f32(2, 13, 8), v: f32(2, 13, 8) }, (x) => attention(x.q, x.k, x.v)).graph,
  };
  const devices = ["as it is", "as a GPU"] as const;
  const all = Object.keys(cases).flatMap((name) => devices.map((device) => [name, device] as const));
  test.each(all.filter(([what]) => !leftOut(what)))("%s, on the device %s", async (what, device) => {
    const graph = cases[what] as Graph;
    const capabilities = device === "as it is" ? gpu().capabilities : hardware(gpu());
    const [bound] = regionsOf(graph, capabilities);
    const candidates = candidatesOf(bound!.region, capabilities);
    expect(new Set(candidates.map((c) => c.name)).size).toBe(candidates.length);
    const kernels = candidates.map((c) => ({ name: c.name, kernel: c.write() }));
    const alike = (a: string, b: string): boolean => a.startsWith(b) || b.startsWith(a);
    for (const { name, kernel } of kernels) {
      expect(alike(kernel.variant, name), `${name} writes ${kernel.variant}`).toBe(true);
    }
    // The shortest texts: a software adapter needs seconds for one that is written out.
    const [, ...others] = kernels;
    const short = others.toSorted((a, b) => a.kernel.wgsl.length - b.kernel.wgsl.length);
    for (const { name, kernel } of short.slice(0, device === "as it is" ? 2 : 1)) {
      const entry = { variant: name, time: 1, usual: candidates[0]!.name, usualTime: 2 };
      const tuning = { ...emptyTable(identityOf(gpu())), kernels: { [signatureOf(bound!.region)]: entry } };
      const { manifest, report } = compileGraph(graph, capabilities, { tuning });
      expect(report.kernels.map((k) => k.variant)).toContain(kernel.variant);
      await checkManifest(gpu(), manifest, { graph });
    }
  });
});

/** Every dispatch takes as long as it has been timed before: variants that are timed first win. */
function fakeTimer(log: number[] = []): Timer {
  return {
    async time(runs) {
      log.push(runs.length);
      return runs.map((_, i) => 100 - i);
    },
    dispose: () => undefined,
  };
}

describe("tune", () => {
  const program = compile({ a: f32(16, 32), b: f32(32, 16) }, ({ a, b }) => softmax(matmul(a, b)));

  test("finds a choice for every kernel, tells of each, and goes on from a table", async () => {
    const events: TuneEvent[] = [];
    const options = { fusions: false, timer: fakeTimer(), onProgress: (e: TuneEvent) => void events.push(e) };
    const first = await tune(gpu(), program, options);
    expect(first.stopped).toBe(false);
    expect(first.table.adapter).toEqual(identityOf(gpu()));
    expect(Object.keys(first.table.kernels)).toEqual([
      expect.stringMatching(/^contraction \| 16x16 \| matmul nn k32 \| .*f32\[16,32\]/),
      expect.stringMatching(/^row \| 16x16\/1 /),
    ]);
    expect(events.map((e) => [e.kind, Object.keys(e.table.kernels).length])).toEqual([
      ["kernel", 1],
      ["kernel", 2],
    ]);
    const again = await tune(gpu(), program, { ...options, table: first.table });
    expect([again.measured, again.table]).toEqual([0, first.table]);
    const [name] = Object.keys(first.table.kernels) as [string];
    const { [name]: _, ...rest } = first.table.kernels;
    const half = await tune(gpu(), program, { ...options, table: { ...first.table, kernels: rest } });
    expect([half.measured, Object.keys(half.table.kernels).sort()]).toEqual([
      1,
      Object.keys(first.table.kernels).sort(),
    ]);
    expect((await tune(gpu(), program, { ...options, table: first.table, again: true })).measured).toBe(2);
  });

  test("keeps what is usual unless another one wins by more than noise", async () => {
    // All take the same time but for 2 %.
    const timer: Timer = { ...fakeTimer(), time: async (runs) => runs.map((_, i) => 100 - 2 * (i % 2)) };
    const { table } = await tune(gpu(), program, { fusions: false, timer });
    for (const { variant, usual } of Object.values(table.kernels)) expect(variant).toBe(usual);
  });

  test("ends when its time is over", async () => {
    let at = 0;
    const now = (): number => {
      at += 400;
      return at;
    };
    const { table, measured, stopped } = await tune(gpu(), program, { budget: 1, now, timer: fakeTimer() });
    expect([stopped, measured, table.kernels]).toEqual([true, 0, {}]);
  });

  test("times fusions both ways on the device, and what it finds runs", async ({ skip }) => {
    skip(leftOut("fusions"), leftOutWhy);
    const tiny = compile({ x: f32(8, 16) }, ({ x }) => layerNorm(x));
    const { table, stopped } = await tune(gpu(), tiny, { budget: 60 });
    expect(stopped).toBe(false);
    expect(Object.keys(table.fusions).length).toBeGreaterThan(0);
    for (const f of Object.values(table.fusions)) expect(Math.min(f.fused, f.apart)).toBeGreaterThan(0);
    const { manifest } = compileGraph(tiny.graph, gpu().capabilities, { tuning: table });
    await checkManifest(gpu(), manifest, { graph: tiny.graph, tolerance: 1e-5 });
  });

  test("a fusion that a table is against is not made, and the numbers are the same", async () => {
    const { fusions } = inspected(program.graph);
    const lost = [...fusions.keys()].map((name) => [name, { fused: 2, apart: 1 }] as const);
    expect(lost.length).toBeGreaterThan(0);
    const tuning: TuningTable = { ...emptyTable(identityOf(gpu())), fusions: Object.fromEntries(lost) };
    const { manifest, report } = compileGraph(program.graph, gpu().capabilities, { tuning });
    expect(report.apart.length).toBeGreaterThan(0);
    await checkManifest(gpu(), manifest, { graph: program.graph, tolerance: 1e-5 });
  });

  test("refuses the table of another adapter, one that is none, and a budget of no time", async () => {
    const adapter = { vendor: "acme", architecture: "anvil", device: "" };
    const wrong: readonly (readonly [object, RegExp])[] = [
      [{ table: emptyTable(adapter) }, /another adapter, acme anvil \[bad-tuning-table\]/],
      [{ table: { version: 1 } }, /bad-tuning-table/],
      ...[0, -1, Number.NaN].map((budget) => [{ budget }, /budget cannot be \S+ \[bad-option\]/] as const),
      [{ budget: "60" }, /bad-option/],
    ];
    for (const [options, why] of wrong) {
      await expect((async () => tune(gpu(), program, options as never))()).rejects.toThrow(why);
    }
  });

  test("load takes the device's table, its own, or none", async () => {
    const [bound] = regionsOf(program.graph, gpu().capabilities);
    const [usual, other] = candidatesOf(bound!.region, gpu().capabilities);
    const entry = { variant: other!.name, time: 1, usual: usual!.name, usualTime: 2 };
    const tuning = { ...emptyTable(identityOf(gpu())), kernels: { [signatureOf(bound!.region)]: entry } };
    const variantWith = async (option: TuningTable | "off") => {
      const session = await program.load(gpu(), { tuning: option });
      const [kernel] = session.made.report.kernels;
      session.dispose();
      return kernel?.variant;
    };
    expect(await variantWith(tuning)).toBe(other!.write().variant);
    expect(await variantWith("off")).toBe(usual!.write().variant);
    await expect(program.load(gpu(), { tuning: "fast" as never })).rejects.toThrow(/bad-option/);
    await expect(program.load(gpu(), { tuning: {} as never })).rejects.toThrow(/bad-tuning-table/);
  });
});

function inspected(graph: Graph): Inspected {
  let seen: Inspected | undefined;
  const inspect = (i: Inspected): void => {
    seen = i;
  };
  compileGraph(graph, gpu().capabilities, { inspect, bundles: false, tuning: emptyTable(identityOf(gpu())) });
  return seen as unknown as Inspected;
}
