import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { reflectWgsl } from "../../codegen/reflect/index.ts";
import { compileGraph } from "../../src/compiler.ts";
import { setWgslReflector } from "../../src/frontend/wgsl-signature.ts";
import {
  compile,
  concat,
  constant,
  customGradient,
  dim,
  dimCeilDiv,
  f16,
  f32,
  gelu,
  grad,
  i32,
  type Tensor,
  u32,
  wgslKernel,
} from "../../src/index.ts";
import type { Graph } from "../../src/ir/graph.ts";
import { interpret } from "../../src/ir/interpret.ts";
import type { NDArray } from "../../src/ir/ndarray.ts";
import { parse } from "../../src/ir/parse.ts";
import { print } from "../../src/ir/print.ts";
import type { Capabilities } from "../../src/manifest/manifest.ts";
import { openDevice } from "../../src/node/device.ts";
import type { Gpu } from "../../src/runtime/gpu.ts";
import { profiles } from "../../src/runtime/profiles.ts";
import { load, runOnce } from "../invariants/run.ts";
import {
  fieldsKernel,
  fieldsOnCpu,
  histogram,
  histogramOnCpu,
  matmulOnCpu,
  scaleBy,
  scaleOnCpu,
  scaleOutputs,
  tiledMatmul,
} from "../support/own-kernels.ts";
import { benignInputs, difference } from "../support/values.ts";

let gpu: Gpu;
setWgslReflector(reflectWgsl);
// Other files of the worker have none.
afterAll(() => void setWgslReflector(undefined));
const product = wgslKernel(tiledMatmul, { cpu: matmulOnCpu });
const count = wgslKernel(histogram, { name: "histogram", cpu: histogramOnCpu });
const scale = wgslKernel(scaleBy, { cpu: scaleOnCpu });
const fields = wgslKernel(fieldsKernel, { name: "fields", cpu: fieldsOnCpu });

beforeAll(async () => {
  gpu = await openDevice({ checkMemory: true });
});
afterAll(() => gpu.dispose());

/** Runs a graph in every fusion mode and compares it with the interpreter; twice, as states go on. Returns kernels a run. */
async function check(graph: Graph, tolerance = 0): Promise<readonly number[]> {
  const kernels: number[] = [];
  for (const fuse of ["profit", "legal", "off"] as const) {
    const { manifest } = compileGraph(graph, gpu.capabilities, { fuse, guard: 256 });
    kernels.push(manifest.dispatches.length);
    let inputs: Record<string, NDArray> = benignInputs(graph);
    const session = await load(gpu, manifest, inputs);
    for (let run = 0; run < 2; run++) {
      const expected = interpret(graph, inputs);
      const actual = await runOnce(session, inputs);
      for (const [name, e] of Object.entries(expected)) {
        expect(difference(actual[name] as NDArray, e, tolerance), `${fuse}, run ${run}: ${name}`).toBeUndefined();
      }
      const next = manifest.state.map((s) => [s.name, expected[s.name] as NDArray] as const);
      inputs = { ...inputs, ...Object.fromEntries(next) };
    }
    session.dispose();
  }
  return kernels;
}

const [m, n, k] = [dim("m"), dim("n"), dim("k")];
/** A product by tiles between fused ops. */
const between = (overrides = {}) =>
  compile({ a: f32(m, k), b: f32(k, n), bias: f32(n) }, ({ a, b, bias }) => {
    const tile = (overrides as { TILE?: number }).TILE ?? 8;
    const { c } = product(
      { a: a.mul(0.5).relu(), b, sizes: { m: a.size(0), n: b.size(1), k: a.size(1), scale: 0.25 } },
      { outputs: { c: f32(m, n) }, workgroups: [dimCeilDiv(n, tile), dimCeilDiv(m, tile)], overrides },
    );
    return gelu(c.add(bias));
  });

