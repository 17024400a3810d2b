import { describe, expect, test } from "vitest";
import { compile, constant, dim, f16, f32, i32, SinterError, type Tensor } from "../../src/index.ts";
import { clipByValue, foreach, globalNorm } from "../../src/nn/index.ts";
import { Interpreted } from "./support/interpreted.ts";

const rows = (program: { graph: { nodes: readonly { op: string }[] } }): Record<string, number> => {
  const out: Record<string, number> = {};
  for (const { op } of program.graph.nodes) out[op] = (out[op] ?? 0) + 1;
  return out;
};
const run = (program: unknown, inputs: object) => new Interpreted(program as never, {}).run(inputs as never);

describe("foreach", () => {
  test("applies a function to all leaves at once and keeps the tree", () => {
    let calls = 0;
    const tree = { w: f32(2, 2), layers: [{ b: f32(3) }, { b: f32() }] };
    const program = compile({ p: tree, g: tree }, ({ p, g }) =>
      foreach({ p, g }, ({ p: x, g: y }) => {
        calls++;
        expect(String(x)).toBe("f32[192]");
        return x.sub(y.mul(2));
      }),
    );
    expect(calls).toBe(1);
    expect(rows(program)).toMatchObject({ pack: 2, sub: 1, mul: 1, window: 3 });
    const p = { w: [1, 2, 3, 4], layers: [{ b: [1, 2, 3] }, { b: 5 }] };
    const g = { w: [1, 1, 1, 1], layers: [{ b: [0, 1, 2] }, { b: 0.5 }] };
    expect(run(program, { p, g })).toEqual({ w: [-1, 0, 1, 2], "layers.0.b": [1, 0, -1], "layers.1.b": [4] });
  });

  test("gives as many trees as the function gives tensors, and takes a tree of one", () => {
    const program = compile({ a: f32(3) }, ({ a }) =>
      foreach({ a }, ({ a: x }) => ({ twice: x.mul(2), less: x.sub(1) })),
    );
    expect(run(program, { a: [1, 2, 3] })).toEqual({ twice: [2, 4, 6], less: [0, 1, 2] });
  });

  test("matches leaves by their keys, whatever their order", () => {
    const program = compile({ p: { a: f32(1), b: f32(1) }, q: { b: f32(1), a: f32(1) } }, ({ p, q }) =>
      foreach({ p, q }, (x) => x.p.sub(x.q)),
    );
    expect(run(program, { p: { a: [1], b: [2] }, q: { a: [10], b: [20] } })).toEqual({ a: [-9], b: [-18] });
  });

  test("calls the function once for each dtype", () => {
    const seen: string[] = [];
    const program = compile({ t: { a: f32(2), b: f16(2), c: f32(3), d: i32(1) } }, ({ t }) =>
      foreach({ t }, ({ t: x }) => {
        seen.push(String(x));
        return x.add(1);
      }),
    );
    expect(seen).toEqual(["f32[128]", "f16[128]", "i32[64]"]);
    expect(run(program, { t: { a: [1, 2], b: [3, 4], c: [5, 6, 7], d: [8] } })).toEqual({
      a: [2, 3],
      b: [4, 5],
      c: [6, 7, 8],
      d: [9],
    });
  });

  test("spreads numbers of leaves over their elements", () => {
    const tree = { a: f32(2), b: f32(65), c: f32() };
    const given: unknown[] = [];
    const program = compile({ t: tree, s: f32() }, ({ t, s }) =>
      foreach({ t }, ({ t: x }, each) => {
        given.push(each({ a: 2, b: 2, c: 2 }), each({ a: true, b: true, c: true }));
        return { data: x.mul(each({ a: 2, b: 1, c: s })), fixed: x.mul(each({ a: 1, b: false, c: 3 })) };
      }),
    );
    expect(given).toEqual([2, 1]);
    expect(program.toString()).toMatch(/segments\(\) \{sizes: \[64, 128, 64\]\} : u32\[256\]/);
    const ones = { a: [1, 1], b: new Float32Array(65).fill(1), c: 1 };
    const out = run(program, { t: ones, s: 7 });
    expect([out["data.a"], out["data.b"], out["data.c"]]).toEqual([[2, 2], Array(65).fill(1), [7]]);
    expect([out["fixed.a"], out["fixed.b"], out["fixed.c"]]).toEqual([[1, 1], Array(65).fill(0), [3]]);
  });

  test("spreads a tensor of numbers in the order of the tree, also over several dtypes", () => {
    const tree = { a: f32(2), b: f16(1), c: f32(1) };
    const program = compile({ t: tree, s: f32(3) }, ({ t, s }) =>
      foreach({ t }, ({ t: x }, each) => x.mul((each(s) as Tensor).cast(x.dtype))),
    );
    const t = { a: [1, 2], b: [3], c: [4] };
    expect(run(program, { t, s: [10, 100, 1000] })).toEqual({ a: [10, 20], b: [300], c: [4000] });
  });

  test("a chain of calls packs once", () => {
    const tree = { a: f32(2), b: f32(3) };
    const program = compile({ t: tree, by: f32(), low: f32() }, ({ t, by, low }) => {
      const scaled = foreach({ t }, ({ t: x }) => x.mul(by));
      const clipped = clipByValue(clipByValue(scaled, 1), low);
      return { t: foreach({ t: clipped }, ({ t: x }) => x.add(0.5)), norm: globalNorm(clipped) };
    });
    expect(rows(program)).toMatchObject({ pack: 1, mul: 1, clamp: 2, sumSquare: 1 });
    const out = run(program, { t: { a: [1, -4], b: [0.1, 0, 3] }, by: 2, low: 0.5 });
    expect(out["t.a"]).toEqual([1, 0]);
    expect(out["t.b"]).toEqual([0.7, 0.5, 1].map((x) => expect.closeTo(x, 6)));
    expect(out.norm).toEqual([expect.closeTo(Math.sqrt(0.25 * 3 + 0.04), 6)]);
  });

  test.each<[string, (x: Tensor) => Tensor]>([
    ["a sum with 1", (x) => x.add(1)],
    ["a cosine", (x) => x.cos()],
    ["a clamp away from 0", (x) => x.clamp(1, 2)],
    ["a choice", (x) => constant(1).add(0).greater(x).cast("f32")],
  ])("what is not 0 between leaves reaches no norm: %s", (_, fn) => {
    const tree = { a: f32(2), b: f32(3) };
    const program = compile({ t: tree }, ({ t }) => globalNorm(foreach({ t }, ({ t: x }) => fn(x))));
    const plain = compile({ t: tree }, ({ t }) => fn(t.a).sumSquare().add(fn(t.b).sumSquare()).sqrt());
    const t = { a: [0.5, 2], b: [0, -1, 1] };
    expect((run(program, { t }).out as number[])[0]).toBeCloseTo((run(plain, { t }).out as number[])[0] as number, 10);
  });

  test("sets what is between leaves to 0 again, but where it is known to be 0", () => {
    const masks = (fn: (x: Tensor) => Tensor) =>
      rows(compile({ t: { a: f32(2), b: f32(3) } }, ({ t }) => foreach({ t }, ({ t: x }) => fn(x)))).where ?? 0;
    const some = constant(2);
    for (const fn of [
      (x: Tensor) => x.mul(some).sub(x.div(x.abs().sqrt().add(1e-8))),
      (x: Tensor) => x.clamp(-1, 1).tanh().relu(),
      (x: Tensor) => x.sign().neg().cast("i32"),
    ]) {
      expect(masks(fn), String(fn)).toBe(0);
    }
    for (const fn of [
      (x: Tensor) => x.add(1),
      (x: Tensor) => x.div(x.abs()),
      (x: Tensor) => x.mul(x.log()),
      (x: Tensor) => x.mul(x.exp()),
      (x: Tensor) => x.clamp(1, 2),
      (x: Tensor) => x.mul(x.reciprocal()),
    ]) {
      expect(masks(fn), String(fn)).toBe(1);
    }
  });

  test("an empty tree stays one", () => {
    const program = compile({ x: f32() }, ({ x }) => ({
      x,
      norm: globalNorm({}),
      none: foreach({ t: {} }, ({ t }) => t),
    }));
    expect(run(program, { x: 1 })).toEqual({ x: [1], norm: [0] });
  });

  const refused = (fn: () => unknown): string => {
    try {
      fn();
    } catch (e) {
      if (!(e instanceof SinterError)) throw e;
      expect(e.diagnostic.place?.file).toContain("foreach.test.ts");
      return e.message;
    }
    throw new Error("nothing was refused");
  };
  type Inputs = { a: Tensor; b: Tensor; h: Tensor; n: Tensor };
  test.each<[string, (x: Inputs) => unknown, RegExp]>([
    [
      "a named dim",
      ({ n }) => foreach({ t: { n } }, ({ t }) => t),
      /foreach: "n" is f32\[N\], and its size is not known yet/,
    ],
    [
      "trees of other keys",
      ({ a, b }) => foreach<Tensor | { b: Tensor }, "t" | "u", Tensor>({ t: { b: a }, u: b }, ({ t }) => t),
      /u has no "b", which t has/,
    ],
    [
      "leaves of other shapes",
      ({ a, b }) => foreach({ t: a, u: b }, ({ t }) => t),
      /"it" of u is f32\[3\], but that of t is f32\[2\]/,
    ],
    [
      "element sizes that differ",
      ({ a, h }) => foreach({ t: a, u: h }, ({ t }) => t),
      /t is f32, but u is f16.*castTree\(u, "f32"\)/s,
    ],
    [
      "a function that reduces",
      ({ a }) => foreach({ t: a }, ({ t }) => t.sum()),
      /the function gave a tensor f32\[\] for packed tensors of 64/,
    ],
    ["a tree instead of named trees", ({ a }) => foreach(a as never, () => a), /foreach takes an object of trees/],
    [
      "numbers for leaves that are not there",
      ({ a }) => foreach({ t: { a } }, ({ t }, each) => t.mul(each({ a: 1, b: 2 }))),
      /have "b", which no tensor has/,
    ],
    [
      "as many numbers as there are not leaves",
      ({ a, b }) => foreach({ t: { a } }, ({ t }, each) => t.mul(each(b))),
      /the numbers for each leaf are f32\[3\], and there are 1 leaves/,
    ],
    [
      "a number of many",
      ({ a, b }) => foreach({ t: { a } }, ({ t }, each) => t.mul(each({ a: b }))),
      /the number of "a" is f32\[3\], not one number/,
    ],
  ])("refuses %s", (_, fn, want) => {
    const specs = { a: f32(2), b: f32(3), h: f16(2), n: f32(dim("N")) };
    expect(refused(() => compile(specs, fn as () => Tensor))).toMatch(want);
  });
});

test("a function that moves elements is refused", () => {
  const tree = { a: f32(3), b: f32(2) };
  compile({ p: tree }, ({ p }) => {
    for (const [name, fn] of [
      ["flip", (x: typeof p.a) => x.flip()],
      ["cumSum", (x: typeof p.a) => x.cumSum().mul(2)],
    ] as const) {
      expect(() => foreach({ p }, (packed) => fn(packed.p))).toThrow(`uses ${name}, which is not elementwise`);
    }
    return foreach({ p }, (packed) => packed.p.div(packed.p.sum()));
  });
});
