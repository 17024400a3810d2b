import { readFileSync, writeFileSync } from "node:fs";
import { globSync } from "tinyglobby";
import { describe, expect, test } from "vitest";
import type { Graph } from "../../src/ir/graph.ts";
import { interpret } from "../../src/ir/interpret.ts";
import type { NDArray } from "../../src/ir/ndarray.ts";
import { parse } from "../../src/ir/parse.ts";
import { print } from "../../src/ir/print.ts";
import { verify } from "../../src/ir/verify.ts";
import { optimise, passes } from "../../src/passes/pipeline.ts";
import { splitReductions } from "../../src/passes/split-reductions.ts";
import { profiles } from "../../src/runtime/profiles.ts";
import { benignInputs, difference } from "../support/values.ts";

/*
 * A file is a header of `; key: value` lines, a graph, and where the mode has a result `; ----` and the expected graph.
 *
 *   ; pass: NAME          one pass (`optimise`: all of them); the result follows
 *   ; options: {…}        JSON for the pass
 *   ; round-trip          the graph prints as it stands
 *   ; kernels: N          everything legal fuses into N kernels
 *   ; not-fused: TEXT     … and some edge is not fused for a reason that contains TEXT (may repeat)
 *
 * Other header lines are for the reader. BLESS=1 rewrites results and kernel counts.
 */
interface FileTest {
  readonly header: readonly (readonly [key: string, value: string])[];
  readonly head: string;
  readonly graph: string;
  readonly expected: string;
}

const keys = ["pass", "options", "round-trip", "kernels", "not-fused"];
const separator = "; ----\n";

function read(text: string): FileTest {
  const [before = "", expected = ""] = text.split(separator);
  const head = /^(?:;[^\n]*\n)*/.exec(before)?.[0] ?? "";
  const header = head
    .split("\n")
    .map((line) => /^; ([a-z-]+)(?:: (.*))?$/.exec(line))
    .flatMap((m) => (m && keys.includes(m[1] as string) ? [[m[1] as string, m[2] ?? ""] as const] : []));
  return { header, head, graph: before.slice(head.length), expected };
}

const blessing = process.env.BLESS === "1";

const named: Readonly<Record<string, (graph: Graph, options: Record<string, number>) => Graph>> = {
  ...Object.fromEntries(Object.values(passes).map((p) => [p.name, p.run])),
  "split-reductions": splitReductions,
  optimise: (graph) => optimise(graph),
};

function runPass(t: FileTest, name: string, path: string): void {
  const run = named[name];
  if (!run) throw new Error(`${path}: there is no pass ${name}; there are ${Object.keys(named).join(", ")}`);
  const graph = parse(t.graph, path);
  verify(graph);
  const after = run(graph, JSON.parse(t.header.find(([k]) => k === "options")?.[1] ?? "{}"));
  verify(after);
  sameMeaning(graph, after);
  const text = print(after);
  if (blessing) writeFileSync(path, t.head + t.graph + separator + text);
  else expect(text).toBe(t.expected);
}

function sameMeaning(before: Graph, after: Graph): void {
  const inputs = benignInputs(before);
  const [want, got] = [interpret(before, inputs), interpret(after, inputs)];
  for (const { name, node } of before.outputs) {
    const tolerance = node.type.dtype === "f16" ? 2 ** -7 : 1e-4;
    expect(difference(got[name] as NDArray, want[name] as NDArray, tolerance)).toBeUndefined();
  }
}

async function runKernels(t: FileTest, count: string, path: string): Promise<void> {
  const { compileGraph } = await import("../../src/compiler.ts");
  const { report } = compileGraph(parse(t.graph, path), profiles.base, { fuse: "legal" });
  if (blessing) {
    writeFileSync(path, t.head.replace(/^; kernels: .*$/m, `; kernels: ${report.kernels.length}`) + t.graph);
    return;
  }
  expect(report.kernels.length, String(report)).toBe(Number(count));
  const reasons = report.edges.map((e) => `${e.reason}: ${e.detail}`).join("\n");
  for (const [key, text] of t.header) if (key === "not-fused") expect(reasons).toContain(text);
}

describe("filetests", () => {
  for (const path of globSync("test/filetests/**/*.tir").sort()) {
    const t = read(readFileSync(path, "utf8"));
    const mode = t.header.find(([key]) => key === "pass" || key === "round-trip" || key === "kernels");
    test(path.replace("test/filetests/", ""), async () => {
      if (!mode) throw new Error(`${path} has no mode: pass, round-trip or kernels`);
      if (mode[0] === "pass") runPass(t, mode[1], path);
      else if (mode[0] === "kernels") await runKernels(t, mode[1], path);
      else expect(print(parse(t.graph, path))).toBe(t.graph);
    });
  }
});