describe("a product by tiles between fused ops", () => {
  test.each([
    [{ m: 5, n: 7, k: 11 }, {}],
    [{ m: 16, n: 24, k: 8 }, { TILE: 4 }],
    [{ m: 1, n: 1, k: 1 }, { TILE: 2 }],
    [{ m: 33, n: 9, k: 40 }, { TILE: 16 }],
  ])("%j with %j gives what the interpreter gives, in three kernels", async (dims, overrides) => {
    expect(await check(between(overrides).bind(dims), 1e-4)).toEqual([3, 3, expect.any(Number)]);
  });

  test("is a kernel of its own, and the report says so", () => {
    const report = between().explain({ dims: { m: 32, n: 32, k: 32 } });
    expect(report.kernels.map((r) => r.ops)).toEqual([["mul", "relu"], ["wgsl:multiply"], ["add", "gelu"]]);
    expect(report.kernels[1]).toMatchObject({ family: "opaque", variant: "wgsl_multiply", workgroups: [4, 4, 1] });
    expect(report.kernels[1]?.place).toMatch(/wgsl-kernel\.test\.ts:\d+$/);
    expect(report.edges).toMatchObject([
      { from: "k0", to: "k1", reason: "whole-operand", detail: expect.stringContaining("WGSL of your own") },
      { from: "k1", to: "k2", reason: "family", detail: "a kernel in WGSL of your own has no epilogue" },
    ]);
  });

  test("the text that reaches the device is the user's but for bindings, overrides and the uniform", () => {
    const { manifest } = compileGraph(between({ TILE: 4 }).bind({ m: 8, n: 8, k: 8 }), profiles.base);
    const text = manifest.kernels.find((x) => x.label.startsWith("opaque"))?.wgsl as string;
    const changed = text.split("\n").flatMap((l, i) => (l === tiledMatmul.split("\n")[i] ? [] : [l]));
    expect(text.split("\n").length).toBe(tiledMatmul.split("\n").length);
    expect(changed.filter((l) => !l.startsWith("@group(0)"))).toEqual(["const TILE: u32 = 4u;", "fn main("]);
    expect(text).toContain("var<storage, read> sizes: Sizes;");
  });
});

