import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type Graph, GraphBuilder, makeGraph, type Node } from "../../src/ir/graph.ts";
import { count } from "../../src/ir/ndarray.ts";
import { packLayout } from "../../src/ir/ops/memory.ts";
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

/** The graph as a training step: f32 inputs are states, which change by something computed; packed, or one by one. */
function withStates(graph: Graph, how: number): Graph {
  const b = new GraphBuilder();
  const map = new Map<Node, Node>();
  const states: Node[] = [];
  for (const n of graph.nodes) {
    const args = n.args.map((a) => map.get(a) as Node);
    const isState = n.op === "input" && n.type.dtype === "f32" && count(n.type.shape as number[]) > 0;
    const node = b.add(n.op, args, { ...n.attrs, ...(isState ? { role: "state" } : {}) });
    map.set(n, node);
    if (isState) states.push(node);
  }
  const outputs = graph.outputs.map((o) => ({ name: o.name, node: map.get(o.node) as Node }));
  const change = states.map((s, i) => {
    const fits = outputs.map((o) => o.node).find((n) => n.type.dtype === "f32" && sameShape(n, s));
    return fits && (how >> i) & 1 ? b.add("mul", [fits, b.const(0.5, "f32")]) : b.add("mul", [s, s]);
  });
  if (states.length === 0) return graph;
  const next = (how & 8) === 0 ? states.map((s, i) => b.add("sub", [s, change[i] as Node])) : packed(b, states, change);
  // A part of what was computed for the states is a result as well, and the state goes on from there.
  if ((how & 16) !== 0) {
    outputs.push({ name: "part", node: next[0] as Node });
    next[0] = b.add("add", [next[0] as Node, b.const(1, "f32")]);
  }
  return makeGraph(
    graph.inputs.map((n) => map.get(n) as Node),
    [...outputs, ...states.map((s, i) => ({ name: s.attrs.name as string, node: next[i] as Node }))],
  );
}

const sameShape = (a: Node, b: Node): boolean => String(a.type.shape) === String(b.type.shape);

function packed(b: GraphBuilder, states: readonly Node[], change: readonly Node[]): Node[] {
  const flat = b.add("sub", [b.add("pack", states), b.add("pack", change)]);
  const { offsets } = packLayout(states.map((s) => s.type));
  return states.map((s, i) => b.add("window", [flat], { start: offsets[i], shape: s.type.shape }));
}

test.each([
  ["ten thousand training steps", "wordless", 10_000],
  ["training steps whose kernels share dispatches", "bundled", 1_000],
] as const)(
  "%s: nothing that is needed is overwritten, windows are aligned",
  (_, kernels, times) => {
    const small: Capabilities = {
      ...tight,
      limits: { ...tight.limits, maxStorageBufferBindingSize: 65_536, maxBufferSize: 2 ** 20 },
    };
    let shared = 0;
    const property = fc.property(
      randomGraphs({ maxNodes: 8 }),
      fc.nat({ max: 31 }),
      fc.nat({ max: 3 }),
      (g, how, pick) => {
        const graph = withStates(g.graph, how);
        const made = planned(graph, [...devices, small][pick] as Capabilities, "profit", kernels);
        shared += made.main.filter((s) => s.bundle.length > 1).length;
        const problems = replay(made, made.manifest);
        if (problems.length) expect.fail(`${problems.join("\n")}\n${print(graph)}`);
        checkManifest(made.manifest);
        expect(made.plan.buffers.leastBytes).toBeLessThanOrEqual(made.manifest.buffers.reduce((n, x) => n + x.size, 0));
      },
    );
    fc.assert(property, runs(times));
    expect(shared > 0).toBe(kernels === "bundled");
  },
  120_000,
);

test.each([
  ["one by one", 0],
  ["packed", 8],
])("states that change %s are written where they lie", (_, how) => {
  const b = new GraphBuilder();
  const inputs = [[7], [64, 3], [1], [129]].map((shape, i) => b.input(`x${i}`, { dtype: "f32", shape }));
  const y = b.add("sum", [inputs[1] as Node], { axes: [0, 1], keepDims: false });
  const graph = withStates(makeGraph(inputs, [{ name: "y", node: y }]), how);
  const { manifest } = planned(graph, profiles.base, "profit");
  expect(manifest.state).toHaveLength(4);
  for (const s of manifest.state) expect(s.next).toEqual(s.window);
  expect(manifest.buffers.filter((s) => s.role === "state")).toHaveLength(how === 8 ? 1 : 4);
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
