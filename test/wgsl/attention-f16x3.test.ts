import { afterAll, describe, expect, test } from "vitest";
import { compileGraph } from "../../src/compiler.ts";
import { attention, compile, f16, f32, grad, matmul, type Program, softmax, type Tensor } from "../../src/index.ts";
import { interpret } from "../../src/ir/interpret.ts";
import { parse } from "../../src/ir/parse.ts";
import { print } from "../../src/ir/print.ts";
import type { Capabilities, KernelSpec } from "../../src/manifest/manifest.ts";
import { selfAttention } from "../../src/nn/index.ts";
import { type Gpu, openDevice } from "../../src/node/runtime.ts";
import { halfProducts } from "../../src/passes/half-products.ts";
import { optimise } from "../../src/passes/pipeline.ts";
import { profiles } from "../../src/runtime/profiles.ts";
import { writeAttentionPairs } from "../../src/wgsl/attention-f16x3.ts";
import { type PairAttention, pairAttention } from "../../src/wgsl/attention-f16x3-parts.ts";
import { writeGradPairs } from "../../src/wgsl/attention-grad-f16x3.ts";
import type { Kernel } from "../../src/wgsl/kernel.ts";
import { writeKernel } from "../../src/wgsl/write.ts";
import { unplanned } from "../support/region-run.ts";
import { variantInputs } from "../support/variants.ts";
import { kernelProblems } from "./limits.ts";

const h200: Capabilities = profiles.h200;
const plain: Capabilities = { ...h200, features: { ...h200.features, subgroupMatrix: false } };
const opened: Gpu[] = [];
afterAll(() => {
  for (const g of opened) g.dispose();
});

interface Form {
  readonly query: readonly number[];
  readonly key: readonly number[];
  readonly causal?: boolean;
}

type Operands = { q: Tensor; k: Tensor; v: Tensor };
const precision = "f16x3" as const;

/** The gradients by q, k and v: a kernel forward and two backward. */
const gradients = ({ query, key, causal = true }: Form, options: object = { precision }): Pick<Program, "graph"> =>
  compile(
    { q: f32(...query), k: f32(...key), v: f32(...key), dout: f32(...query) },
    ({ dout, ...x }) => grad((y: Operands) => attention(y.q, y.k, y.v, { causal }).mul(dout).sum())(x),
    options,
  );

const form = (heads: number, positions: number, depth: number): Form => ({
  query: [1, heads, positions, depth],
  key: [1, heads, positions, depth],
});

/** The three kernels by this tile, where there is one for the row. */
function kernelsBy(f: Form, t: PairAttention): readonly Kernel[] {
  const { kernels } = unplanned(gradients(f).graph, h200, {
    write: (r) => {
      const op = r.anchors[0]?.op ?? "";
      if (!op.startsWith("attention")) return writeKernel(r, h200);
      const forward = !op.startsWith("attentionGrad");
      if (forward) return t.other === 32 ? writeAttentionPairs(r, h200, t) : writeKernel(r, plain);
      return t.by ? writeGradPairs(r, h200, t) : writeKernel(r, plain);
    },
  });
  return kernels.map((k) => k.kernel).filter((k) => k.variant.includes("f16x3"));
}

const variantsOf = ({ graph }: Pick<Program, "graph">, c: Capabilities): readonly string[] =>
  compileGraph(graph, c, { bundles: false })
    .report.kernels.map((k) => k.variant)
    .filter((v) => v.startsWith("attention"));

describe("kernels compile, within the limits of their device", () => {
  const forms: readonly (readonly [Form, readonly PairAttention[]])[] = [
    [form(96, 512, 64), [pairAttention(32, 1), pairAttention(64, 2), pairAttention(16, 2), pairAttention(32, 2, 16)]],
    [{ ...form(96, 512, 64), causal: false }, [pairAttention(128, 1), pairAttention(64, 2)]],
    [form(32, 1024, 128), [pairAttention(32, 2), pairAttention(32, 2, 16)]],
    [{ query: [1, 4, 77, 20], key: [1, 2, 301, 20] }, [pairAttention(64, 2), pairAttention(128, 1, 32, 64)]],
  ];
  for (const [f, tiles] of forms) {
    test(JSON.stringify(f), async () => {
      const gpu = await openDevice({ adapter: "null" });
      opened.push(gpu);
      for (const t of tiles) {
        const kernels = kernelsBy(f, t);
        expect(kernels).toHaveLength(t.other === 16 ? 2 : t.by ? 3 : 1);
        for (const kernel of kernels) {
          gpu.device.pushErrorScope("validation");
          gpu.device.createShaderModule({ code: kernel.wgsl });
          expect(await gpu.device.popErrorScope(), kernel.wgsl).toBeNull();
          const spec = { ...kernel, key: "", label: "test", entryPoint: "main" } as KernelSpec;
          expect(kernelProblems(spec, h200), kernel.wgsl).toEqual([]);
        }
      }
    });
  }
});