describe("counting with atomics, in place of what was there", () => {
  const bins = 8;
  const counted = (values: Tensor, from?: Tensor, size = bins): Tensor =>
    count(from ? { values, bins: from } : { values }, {
      outputs: { bins: u32(size) },
      workgroups: [dimCeilDiv(values.size(0), 64)],
    }).bins;
  const v = u32(100);
  const cases: Record<string, () => { readonly graph: Graph }> = {
    "from zeros": () => compile({ v }, ({ v }) => counted(v, constant(0, [bins], "u32"))),
    "from an input": () => compile({ v, b: u32(bins) }, ({ v, b }) => counted(v, b)),
    "from what is computed for it": () => compile({ v, b: u32(bins) }, ({ v, b }) => counted(v, b.mul(3))),
    "from what is read later too": () =>
      compile({ v, b: u32(bins) }, ({ v, b }) => {
        const x = b.mul(3);
        const c = counted(v, x);
        return { x, difference: c.sub(x), c };
      }),
    "from a reshape of what is computed": () =>
      compile({ v, b: u32(2, 4) }, ({ v, b }) => counted(v, b.add(1).reshape([bins])).mul(2)),
    "from a permutation": () => compile({ v, b: u32(2, 4) }, ({ v, b }) => counted(v, b.transpose().reshape([bins]))),
    "from a weight": () => compile({ v, b: u32(bins) }, ({ v, b }) => counted(v, b), { weights: ["b"] }),
    "of weights alone": () => compile({ v, b: u32(bins) }, ({ v, b }) => counted(v, b.add(1)), { weights: ["v", "b"] }),
    "a state": () => compile({ v, b: u32(bins) }, ({ v, b }) => ({ b: counted(v, b) }), { donate: ["b"] }),
    "a state with a reshape around it": () =>
      compile({ v, b: u32(2, 4) }, ({ v, b }) => ({ b: counted(v, b.reshape([bins])).reshape([2, 4]) }), {
        donate: ["b"],
      }),
    "a state that is read besides": () =>
      compile({ v, b: u32(bins) }, ({ v, b }) => ({ b: counted(v, b), old: b.mul(2) }), { donate: ["b"] }),
    "a state after some work": () =>
      compile({ v, b: u32(bins) }, ({ v, b }) => ({ b: counted(v, b.shiftRight(1)).add(1) }), { donate: ["b"] }),
    "a state, twice": () =>
      compile({ v, w: u32(30), b: u32(bins) }, ({ v, w, b }) => ({ b: counted(w, counted(v, b)) }), {
        donate: ["b"],
      }),
    "twice from the same": () =>
      compile({ v, w: u32(30), b: u32(bins) }, ({ v, w, b }) => {
        const start = b.add(5);
        return [counted(v, start), counted(w, start)];
      }),
    "the values are the bins": () => compile({ v: u32(bins) }, ({ v }) => counted(v, v)),
    "two states that trade places": () =>
      compile({ v, b: u32(bins), c: u32(bins) }, ({ v, b, c }) => ({ b: counted(v, c), c: counted(v, b) }), {
        donate: ["b", "c"],
      }),
    "parts of one tensor": () =>
      compile({ v, b: u32(2, bins) }, ({ v, b }) =>
        concat([counted(v, b.slice([[0, 1]]).reshape([bins])), counted(v, b.slice([[1, 2]]).reshape([bins]))], {
          axis: 0,
        }),
      ),
  };
  test.each(Object.entries(cases))("%s", async (_, make) => {
    await check(make().graph);
  });

  test("a state is written where it lies, without a copy", () => {
    const { manifest } = compileGraph(cases["a state"]!().graph, profiles.base);
    expect(manifest.dispatches.length).toBe(1);
    expect(manifest.state[0]?.next).toEqual(manifest.state[0]?.window);
    expect(compileGraph(cases["a state, twice"]!().graph, profiles.base).manifest.dispatches.length).toBe(2);
  });
});

describe("operands as they come", () => {
  const scaled = (x: Tensor, alpha: Tensor | number): Tensor => {
    const size = x.size(0) as number;
    return scale({ x, alpha }, { outputs: scaleOutputs(size), workgroups: [dimCeilDiv(size, 32)] }).y as Tensor;
  };
  const cases: Record<string, () => { readonly graph: Graph }> = {
    "an output that nobody reads": () => compile({ x: f32(50) }, ({ x }) => scaled(x, 3).add(1)),
    "both outputs": () =>
      compile({ x: f32(50) }, ({ x }) => scale({ x, alpha: 2 }, { outputs: scaleOutputs(50), workgroups: [2] })),
    "a scalar that was computed": () => compile({ x: f32(50) }, ({ x }) => scaled(x, x.sum())),
    "a scalar given each run": () => compile({ x: f32(50), a: f32() }, ({ x, a }) => scaled(x, a)),
    views: () =>
      compile({ x: f32(4, 6) }, ({ x }) =>
        scaled(x.transpose().reshape([24]), 2).add(scaled(x.slice([[1, 2]]).reshape([6]), 3).sum()),
      ),
    constants: () =>
      compile({ x: f32(3) }, ({ x }) => x.add(scaled(constant([1, 2, 3]), 2)).add(scaled(constant(7, [3]), 2))),
    weights: () => compile({ x: f32(8), w: f32(8) }, ({ x, w }) => x.add(scaled(w.mul(2), 2)), { weights: ["w"] }),
    "a wide constant": () => compile({ x: f32(70_000) }, ({ x }) => x.add(scaled(constant(0.5, [70_000]), 2))),
    "a result of another kernel of one's own": () => compile({ x: f32(40) }, ({ x }) => scaled(scaled(x, 2), 4).sum()),
    "rows around it": () =>
      compile({ x: f32(4, 8) }, ({ x }) =>
        scaled(x.softmax().reshape([32]), 2)
          .reshape([4, 8])
          .softmax(),
      ),
    "an empty tensor": () => compile({ x: f32(0), y: f32(3) }, ({ x, y }) => ({ e: scaled(x, 2), y: y.mul(2) })),
  };
  test.each(Object.entries(cases))("%s", async (_, make) => {
    await check(make().graph, 1e-4);
  });

  test("numbers of a uniform cost no kernel", () => {
    const { manifest } = compileGraph(cases["both outputs"]!().graph, profiles.base);
    expect(manifest.dispatches.length).toBe(1);
    expect(manifest.buffers.filter((b) => b.init).length).toBe(1);
  });

  test("fields: vectors, arrays, sizes, scalars of the program, words", async () => {
    const T = dim("T");
    const p = compile({ x: f32(T, 3), a: f32(), i: i32() }, ({ x, a, i }) => {
      const call = { outputs: { out: f32(12) }, workgroups: [1] };
      const given = {
        n: x.size(0),
        ratio: x.size(0),
        v: [a, 2, -0.5],
        list: [
          [i, -2, 3, 4],
          [5, 6, 7, i],
        ],
        last: a,
      };
      return {
        fields: fields({ p: given } as never, call).out,
        words: fields(
          {
            p: constant(Uint32Array.from({ length: 20 }, (_, i) => i)).mul(16777216),
          },
          call,
        ).out,
      };
    });
    await check(p.bind({ T: 5 }));
  });
});

