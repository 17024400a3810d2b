import { describe, expect, test, vi } from "vitest";
import { attention, compile, f32, type Program, type Tensor, valueAndGrad } from "../../src/index.ts";
import { interpret } from "../../src/ir/interpret.ts";
import type { NDArray } from "../../src/ir/ndarray.ts";
import { pairAttentionBytes, writeAttentionPairs } from "../../src/wgsl/attention-f16x3.ts";
import { type PairAttention, pairAttention } from "../../src/wgsl/attention-f16x3-parts.ts";
import { pairGradBytes, writeGradPairs } from "../../src/wgsl/attention-grad-f16x3.ts";
import { sizesOf } from "../../src/wgsl/attention-parts.ts";
import type { Kernel } from "../../src/wgsl/kernel.ts";
import { writeKernel } from "../../src/wgsl/write.ts";
import { sharedGpu } from "../support/gpu.ts";
import { emulated } from "../support/matrix-emulation.ts";
import { runUnplanned, unplanned } from "../support/region-run.ts";
import { leftOut, leftOutWhy } from "../support/share.ts";
import { hardware, variantInputs } from "../support/variants.ts";

// Drivers of software adapters take seconds for these kernels.
vi.setConfig({ testTimeout: 180_000 });

const gpu = sharedGpu();

interface Case {
  readonly forward: PairAttention;
  readonly grad: PairAttention;
  readonly query: readonly number[];
  readonly key: readonly number[];
}

type Operands = { q: Tensor; k: Tensor; v: Tensor };

const program = ({ query, key }: Case): Pick<Program, "graph"> =>
  compile({ q: f32(...query), k: f32(...key), v: f32(...key), dout: f32(...query) }, (x) => {
    const { dout, ...operands } = x as Operands & { dout: Tensor };
    const { aux, grad } = valueAndGrad(
      (y: Operands) => {
        const out = attention(y.q, y.k, y.v, { causal: true });
        return [out.mul(dout).sum(), out] as const;
      },
      { aux: true },
    )(operands);
    return { out: aux, ...grad };
  });

const cases: Readonly<Record<string, Case>> = {
  "grouped heads, odd lengths, features that are not whole matrices, sums kept in registers": {
    forward: pairAttention(16, 1, 32, 32),
    grad: pairAttention(16, 2, 32, 32),
    query: [2, 37, 20],
    key: [1, 51, 20],
  },
  "gradients of 16 others at a time, own positions by parts": {
    forward: pairAttention(16, 2),
    grad: pairAttention(32, 2, 16, 32),
    query: [1, 40, 64],
    key: [1, 51, 64],
  },
};

describe("attention of f32 by products of halves", () => {
  test.for(Object.entries(cases))("%s", async ([name, c], { skip }) => {
    skip(leftOut(name), leftOutWhy);
    const { graph } = program(c);
    const inputs = variantInputs(graph);
    const device = hardware(gpu());
    const write = (region: Parameters<typeof writeKernel>[0]): Kernel => {
      const [node] = region.anchors;
      if (region.family !== "attention" || !node) return writeKernel(region, device);
      const forward = !node.op.startsWith("attentionGrad");
      const tile = forward ? c.forward : c.grad;
      const kernel = (forward ? writeAttentionPairs : writeGradPairs)(region, device, tile);
      expect(kernel.requires.workgroupBytes).toBeLessThanOrEqual(
        (forward ? pairAttentionBytes : pairGradBytes)(sizesOf(node), tile),
      );
      return emulated(kernel);
    };
    const run = unplanned(graph, device, { write });
    expect(run.kernels.filter((k) => k.kernel.variant.includes("f16x3"))).toHaveLength(3);
    const got = await runUnplanned(gpu(), run, inputs);
    for (const [key, want] of Object.entries(interpret(graph, inputs))) {
      const most = Math.max(...want.data.map(Math.abs));
      const worst = Math.max(...want.data.map((x, i) => Math.abs(x - ((got[key] as NDArray).data[i] as number))));
      // A single half each would be off by 2e-4.
      expect(worst / most, key).toBeLessThan(2e-6);
    }
  });
});
