import { compileGraph } from "../../src/compiler.ts";
import {
  attention,
  compile,
  crossEntropy,
  embedding,
  f16,
  f32,
  gelu,
  grad,
  i32,
  layerNorm,
  matmul,
  scatterND,
  softmax,
  sum,
} from "../../src/index.ts";
import type { Graph } from "../../src/ir/graph.ts";
import { rows } from "../../src/ir/ops.ts";
import type { Capabilities, Manifest } from "../../src/manifest/manifest.ts";
import { programs } from "../support/programs.ts";
import { rowGraphs } from "../support/row-graphs.ts";

export interface GraphCase {
  readonly name: string;
  readonly graph: Graph;
}

/** A small program for every row of the op table and every dtype it takes. */
const rowCases: readonly GraphCase[] = rows.flatMap((row) =>
  rowGraphs(row).map((graph) => ({
    name: `${row.name}(${graph.inputs.map((n) => `${n.type.dtype}[${n.type.shape}]`).join(", ")})`,
    graph,
  })),
);

/** Programs of real sizes, which get the variants that small ones do not. They are compiled, never run. */
export const largeCases: readonly GraphCase[] = Object.entries({
  "softmax 4096×1024": compile({ x: f32(4096, 1024) }, ({ x }) => softmax(x)),
  "layerNorm of f16, 512×768": compile({ x: f16(512, 768), g: f16(768) }, ({ x, g }) => layerNorm(x, { scale: g })),
  ...Object.fromEntries(
    [768, 769, 4096].map((width) => [
      `gradients of a layerNorm, 2048×${width}`,
      compile({ x: f32(2048, width), g: f32(width), b: f32(width), dy: f32(2048, width) }, ({ dy, ...t }) =>
        grad((p: typeof t) => layerNorm(p.x, { scale: p.g, bias: p.b }).mul(dy).sum())(t),
      ),
    ]),
  ),
  "column sums 4096×768": compile({ x: f32(4096, 768) }, ({ x }) => sum(x, { axes: 0 })),
  "column sums of few columns": compile({ x: f16(30000, 8) }, ({ x }) => sum(x, { axes: 0 })),
  "a sum of 16 million": compile({ x: f32(4096, 4096) }, ({ x }) => sum(x)),
  "elementwise beyond 65,535 workgroups": compile({ x: f32(65536 * 256 + 1) }, ({ x }) => x.exp().add(1)),
  "rows beyond 65,535 workgroups": compile({ x: f32(65536 * 64 + 1, 3) }, ({ x }) => softmax(x)),
  "long rows, 65,537 of them": compile({ x: f32(65537, 256) }, ({ x }) => softmax(x)),
  "matmul 512×768×3072 with bias and gelu": compile(
    { a: f32(512, 768), b: f32(768, 3072), c: f32(3072) },
    ({ a, b, c }) => gelu(matmul(a, b).add(c)),
  ),
  "matmul 4096×768×3072 of f16": compile({ a: f16(4096, 768), b: f16(768, 3072) }, ({ a, b }) => matmul(a, b)),
  "matmul 1×768×40000 of f16, transposed": compile({ a: f16(1, 768), b: f16(40000, 768) }, ({ a, b }) =>
    matmul(a, b, { transposeB: true }),
  ),
  "batched matmul 8×12×512×64×512": compile({ a: f32(8, 12, 512, 64), b: f32(8, 12, 512, 64) }, ({ a, b }) =>
    matmul(a, b, { transposeB: true }),
  ),
  "causal attention 12×512×64": compile(
    { q: f32(12, 512, 64), k: f32(12, 512, 64), v: f32(12, 512, 64) },
    ({ q, k, v }) => attention(q, k, v, { causal: true }),
  ),
  "gradient of causal attention 12×512×64": compile(
    { q: f32(12, 512, 64), k: f32(12, 512, 64), v: f32(12, 512, 64), d: f32(12, 512, 64) },
    ({ d, ...x }) => grad((p: typeof x) => attention(p.q, p.k, p.v, { causal: true }).mul(d).sum())(x),
  ),
  "gradient of masked attention 4×77×130, grouped heads": compile(
    { q: f32(4, 77, 130), k: f32(2, 90, 130), v: f32(2, 90, 48), m: f32(90), d: f32(4, 77, 48) },
    ({ d, m, ...x }) => grad((p: typeof x) => attention(p.q, p.k, p.v, { mask: m }).mul(d).sum())(x),
  ),
  "masked attention of 3 queries with 515 keys": compile(
    { q: f32(4, 3, 96), k: f32(4, 515, 96), v: f32(4, 515, 96), m: f32(3, 515) },
    ({ q, k, v, m }) => attention(q, k, v, { mask: m }),
  ),
  "gradient of crossEntropy of a product, 128×50257": compile(
    { h: f32(128, 64), w: f32(64, 50257), t: i32(128) },
    ({ t, ...x }) => grad((p: typeof x) => crossEntropy(matmul(p.h, p.w), t))(x),
  ),
  "crossEntropy 512×50257": compile({ x: f32(512, 50257), t: i32(512) }, ({ x, t }) => crossEntropy(x, t)),
  "weights' gradient of an odd vocabulary, 512×768×50257, with the bias's": compile(
    { x: f32(512, 768), dy: f32(512, 50257) },
    ({ x, dy }) => ({ dw: matmul(x, dy, { transposeA: true }), db: sum(dy, { axes: 0 }) }),
  ),
  "matmul 512×50257×768, K odd": compile({ a: f32(512, 50257), b: f32(50257, 768) }, ({ a, b }) => matmul(a, b)),
  "gradient of an embedding 50257×768": compile(
    { t: f32(50257, 768), i: i32(4096, 1), u: f32(4096, 768) },
    ({ t, i, u }) => scatterND(t, i, u, { reduction: "add" }),
  ),
  "embedding 50257×768": compile({ t: f16(50257, 768), i: i32(8, 512) }, ({ t, i }) => embedding(t, i)),
}).map(([name, { graph }]) => ({ name, graph }));

/** Every program whose kernels the tests of this folder look at. */
const everyCase: readonly GraphCase[] = [...programs, ...rowCases, ...largeCases];

export type FuseMode = "profit" | "legal" | "off";

export interface CompiledCase {
  /** The program's name, with the mode. */
  readonly name: string;
  readonly graph: Graph;
  readonly manifest: Manifest;
}

/** Compiles programs for a device one after the other; `failed` hears of those that do not compile. */
export function* compiledFor(
  capabilities: Capabilities,
  options: {
    readonly cases?: readonly GraphCase[];
    readonly modes?: readonly FuseMode[];
    readonly failed?: (problem: string) => void;
  } = {},
): Generator<CompiledCase> {
  const { cases = everyCase, modes = ["profit"], failed } = options;
  for (const { name, graph } of cases) {
    for (const fuse of modes) {
      const title = `${name} (${fuse})`;
      let manifest: Manifest;
      try {
        manifest = compileGraph(graph, capabilities, { fuse }).manifest;
      } catch (e) {
        if (!failed) throw e;
        failed(`${title}: ${(e as Error).stack}`);
        continue;
      }
      yield { name: title, graph, manifest };
    }
  }
}
