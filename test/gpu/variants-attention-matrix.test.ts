import { describe, expect, test, vi } from "vitest";
import { attention, compile, f16, type Program, type Tensor, valueAndGrad } from "../../src/index.ts";
import { interpret } from "../../src/ir/interpret.ts";
import type { NDArray } from "../../src/ir/ndarray.ts";
import { matrixGradBytes, writeGradMatrix } from "../../src/wgsl/attention-grad-matrix.ts";
import { matrixAttentionBytes, writeAttentionMatrix } from "../../src/wgsl/attention-matrix.ts";
import type { MatrixAttention } from "../../src/wgsl/attention-matrix-parts.ts";
import { sizesOf } from "../../src/wgsl/attention-parts.ts";
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
  readonly tile: MatrixAttention;
  readonly query: readonly number[];
  readonly key: readonly number[];
  /** Depth of the values, that of the keys by default. */
  readonly values?: number;
  readonly options?: Parameters<typeof attention>[3];
  /** What dout is multiplied by. */
  readonly times?: number;
}

type Operands = { q: Tensor; k: Tensor; v: Tensor };

function program({ query, key, values = key.at(-1) as number, options = {} }: Case): Pick<Program, "graph"> {
  const deep = (shape: readonly number[]): number[] => [...shape.slice(0, -1), values];
  return compile({ q: f16(...query), k: f16(...key), v: f16(...deep(key)), dout: f16(...deep(query)) }, (x) => {
    const { dout, ...operands } = x as Operands & { dout: Tensor };
    const { aux, grad } = valueAndGrad(
      (y: Operands) => {
        const out = attention(y.q, y.k, y.v, options);
        return [out.mul(dout).sum(), out] as const;
      },
      { aux: true },
    )(operands);
    return { out: aux, ...grad };
  });
}

/** As small as it can be, so that it compiles soon: the subgroups of a workgroup do not meet but in staged operands. */
const small: MatrixAttention = { own: 16, other: 32, each: 16 };

const cases: Readonly<Record<string, Case>> = {
  "causal, grouped heads, odd lengths, values of another depth": {
    tile: small,
    query: [2, 37, 16],
    key: [1, 51, 16],
    values: 12,
    options: { causal: true },
  },
  "four subgroups share positions, eight scores an invocation": {
    tile: { own: 16, other: 64, each: 16, by: 4 },
    query: [1, 37, 64],
    key: [1, 101, 64],
    options: { causal: true },
  },
  "two subgroups share positions": {
    tile: { own: 32, other: 32, each: 16, by: 2 },
    query: [2, 37, 32],
    key: [1, 70, 32],
  },
  "two subgroups share positions, a lane each": {
    tile: { own: 32, other: 32, each: 32, by: 2 },
    query: [2, 37, 32],
    key: [2, 70, 32],
    options: { causal: true },
  },
};

describe("attention by subgroup matrices", () => {
  test.for(Object.entries(cases))("%s", async ([name, c], { skip }) => {
    skip(leftOut(name), leftOutWhy);
    const { graph } = program(c);
    const made = variantInputs(graph);
    const dout = made.dout as NDArray;
    const inputs = {
      ...made,
      dout: { ...dout, data: dout.data.map((x) => (Math.round(x * 64) * (c.times ?? 1)) / 64) },
    };
    const device = hardware(gpu());
    const run = unplanned(graph, device, {
      write(region) {
        const [node] = region.anchors;
        if (region.family !== "attention" || !node) return writeKernel(region, device);
        const forward = !node.op.startsWith("attentionGrad");
        const kernel = (forward ? writeAttentionMatrix : writeGradMatrix)(region, device, c.tile);
        const bytes = (forward ? matrixAttentionBytes : matrixGradBytes)(sizesOf(node), c.tile);
        expect(kernel.requires.workgroupBytes).toBeLessThanOrEqual(bytes);
        return emulated(kernel);
      },
    });
    expect(run.kernels.filter((k) => k.kernel.variant.includes("matrix"))).toHaveLength(3);
    const got = await runUnplanned(gpu(), run, inputs);
    for (const [key, want] of Object.entries(interpret(graph, inputs))) {
      const most = Math.max(...want.data.map(Math.abs));
      const worst = Math.max(...want.data.map((x, i) => Math.abs(x - ((got[key] as NDArray).data[i] as number))));
      expect(worst / most, key).toBeLessThan(2e-3);
    }
  });
});
