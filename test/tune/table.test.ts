import { compile, f32, type Gpu, type TuningTable } from "sinter";
import { checkTuningTable, identityOf, sameAdapter, shippedTable, tune, tuningTableToJson } from "sinter/tuning";
import { describe, expect, test } from "vitest";
import { emptyTable } from "../../src/tune/table.ts";

const adapter = { vendor: "acme", architecture: "anvil", device: "anvil-3" };
const table: TuningTable = {
  ...emptyTable(adapter, ["f16"]),
  kernels: {
    "row | 4x4/1 | sum": { variant: "row_1x64", time: 1.5, usual: "row_4x1", usualTime: 2 },
    'contraction | "quoted"': { variant: "direct", time: 0, usual: "direct", usualTime: 0 },
  },
  fusions: { "join | sum": { fused: 3, apart: 2 } },
};

describe("a tuning table", () => {
  test("is the same after a round trip, entries in one order, one a line", () => {
    const text = tuningTableToJson(table);
    expect(checkTuningTable(JSON.parse(text))).toEqual(table);
    const turned = { ...table, kernels: Object.fromEntries(Object.entries(table.kernels).reverse()) };
    expect(tuningTableToJson(turned)).toBe(text);
    expect(text.split("\n").filter((l) => l.startsWith("    "))).toHaveLength(3);
    expect(checkTuningTable(JSON.parse(tuningTableToJson(emptyTable(adapter))))).toEqual(emptyTable(adapter));
  });

  const choice = { variant: "a", time: 1, usual: "b", usualTime: 1 };
  test.each<[string, unknown, RegExp]>([
    ["nothing", undefined, /it is no object/],
    ["a list", [], /it is no object/],
    ["text", "{}", /it is no object/],
    ["another version", { ...table, version: 2 }, /version is 2/],
    ["no adapter", { ...table, adapter: undefined }, /adapter is no object/],
    ["half an adapter", { ...table, adapter: { vendor: "acme" } }, /adapter\.architecture is no text/],
    ["features of numbers", { ...table, features: [1] }, /features is no list of names/],
    ["kernels as a list", { ...table, kernels: [] }, /kernels is no object/],
    [
      "a kernel without a variant",
      { ...table, kernels: { k: { ...choice, variant: 1 } } },
      /variant of "k" is no text/,
    ],
    ["a kernel with a time of text", { ...table, kernels: { k: { ...choice, time: "1" } } }, /time of "k" is "1"/],
    ["a negative time", { ...table, kernels: { k: { ...choice, usualTime: -1 } } }, /usualTime of "k" is -1/],
    ["a fusion without times", { ...table, fusions: { f: {} } }, /fused of "f" is undefined/],
  ])("%s is refused", (_, value, cause) => {
    expect(() => checkTuningTable(value)).toThrow(cause);
    expect(() => checkTuningTable(value)).toThrow(/bad-tuning-table/);
  });

  test("compiling takes off for none", () => {
    const program = compile({ x: f32(4) }, ({ x }) => x.relu());
    expect(String(program.explain({ tuning: "off" }))).toBe(String(program.explain()));
    expect(String(program.memory({ tuning: "off" }))).toBe(String(program.memory()));
    expect(program.manifest({ tuning: "off" })).toBe(program.manifest());
    expect(() => program.manifest({ tuning: "auto" as never })).toThrow(/tuning cannot be "auto" \[bad-option\]/);
  });

  test("measuring refuses options that would fail in the middle of it", () => {
    const program = compile({ x: f32(4) }, ({ x }) => x.relu());
    const gpu = { pipelines: 1, capabilities: 1 } as unknown as Gpu;
    for (const options of [{ signal: 5 }, { onProgress: 5 }] as never[])
      expect(() => tune(gpu, program, options)).toThrow(/cannot be 5 \[bad-option\]/);
  });

  test("compiling refuses what is no table", () => {
    const program = compile({ x: f32(4) }, ({ x }) => x.relu());
    const tuning = { version: 1 } as unknown as TuningTable;
    for (const call of ["explain", "manifest", "memory"] as const) {
      expect(() => program[call]({ tuning })).toThrow(/bad-tuning-table/);
    }
  });
});

describe("adapters", () => {
  const gpu = (info: Partial<GPUAdapterInfo>, software = false) =>
    ({ info, capabilities: { software } }) as unknown as Parameters<typeof identityOf>[0];
  const h200 = identityOf(gpu({ vendor: "nvidia", architecture: "", device: "nvidia-h200" }));

  test("are told apart by vendor, architecture and device, drivers and dashes aside", () => {
    expect(h200).toEqual({ vendor: "nvidia", architecture: "", device: "nvidia-h200" });
    const older = gpu({ vendor: "mesa", architecture: "software", device: "llvmpipe-llvm-15-" }, true);
    const newer = gpu({ vendor: "mesa", architecture: "software", device: "llvmpipe-llvm-19-" }, true);
    expect(sameAdapter(identityOf(older), identityOf(newer))).toBe(true);
    expect(sameAdapter(h200, { ...h200, device: "nvidia-h100" })).toBe(false);
    expect(sameAdapter(h200, { ...h200, device: "" })).toBe(false);
    expect(sameAdapter(adapter, { ...adapter, device: "" })).toBe(true);
    expect(sameAdapter(adapter, { ...adapter, architecture: "hammer" })).toBe(false);
    expect(sameAdapter(emptyTable(identityOf(gpu({}))).adapter, identityOf(gpu({})))).toBe(false);
  });

  test.each([
    ["the H200", gpu({ vendor: "nvidia", architecture: "", device: "nvidia-h200" })],
    ["lavapipe", gpu({ vendor: "mesa", architecture: "software", device: "llvmpipe-llvm-15-0-6-256-bits-" }, true)],
    [
      "SwiftShader",
      gpu({ vendor: "google", architecture: "swiftshader", device: "swiftshader-device-subzero-" }, true),
    ],
  ])("%s has a shipped table of its own", async (_, found) => {
    const shipped = checkTuningTable(await shippedTable(found));
    expect(sameAdapter(shipped.adapter, identityOf(found))).toBe(true);
    expect(Object.keys(shipped.kernels).length).toBeGreaterThan(30);
  });

  test("one that nobody measured has none", () => {
    expect(shippedTable(gpu({ vendor: "acme", architecture: "anvil" }))).toBeUndefined();
  });
});
