import { describe, expect, test } from "vitest";
import type { DType } from "../../src/base/dtype.ts";
import { compileGraph } from "../../src/compiler.ts";
import { type Graph, GraphBuilder, makeGraph, type Node } from "../../src/ir/graph.ts";
import { ndarray } from "../../src/ir/ndarray.ts";
import { argumentColumns, type ElementwiseCase, elementwiseCases } from "../gpu/elementwise-cases.ts";
import { judge } from "../gpu/elementwise-judge.ts";
import { mapConcurrent } from "../support/concurrent.ts";
import { sharedGpu } from "../support/gpu.ts";
import { runManifest } from "./check-graph.ts";

const gpu = sharedGpu();

/** An op whose own inverse it is, exact for every value: what stands before and after the op under test. */
const neighbour: Readonly<Record<DType, string>> = { f32: "neg", f16: "neg", i32: "neg", u32: "not", bool: "not" };
const inverse: Readonly<Record<DType, (x: number) => number>> = {
  f32: (x) => -x,
  f16: (x) => -x,
  i32: (x) => -x | 0,
  u32: (x) => ~x >>> 0,
  bool: (x) => 1 - x,
};

interface Placement {
  readonly name: string;
  readonly before: boolean;
  readonly after: boolean;
}
const placements: readonly Placement[] = [
  { name: "alone", before: false, after: false },
  { name: "head", before: false, after: true },
  { name: "middle", before: true, after: true },
  { name: "tail", before: true, after: false },
];

/** The op at both of the placements that share what stands before it. */
function program(c: ElementwiseCase, n: number, before: boolean): Graph {
  const b = new GraphBuilder();
  const inputs = c.args.map((dtype, k) => b.input(`x${k}`, { dtype, shape: [n] }));
  const args = before ? inputs.map((x) => b.add(neighbour[x.type.dtype], [x])) : inputs;
  const y = b.add(c.row.name, args, c.attrs);
  const outputs = placements
    .filter((p) => p.before === before)
    .map((p): { name: string; node: Node } => ({
      name: p.name,
      node: p.after ? b.add(neighbour[c.result], [y]) : y,
    }));
  return makeGraph(inputs, outputs);
}

async function failuresOf(c: ElementwiseCase): Promise<string[]> {
  const n = c.args.length === 1 ? 257 : 1369;
  const columns = argumentColumns(c.args, n);
  const failures: string[] = [];
  for (const before of [false, true]) {
    const given = columns.map((list, k) => (before ? list.map(inverse[c.args[k] as DType]) : list));
    const inputs = Object.fromEntries(given.map((list, k) => [`x${k}`, ndarray(c.args[k] as DType, [n], list)]));
    const { manifest } = compileGraph(program(c, n, before), gpu().capabilities, { fuse: "legal" });
    if (manifest.dispatches.length !== 1) failures.push(`${c.label}: ${manifest.dispatches.length} kernels`);
    const [out] = await runManifest(gpu(), manifest, inputs);
    for (const p of placements.filter((q) => q.before === before)) {
      let shown = 0;
      for (let i = 0; i < n && shown < 3; i++) {
        const x = columns.map((list) => list[i] as number);
        const y = out?.[p.name]?.data[i] as number;
        const got = p.after ? inverse[c.result](y) : y;
        const { ok, ulp } = judge(c, x, got);
        if (ok) continue;
        shown++;
        const want = c.row.elementwise?.cpu(x, c, c.attrs);
        failures.push(`${c.label} ${p.name}: (${x.join(", ")}) = ${got}, not ${want} (${ulp} ulp)`);
      }
    }
  }
  return failures;
}

describe("special values keep their meaning wherever an op stands in a fused chain", () => {
  const byRow = new Map<string, ElementwiseCase[]>();
  for (const c of elementwiseCases()) byRow.set(c.row.name, [...(byRow.get(c.row.name) ?? []), c]);
  test.each([...byRow])("%s", async (_, cases) => {
    const failures = await mapConcurrent(cases, 4, failuresOf);
    expect(failures.flat().join("\n")).toBe("");
  });
});
