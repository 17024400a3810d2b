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

/** Ops of one program: with two outputs each and up to three inputs, what fits the fewest bindings of any device. */
const together = 2;

/** Ops of one signature, each at both of the placements that share what stands before it. */
function program(cases: readonly ElementwiseCase[], n: number, before: boolean): Graph {
  const b = new GraphBuilder();
  const inputs = (cases[0] as ElementwiseCase).args.map((dtype, k) => b.input(`x${k}`, { dtype, shape: [n] }));
  const args = before ? inputs.map((x) => b.add(neighbour[x.type.dtype], [x])) : inputs;
  const outputs = cases.flatMap((c, i) => {
    const y = b.add(c.row.name, args, c.attrs);
    return placements
      .filter((p) => p.before === before)
      .map((p): { name: string; node: Node } => ({
        name: `${p.name}${i}`,
        node: p.after ? b.add(neighbour[c.result], [y]) : y,
      }));
  });
  return makeGraph(inputs, outputs);
}

function failuresAt(c: ElementwiseCase, p: Placement, columns: readonly Float64Array[], out: Float64Array): string[] {
  const failures: string[] = [];
  for (let i = 0; i < out.length && failures.length < 3; i++) {
    const x = columns.map((list) => list[i] as number);
    const got = p.after ? inverse[c.result](out[i] as number) : (out[i] as number);
    const { ok, ulp } = judge(c, x, got);
    const want = c.row.elementwise?.cpu(x, c, c.attrs);
    if (!ok) failures.push(`${c.label} ${p.name}: (${x.join(", ")}) = ${got}, not ${want} (${ulp} ulp)`);
  }
  return failures;
}

async function failuresOf(cases: readonly ElementwiseCase[]): Promise<string[]> {
  const { args } = cases[0] as ElementwiseCase;
  const n = args.length === 1 ? 257 : 1369;
  const columns = argumentColumns(args, n);
  const failures: string[] = [];
  for (const before of [false, true]) {
    const given = columns.map((list, k) => (before ? list.map(inverse[args[k] as DType]) : list));
    const inputs = Object.fromEntries(given.map((list, k) => [`x${k}`, ndarray(args[k] as DType, [n], list)]));
    const { manifest } = compileGraph(program(cases, n, before), gpu().capabilities, { fuse: "legal" });
    if (manifest.dispatches.length !== 1) failures.push(`${cases[0]?.label}: ${manifest.dispatches.length} kernels`);
    const [out] = await runManifest(gpu(), manifest, inputs);
    for (const [i, c] of cases.entries()) {
      for (const p of placements.filter((q) => q.before === before)) {
        failures.push(...failuresAt(c, p, columns, out?.[`${p.name}${i}`]?.data as Float64Array));
      }
    }
  }
  return failures;
}

/** Every row by the dtypes it takes. */
const bySignature = new Map<string, ElementwiseCase[]>();
for (const c of elementwiseCases()) {
  const key = c.args.join();
  bySignature.set(key, [...(bySignature.get(key) ?? []), c]);
}

describe("special values keep their meaning wherever an op stands in a fused chain", () => {
  test.each([...bySignature])("%s", { timeout: 300_000 }, async (_, cases) => {
    const groups = Array.from({ length: Math.ceil(cases.length / together) }, (_, i) =>
      cases.slice(i * together, (i + 1) * together),
    );
    const failures = await mapConcurrent(groups, 4, failuresOf);
    expect(failures.flat().join("\n")).toBe("");
  });
});
