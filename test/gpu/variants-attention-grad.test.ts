import { expect, test, vi } from "vitest";
import { attention, compile, f16, f32, grad, type Program, type Tensor } from "../../src/index.ts";
import { type Graph, GraphBuilder, makeGraph, type Node } from "../../src/ir/graph.ts";
import type { NDArray } from "../../src/ir/ndarray.ts";
import { sharedGpu } from "../support/gpu.ts";
import { leftOut, leftOutWhy } from "../support/share.ts";
import { checkVariants, type Hardware, hardware, type Inputs, variantInputs } from "../support/variants.ts";

// Drivers of software adapters take seconds for these kernels.
vi.setConfig({ testTimeout: 180_000 });

const gpu = sharedGpu();
const rows = ["attention_row", "attention_grad_query_row", "attention_grad_key_value_row"];

interface Case {
  readonly program: Pick<Program, "graph">;
  readonly variants?: readonly string[];
  readonly tolerance?: number;
  readonly inputs?: (inputs: Inputs) => Inputs;
  readonly device?: Hardware | "software";
}

type Operands = { q: Tensor; k: Tensor; v: Tensor };

/** The gradients of attention by q, k and v. */
const gradients = ({ q, k, v, dout }: Operands & { dout: Tensor }, options: Parameters<typeof attention>[3]) =>
  grad((x: Operands) => attention(x.q, x.k, x.v, options).mul(dout).sum())({ q, k, v });

/** The gradient by k and v alone: tiles take long to compile on software adapters. */
function byKeyAlone(query: readonly number[], key: readonly number[]): Graph {
  const b = new GraphBuilder();
  const input = (name: string, shape: readonly number[]): Node => b.input(name, { dtype: "f32", shape });
  const pairs = [query[0], 2, query[1]] as number[];
  const args = [input("q", query), input("k", key), input("v", key), input("rows", pairs), input("dout", query)];
  const [dk, dv] = b.results(b.add("attentionGradKeyValue", args, { causal: true })) as [Node, Node];
  return makeGraph(
    args,
    Object.entries({ dk, dv }).map(([name, node]) => ({ name, node })),
  );
}

const cases: Readonly<Record<string, Case>> = {
  "rows: causal, grouped heads, odd lengths, values of another depth": {
    program: compile({ q: f32(2, 4, 7, 6), k: f32(2, 2, 13, 6), v: f32(2, 2, 13, 5), dout: f32(2, 4, 7, 5) }, (x) =>
      gradients(x, { causal: true }),
    ),
    variants: rows,
  },
  "rows: a mask that hides keys and whole rows, on a CPU adapter": {
    program: compile(
      { q: f32(2, 35, 8), k: f32(2, 36, 8), v: f32(2, 36, 8), m: f32(2, 35, 36), dout: f32(2, 35, 8) },
      ({ m, ...x }) => gradients(x, { mask: m, scale: 0.7 }),
    ),
    inputs: (i) => ({ ...i, m: hiding(i.m as NDArray) }),
    variants: rows,
    device: "software",
  },
  // The other forms of the tiles run on the CPU in test/wgsl/races.test.ts.
  "tiles: causal, grouped heads, odd lengths": {
    program: { graph: byKeyAlone([2, 33, 4], [1, 41, 4]) },
    variants: ["attention_grad_key_value_tile_32x32_by2"],
  },
};

test.for(Object.entries(cases))("%s", async ([name, { program, variants = [], device, ...rest }], { skip }) => {
  skip(leftOut(name), leftOutWhy);
  const { graph } = program;
  const made = variantInputs(graph);
  const inputs = rest.inputs?.(made) ?? made;
  const capabilities = device === "software" ? { ...hardware(gpu()), software: true } : hardware(gpu(), device);
  await checkVariants(gpu(), capabilities, variants, { graph, tolerance: 5e-5, ...rest, inputs });
});

test("f16, natively or in packed words", async () => {
  const { graph } = compile({ q: f16(1, 6, 8), k: f16(1, 7, 8), v: f16(1, 7, 8), dout: f16(1, 6, 8) }, (x) =>
    gradients(x, { causal: true }),
  );
  const capabilities = hardware(gpu(), { f16: true });
  const { f16: native } = capabilities.features;
  const check = { graph, tolerance: 4e-3 };
  const manifest = await checkVariants(gpu(), capabilities, rows, check);
  expect(manifest.kernels.some((k) => k.requires.f16)).toBe(native);
});

/** Hides every third key, and all keys of every fifth row. */
function hiding(m: NDArray): NDArray {
  const keys = m.shape.at(-1) as number;
  const hidden = (row: number, key: number): boolean => row % 5 === 2 || key % 3 === 1;
  const data = m.data.map((x, i) => (hidden(Math.floor(i / keys), i % keys) ? Number.NEGATIVE_INFINITY : x));
  return { ...m, data };
}
