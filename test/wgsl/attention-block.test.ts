import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { slotsOf } from "../../src/fuse/region.ts";
import { attention, compile, f32, grad } from "../../src/index.ts";
import type { Graph, Node } from "../../src/ir/graph.ts";
import { interpret } from "../../src/ir/interpret.ts";
import { count } from "../../src/ir/ndarray.ts";
import type { Capabilities, KernelSpec } from "../../src/manifest/manifest.ts";
import { type Gpu, openDevice } from "../../src/node/runtime.ts";
import { encodeWords } from "../../src/plan/words.ts";
import { profiles } from "../../src/runtime/profiles.ts";
import { writeAttentionBlock } from "../../src/wgsl/attention-block.ts";
import { writeGradBlock } from "../../src/wgsl/attention-grad-block.ts";
import { candidatesOf, writeKernel } from "../../src/wgsl/write.ts";
import { detectRaces } from "../support/reflect.ts";
import { unplanned } from "../support/region-run.ts";
import { variantInputs } from "../support/variants.ts";

/** Drivers of software adapters take minutes for these kernels: here kernels run on the CPU, an invocation after the other. */
const h200: Capabilities = { ...profiles.h200, features: { f16: false, subgroups: false } };

type Shape = readonly [heads: number, keyHeads: number, rows: number, keys: number, depth: number, valueDepth: number];

const gradients = ([heads, keyHeads, rows, keys, depth, valueDepth]: Shape): Graph =>
  compile(
    {
      ...{ q: f32(heads, rows, depth), k: f32(keyHeads, keys, depth), v: f32(keyHeads, keys, valueDepth) },
      dout: f32(heads, rows, valueDepth),
    },
    ({ dout, ...x }) => grad((y: typeof x) => attention(y.q, y.k, y.v, { causal: true }).mul(dout).sum())(x),
  ).graph;

/** Each kernel on the CPU, attention's by blocks of tiles; each tensor has memory of its own. */
function run(program: Graph) {
  const { graph, kernels } = unplanned(program, h200, {
    write: (r) => {
      const op = r.anchors[0]?.op ?? "";
      if (op.startsWith("attentionGrad")) return writeGradBlock(r, h200);
      return op.startsWith("attention") ? writeAttentionBlock(r, h200) : writeKernel(r, h200);
    },
  });
  const inputs = variantInputs(program);
  // What lies behind a tensor is NaN: an element read there must not count.
  const memory = new Map<Node, Uint32Array>();
  const wordsOf = (n: Node): Uint32Array => {
    const words = memory.get(n) ?? new Uint32Array(count(n.type.shape as number[]) + 16).fill(0x7fc0dead);
    if (!memory.has(n) && n.op === "input") words.set(encodeWords("f32", inputs[n.attrs.name as string]?.data ?? []));
    memory.set(n, words);
    return words;
  };
  const found: string[] = [];
  for (const { region, kernel } of kernels) {
    const bound = slotsOf(region).map(({ input, output }) => wordsOf((input ?? output) as Node).buffer);
    const spec = { ...kernel, entryPoint: "main" } as unknown as KernelSpec;
    const { races, errors } = detectRaces(spec, kernel.workgroups, bound as ArrayBuffer[]);
    found.push(...races, ...errors);
  }
  const expected = interpret(program, inputs);
  const off = graph.outputs.map(({ name, node }) => {
    const actual = new Float32Array(wordsOf(node).buffer);
    const want = Array.from(expected[name]?.data ?? []);
    const most = Math.max(...want.map(Math.abs));
    return Math.max(...want.map((x, i) => Math.abs(x - (actual[i] as number)) / most));
  });
  return { variants: kernels.map((k) => k.kernel.variant), found, off };
}

test.each([
  ["two tiles of keys, the last one not whole", [1, 1, 5, 70, 8, 4]],
  ["grouped heads", [2, 1, 3, 5, 8, 4]],
  ["heads deeper than 64", [1, 1, 3, 34, 68, 4]],
] as const)(
  "attention and its gradients by blocks of tiles: no races and the interpreter's results: %s",
  {
    timeout: 180_000,
  },
  (_, shape) => {
    const { variants, found, off } = run(gradients(shape));
    expect(variants.filter((v) => /_block_64x64$/.test(v))).toHaveLength(3);
    expect(found).toEqual([]);
    expect(off).toHaveLength(3);
    for (const x of off) expect(x).toBeLessThan(1e-5);
  },
);

describe("where they are taken", () => {
  const opened: Gpu[] = [];
  beforeAll(async () => void opened.push(await openDevice({ adapter: "null" })));
  afterAll(() => {
    for (const g of opened) g.dispose();
  });

  const preferred = (graph: Graph, c: Capabilities) =>
    unplanned(graph, c)
      .kernels.map((k) => k.kernel.variant)
      .filter((v) => /grad/.test(v));

  test.each([
    ["1x12x512x64: workgroups are few", [12, 12, 512, 512, 64, 64], /^attention_grad_\w+_tile_32x32_by2$/],
    ["3x12x512x64", [36, 36, 512, 512, 64, 64], /^attention_grad_\w+_block_64x64$/],
    ["heads of 128", [36, 36, 512, 512, 128, 128], /^attention_grad_\w+_block_64x64$/],
  ] as const)("%s", (_, shape, variant) => {
    const graph = gradients(shape);
    const found = preferred(graph, h200);
    expect(found).toHaveLength(2);
    for (const v of found) expect(v).toMatch(variant);
    const small = { ...h200, limits: { ...h200.limits, maxComputeWorkgroupStorageSize: 24575 } };
    for (const v of preferred(graph, small)) expect(v).not.toMatch(/block_64x64$/);
  });

  test("every text compiles", async () => {
    const device = (opened[0] as Gpu).device;
    for (const shape of [
      [4, 2, 70, 101, 64, 52],
      [2, 1, 64, 128, 20, 64],
    ] as const) {
      const { kernels } = unplanned(gradients(shape), h200);
      for (const { region } of kernels.filter((k) => k.region.family === "attention")) {
        for (const candidate of candidatesOf(region, h200)) {
          device.pushErrorScope("validation");
          device.createShaderModule({ code: candidate.write().wgsl });
          expect((await device.popErrorScope())?.message, candidate.name).toBeUndefined();
        }
      }
    }
  });
});