test("halves, on devices that have them", async () => {
  const source = `enable f16;
@group(0) @binding(0) var<storage, read> x: array<vec2<f16>>;
@group(0) @binding(1) var<storage, read_write> y: array<vec2<f16>>;
@compute @workgroup_size(64) fn double(@builtin(global_invocation_id) id: vec3<u32>) {
  if (id.x < arrayLength(&y)) { y[id.x] = x[id.x] + x[id.x]; }
}`;
  const double = wgslKernel(source, { cpu: ({ inputs: { x } }) => ({ y: x!.data.map((v) => 2 * v) }) });
  const p = compile({ x: f16(38) }, ({ x }) =>
    double({ x: x.neg() }, { outputs: { y: f16(38) }, workgroups: [1] }).y.add(1),
  );
  const on = (features: Capabilities["features"]) => compileGraph(p.graph, { ...profiles.base, features });
  expect(on({ f16: true, subgroups: false }).manifest.kernels.some((x) => x.wgsl.includes("array<vec2<f16>>"))).toBe(
    true,
  );
  expect(() => on({ f16: false, subgroups: false })).toThrow(/double enables f16, which the device \(base\) lacks/);
  if (gpu.capabilities.features.f16) await check(p.graph);
});

test("the text form reads back", () => {
  const p = between({ TILE: 4 });
  const text = print(p.graph);
  expect(text).toContain('name: "multiply"');
  expect(print(parse(text))).toBe(text);
});

test("no derivative, but what customGradient says", () => {
  const call = (x: Tensor): Tensor => scale({ x, alpha: 3 }, { outputs: scaleOutputs(4), workgroups: [1] }).y as Tensor;
  expect(() => compile({ x: f32(4) }, ({ x }) => grad((p: Tensor) => call(p).sum())(x))).toThrow(
    /run is a kernel in WGSL and has no derivative[\s\S]*customGradient/,
  );
  const own = customGradient(call, (ct) => [ct.mul(3)]);
  const p = compile({ x: f32(4) }, ({ x }) => grad((q: Tensor) => own(q).mul(own(q)).sum())(x));
  const out = interpret(p.graph, benignInputs(p.graph));
  const x = benignInputs(p.graph).x as NDArray;
  expect([...(Object.values(out)[0] as NDArray).data]).toEqual([...x.data].map((e) => 18 * e));
});
