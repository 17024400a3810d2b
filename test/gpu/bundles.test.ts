import { describe, expect, test } from "vitest";
import { compileGraph } from "../../src/compiler.ts";
import {
  compile,
  exp,
  f32,
  i32,
  layerNorm,
  matmul,
  mul,
  type Program,
  relu,
  sum,
  valueAndGrad,
} from "../../src/index.ts";
import { checkManifest } from "../../src/manifest/check.ts";
import type { Capabilities } from "../../src/manifest/manifest.ts";
import { runManifest } from "../properties/check-graph.ts";
import { sharedGpu } from "../support/gpu.ts";
import { runPoisoned } from "../support/poisoned-run.ts";
import { hardware, variantInputs } from "../support/variants.ts";

const gpu = sharedGpu();

interface Case {
  readonly name: string;
  readonly program: Pick<Program, "graph">;
  /** Storage buffers that a kernel may have. */
  readonly buffers: number;
  /** Variants of kernels that share dispatches. */
  readonly shared: readonly string[];
}

// Products of so few elements that no tiles are made for them, which software adapters take seconds to compile.
const layer = { gamma: f32(16), beta: f32(16), w: f32(16, 8), v: f32(8, 16) };

/** Columns of products, which all lie in one arena. */
const columns = (sizes: readonly number[]): Case["program"] =>
  compile({ x: f32(10, 12), w: sizes.map((n) => f32(12, n)) }, ({ x, w }) =>
    w.map((t) => sum(exp(matmul(x, t)), { axes: 0 })),
  );

const products = "direct_1x4x8 | direct_1x4x8 | direct_1x4x8 | direct_1x4x8";

const cases: readonly Case[] = [
  {
    name: "gradients of a layer: products of one operand, and sums over columns",
    program: compile({ p: layer, x: f32(12, 16) }, ({ p, x }) =>
      valueAndGrad((q: typeof p) => {
        const y = layerNorm(x, { scale: q.gamma, bias: q.beta });
        return sum(layerNorm(matmul(relu(matmul(y, q.w)), q.v), { scale: q.gamma, bias: q.beta }).mul(x));
      })(p),
    ),
    buffers: 8,
    shared: ["direct_1x4x8 | direct_1x4x8", "direct_1x4x8 | direct_1x4x8"],
  },
  {
    name: "equal kernels on tensors that one binding spans",
    program: columns([16, 16, 16, 16, 16, 16, 16, 16]),
    buffers: 8,
    shared: [products, products, "row_column_1x64 | row_column_1x64"],
  },
  {
    name: "unequal kernels on tensors that one binding spans",
    program: columns([16, 24, 16]),
    buffers: 4,
    shared: ["direct_1x4x8 | direct_1x4x8", "row_column_1x64 | row_column_1x64"],
  },
  {
    name: "workgroups of another size, of which one does the work of several",
    program: compile({ x: f32(3, 1024), y: f32(1300), z: i32(7) }, ({ x, y, z }) => ({
      s: sum(mul(x, x), { axes: 1 }),
      e: exp(y),
      z: mul(z, z),
    })),
    buffers: 8,
    shared: ["row_256x1 | pointwise_x4 | pointwise_x1"],
  },
];

const capabilities = (buffers: number): Capabilities =>
  hardware(gpu(), { limits: { maxStorageBuffersPerShaderStage: buffers } });

describe("kernels that share a dispatch", () => {
  test.each(cases)("$name", async ({ program: { graph }, buffers, shared }) => {
    const c = capabilities(buffers);
    const [alone, together] = [false, true].map((bundles) => compileGraph(graph, c, { bundles }));
    const several = together!.report.kernels.filter((k) => k.parts);
    expect(several.map((k) => k.variant)).toEqual(shared);
    const saved = several.reduce((n, k) => n + (k.parts?.length ?? 1) - 1, 0);
    expect(together!.manifest.dispatches).toHaveLength(alone!.manifest.dispatches.length - saved);
    for (const d of together!.manifest.dispatches) expect(d.bindings.length).toBeLessThanOrEqual(buffers);
    checkManifest(together!.manifest);

    const inputs = variantInputs(graph);
    const [expected] = await runManifest(gpu(), alone!.manifest, inputs);
    const [first, second] = await runManifest(gpu(), together!.manifest, inputs, 2);
    expect(first, "as alone, to the bit").toEqual(expected);
    expect(second, "again").toEqual(expected);
    expect(await runPoisoned(gpu(), together!.manifest, inputs), "in poisoned memory").toEqual(expected);
  });

  test("are told apart in the report, each with what it computes", () => {
    const { report } = compileGraph(columns([16, 24]).graph, capabilities(8));
    const bundle = report.kernels.at(-1);
    expect(bundle?.parts?.map((p) => [p.family, p.ops, p.phase])).toEqual([
      ["row", ["sum"], "forward"],
      ["row", ["sum"], "forward"],
    ]);
    expect([report.totals.kernels, report.totals.dispatches]).toEqual([4, report.kernels.length]);
    expect(String(report)).toContain("matmul exp | matmul exp");
  });

  test("have a dispatch each on a CPU adapter, where fusion is off, and where nothing is to be gained", () => {
    const { graph } = columns([16, 24]);
    const c = capabilities(8);
    const dispatches = (...args: Parameters<typeof compileGraph>): number =>
      compileGraph(...args).manifest.dispatches.length;
    expect(dispatches(graph, { ...c, software: true })).toBe(dispatches(graph, c, { bundles: false }));
    expect(dispatches(graph, c, { fuse: "off" })).toBe(dispatches(graph, c, { fuse: "off", bundles: false }));
    expect(dispatches(graph, c)).toBeLessThan(dispatches(graph, c, { bundles: false }));
  });
});
