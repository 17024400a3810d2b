import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type Graph, GraphBuilder, makeGraph, type Node } from "../../src/ir/graph.ts";
import { print } from "../../src/ir/print.ts";
import { checkManifest } from "../../src/manifest/check.ts";
import type { Capabilities, Manifest, Window } from "../../src/manifest/manifest.ts";
import { profiles } from "../../src/runtime/profiles.ts";
import { runs } from "../properties/runs.ts";
import { programs } from "../support/programs.ts";
import { randomGraphs } from "../support/random-graph.ts";
import { type FuseMode, planned, replay } from "./replay.ts";

const modes: readonly FuseMode[] = ["profit", "legal", "off"];
const tight: Capabilities = {
  ...profiles.base,
  name: "tight",
  limits: { ...profiles.base.limits, maxStorageBuffersPerShaderStage: 6 },
};
const devices: readonly Capabilities[] = [profiles.base, profiles.lavapipe, tight];

/** The graph with some inputs as weights, so that a part of it runs at load. */
function withWeights(graph: Graph, which: number): Graph {
  const b = new GraphBuilder();
  const map = new Map<Node, Node>();
  for (const n of graph.nodes) {
    const role = n.op === "input" && (which >> graph.inputs.indexOf(n)) & 1 ? { role: "weight" } : {};
    const args = n.args.map((a) => map.get(a) as Node);
    map.set(n, b.add(n.op, args, { ...n.attrs, ...role }));
  }
  return makeGraph(
    graph.inputs.map((n) => map.get(n) as Node),
    graph.outputs.map((o) => ({ name: o.name, node: map.get(o.node) as Node })),
  );
}

function check(graph: Graph, c: Capabilities, mode: FuseMode): void {
  const made = planned(graph, c, mode);
  const { manifest } = made;
  const problems = replay(made, manifest);
  if (problems.length) expect.fail(`${c.name}, ${mode}: ${problems.join("\n")}\n${print(graph)}`);
  checkManifest(manifest);
}

describe("every dispatch reads what it computes from, every output is written, nothing that lasts is overwritten", () => {
  test.each(programs.map((p) => [p.name, p.graph] as const))("%s", (_, graph) => {
    for (const c of devices) for (const mode of modes) check(graph, c, mode);
  });

  test("random graphs, with some of their inputs as weights", () => {
    const property = fc.property(randomGraphs(), fc.nat({ max: 7 }), fc.nat({ max: 8 }), ({ graph }, which, pick) => {
      check(withWeights(graph, which), devices[pick % 3] as Capabilities, modes[Math.floor(pick / 3)] as FuseMode);
    });
    fc.assert(property, runs(400));
  });
});

test("a chain of a hundred kernels keeps to a few buffers", () => {
  const b = new GraphBuilder();
  const x = b.input("x", { dtype: "f32", shape: [64, 64] });
  let y = x;
  for (let i = 0; i < 100; i++) y = b.add("matmul", [y, x]);
  const made = planned(makeGraph([x], [{ name: "y", node: y }]), profiles.base, "profit");
  const { manifest } = made;
  expect(manifest.dispatches).toHaveLength(100);
  const scratch = manifest.buffers.filter((s) => s.role === "scratch");
  expect(scratch.reduce((n, s) => n + s.size, 0)).toBe(2 * 64 * 64 * 4);
  expect(replay(made, manifest)).toEqual([]);
});

describe("the replay finds a plan that is wrong", () => {
  const graph = ((): Graph => {
    const b = new GraphBuilder();
    const x = b.input("x", { dtype: "f32", shape: [8, 8] });
    const first = b.add("matmul", [x, x]);
    const second = b.add("matmul", [first, x]);
    return makeGraph([x], [{ name: "y", node: b.add("matmul", [second, first]) }]);
  })();
  const made = planned(graph, profiles.base, "profit");
  const { manifest } = made;
  const wrong = (change: (m: Manifest) => Partial<Manifest>): string =>
    replay(made, { ...manifest, ...change(manifest) }).join("\n");

  test("as it is", () => expect(wrong(() => ({}))).toBe(""));
  test("two readers with their operands exchanged", () => {
    const last = manifest.dispatches.length - 1;
    const swapped = manifest.dispatches.map((d, i) => {
      const [a, b, ...rest] = d.bindings as [Window, Window, ...Window[]];
      return i === last ? { ...d, bindings: [b, a, ...rest] } : d;
    });
    expect(wrong(() => ({ dispatches: swapped }))).toMatch(/binding 0 holds %\d+ matmul, not %/);
  });
  test("memory taken while it is still needed", () => {
    const merged = manifest.dispatches.map((d) => ({ ...d, bindings: d.bindings.map((w) => ({ ...w, offset: 0 })) }));
    expect(wrong(() => ({ dispatches: merged }))).toMatch(/write overlapping windows|holds %/);
  });
  test("a window too small", () => {
    const small = manifest.dispatches.map((d) => ({ ...d, bindings: d.bindings.map((w) => ({ ...w, size: 4 })) }));
    expect(wrong(() => ({ dispatches: small }))).toContain("4 bytes for");
  });
});