test("places of matrices in workgroup memory follow from constants and the invocation's number alone", () => {
  const tiles = [pairAttention(64, 2), pairAttention(32, 2, 16)];
  for (const { wgsl } of tiles.flatMap((t) => kernelsBy(form(96, 512, 64), t))) {
    const places = [...wgsl.matchAll(/\bsh\[([^\]]*)\]/g), ...wgsl.matchAll(/&sh, ([^;]*)\)/g)].map((m) => m[1]!);
    expect(places.length).toBeGreaterThan(40);
    for (const p of places) {
      const rest = p.replace(/\b(lid|sg|row|part|role|unit\d+|at\d+|acc\d+|s\d+|i)\b/g, "").replace(/\d+u/g, "");
      expect(rest, p).toMatch(/^[\s+*/%(),-]*$/);
    }
  }
});

describe("who asks for it, gets it where the device can", () => {
  test("attention and its gradients, in tiles that give enough workgroups", () => {
    const tilesOf = (f: Form): string[] =>
      variantsOf(gradients(f), h200).map((v) => v.replace(/^attention_(grad_query_|grad_key_value_)?/, ""));
    expect(tilesOf(form(96, 512, 64))).toEqual(["f16x3_32x32", "f16x3_32x16", "f16x3_64x32"]);
    const whole = { ...form(96, 512, 64), causal: false };
    expect(tilesOf(whole)).toEqual(["f16x3_128x32", "f16x3_64x32", "f16x3_64x32"]);
    expect(tilesOf(form(96, 2048, 64))).toEqual(["f16x3_128x32", "f16x3_64x32", "f16x3_64x32"]);
    expect(tilesOf(form(12, 512, 64))).toEqual(["tile_32x32_by2", "f16x3_16x32", "f16x3_32x32"]);
    expect(tilesOf(form(32, 1024, 128))).toEqual(["f16x3_64x32_by2", "f16x3_32x16", "f16x3_32x16"]);
    for (const v of tilesOf(form(2, 64, 64))) expect(v).toMatch(/tile/);
  });

  test("a call's own word counts; layers and spelled-out attention hand it on", () => {
    const specs = { q: f32(96, 512, 64), k: f32(96, 512, 64), v: f32(96, 512, 64) };
    const own = compile(specs, ({ q, k, v }) => attention(q, k, v, { precision }));
    const not = compile(specs, ({ q, k, v }) => attention(q, k, v, { precision: "f32" }), { precision });
    const spelled = compile(specs, ({ q, k, v }) => matmul(softmax(matmul(q, k, { transposeB: true }).mul(0.125)), v), {
      precision,
    });
    expect(variantsOf(own, h200)).toEqual([expect.stringMatching(/f16x3/)]);
    expect(variantsOf(not, h200)).toEqual([expect.not.stringMatching(/f16x3/)]);
    expect(variantsOf(spelled, h200)).toEqual(variantsOf(own, h200));
    const layer = compile({ x: f32(8, 512, 768), w: f32(768, 768), qkv: f32(768, 2304) }, ({ x, w, qkv }) =>
      selfAttention(x, { qkv: { weight: qkv }, out: { weight: w } }, { heads: 12, precision }),
    );
    expect(variantsOf(layer, h200)).toEqual([expect.stringMatching(/f16x3/)]);
  });

  test("masks, halves, odd depths and a few positions are computed as without it", () => {
    const masked = (options: object) =>
      compile({ q: f32(96, 512, 64), k: f32(96, 512, 64), v: f32(96, 512, 64), m: f32(512, 512) }, (x) =>
        grad((y: Operands) => attention(y.q, y.k, y.v, { mask: x.m, ...options }).sum())(x),
      );
    const half = (options: object) =>
      compile({ q: f16(8, 64, 64), k: f16(8, 64, 64), v: f16(8, 64, 64) }, ({ q, k, v }) =>
        attention(q, k, v, options),
      );
    const grads = (f: Form) => (options: object) => gradients(f, options);
    for (const make of [masked, half, grads(form(96, 512, 62)), grads(form(96, 12, 64))]) {
      const [without, asked] = [make({}), make({ precision })].map((p) => compileGraph(p.graph, h200).manifest);
      expect(asked).toEqual(without);
    }
  });

  test("without subgroup matrices a program is the same, kernel by kernel", () => {
    for (const c of [plain, { ...h200, software: true }, profiles.base]) {
      const [without, asked] = [{}, { precision }].map(
        (o) => compileGraph(gradients(form(8, 64, 64), o).graph, c).manifest,
      );
      expect(asked).toEqual(without);
    }
  });
});

describe("the attribute", () => {
  test("is printed and parsed, means nothing to the interpreter, and goes where the device cannot", () => {
    const { graph } = gradients(form(2, 20, 8));
    const text = print(graph);
    expect(text).toContain('precision: "f16x3"');
    expect(print(parse(text))).toBe(text);
    const inputs = variantInputs(graph);
    expect(interpret(graph, inputs)).toEqual(interpret(parse(text.replaceAll(/,? ?precision: "f16x3"/g, "")), inputs));
    expect(halfProducts(optimise(graph), h200).nodes.some((n) => n.attrs.precision === "f16x3")).toBe(true);
    const unable = halfProducts(optimise(graph), { ...h200, software: true });
    expect(unable.nodes.filter((n) => n.attrs.precision !== undefined)).toEqual([]);
  });
});
