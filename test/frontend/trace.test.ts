import { describe, expect, test } from "vitest";
import { flatten, mapTree } from "../../src/frontend/tree.ts";
import { bool, compile, constant, dim, f16, f32, i32, type Tensor, uniform } from "../../src/index.ts";

const roles = (program: { graph: { inputs: readonly { attrs: Readonly<Record<string, unknown>> }[] } }) =>
  Object.fromEntries(program.graph.inputs.map((n) => [n.attrs.name, n.attrs.role]));

describe("trees", () => {
  const isNumber = (v: unknown): v is number => typeof v === "number";
  const what = { tree: "the tree", leaf: "a number", hint: "use numbers" };

  test("flatten to dotted paths in order, and map back", () => {
    const tree = { b: 1, a: [2, { c: 3 }], d: {} };
    expect(flatten(tree, isNumber, "in", what)).toEqual([
      { path: "b", value: 1 },
      { path: "a.0", value: 2 },
      { path: "a.1.c", value: 3 },
    ]);
    expect(mapTree(tree, isNumber, "in", (path, n) => `${path}=${n}`)).toEqual({
      b: "b=1",
      a: ["a.0=2", { c: "a.1.c=3" }],
      d: {},
    });
  });
  test("a lone leaf has the root's name", () => {
    expect(flatten(7, isNumber, "in", what)).toEqual([{ path: "in", value: 7 }]);
  });
  test("two leaves of one path and foreign leaves are refused", () => {
    expect(() => flatten({ "a.b": 1, a: { b: 2 } }, isNumber, "in", what)).toThrow(/two leaves have the path "a.b"/);
    expect(() => flatten({ a: { b: "x" } }, isNumber, "in", what)).toThrow(
      /the tree: "a.b" is the string "x", not a number/,
    );
  });
});

describe("compile", () => {
  test("gives the function the tree of specs as tensors", () => {
    const T = dim("T", { hint: 32 });
    const seen: string[] = [];
    const program = compile({ x: f32(8, T), layers: [{ w: f16(4) }, { w: i32() }], flag: bool(2) }, (t) => {
      seen.push(String(t.x), String(t.layers[0].w), String(t.layers[1].w), String(t.flag));
      return { y: t.x, list: [t.flag] };
    });
    expect(seen).toEqual(["f32[8, T]", "f16[4]", "i32[]", "bool[2]"]);
    expect(String(program)).toBe(
      [
        "graph<T = 32>(%x: f32[8, T], %layers.0.w: f16[4], %layers.1.w: i32[], %flag: bool[2]) {",
        "  return y: %x, list.0: %flag",
        "}",
        "",
      ].join("\n"),
    );
  });

  test("a lone spec is `in`, a lone tensor is `out`, unused inputs stay", () => {
    expect(String(compile(f32(2), (x) => x))).toBe("graph(%in: f32[2]) {\n  return out: %in\n}\n");
    expect(roles(compile({ x: f32(2), unused: f32() }, ({ x }) => x))).toEqual({ x: "data", unused: "data" });
  });

  test("weights and donated inputs by name, by prefix and by path", () => {
    const params = { a: f32(2), b: { c: f32(2) } };
    const id = ({ x }: { x: Tensor }) => x;
    expect(roles(compile({ x: f32(2), params }, id, { weights: ["params"] }))).toEqual({
      x: "data",
      "params.a": "weight",
      "params.b.c": "weight",
    });
    expect(roles(compile({ x: f32(2), params }, id, { weights: ["params.b"] }))["params.a"]).toBe("data");
  });

  test("a donated input that is returned under its path is state", () => {
    const program = compile(
      { x: f32(2), s: f32(2), t: f32(2) },
      ({ x, s, t }) => ({ y: x.reshape([1, 2]), s: t, u: s }),
      {
        donate: ["s", "t"],
      },
    );
    expect(roles(program)).toEqual({ x: "data", s: "state", t: "data" });
  });

  test("state keeps its type", () => {
    const to = (shape: number[]) => () =>
      compile({ s: f32(2, 3) }, ({ s }) => ({ s: s.reshape(shape) }), { donate: ["s"] });
    expect(to([2, 3])).not.toThrow();
    expect(to([6])).toThrow(/state "s" is f32\[2, 3\] but its next value is f32\[6\]/);
  });

  test("bad options are refused with a suggestion", () => {
    const specs = { tokens: f32(2), params: { weight: f32(2) } };
    const with_ = (options: object) => () => compile(specs, ({ tokens }) => tokens, options as never);
    expect(with_({ weights: ["parms"] })).toThrow(/weights names no input "parms".*did you mean "params"\?/s);
    expect(with_({ donate: ["params.wieght"] })).toThrow(/did you mean "params.weight"\?/);
    expect(with_({ weights: ["tokens"], donate: ["tokens"] })).toThrow(/"tokens" is in weights and in donate/);
    expect(with_({ wieghts: [] })).toThrow(/no option "wieghts".*did you mean "weights"\?/s);
    expect(with_({ fuse: "none" })).toThrow(/fuse cannot be "none"/);
  });

  test("bad specs and results are refused by path", () => {
    expect(() => compile({ x: { y: [2, 3] } } as never, () => constant(1))).toThrow(
      /"x.y.0" is the number 2, not a spec/,
    );
    expect(() => compile({ x: f32(2) }, ({ x }) => ({ x, n: 3 }))).toThrow(/"n" is the number 3, not a tensor/);
    expect(() => compile({ x: f32(2) }, () => undefined)).toThrow(/it is undefined, not a tensor/);
    expect(() => compile({ x: f32(2) }, () => ({}))).toThrow(/returned no tensor/);
    expect(() => compile({ x: f32(2) }, async ({ x }) => x)).toThrow(/returned a promise/);
    expect(() => f32(-1)).toThrow(/size of axis 0 is -1/);
    expect(() => f32(1.5)).toThrow(/size of axis 0 is 1.5/);
    expect(() => f32(1, 1, 1, 1, 1, 1, 1, 1, 1)).toThrow(/at most 8 axes/);
    expect(() => f32("T" as never)).toThrow(/the size of axis 0 is the string "T"/);
  });

  test("a tensor of another trace is refused where it is used", () => {
    let leaked: Tensor | undefined;
    compile({ x: f32(2) }, ({ x }) => {
      leaked = x;
      return x;
    });
    expect(() => compile({ y: f32(2) }, ({ y }) => ({ y, z: leaked?.reshape([1, 2]) as Tensor }))).toThrow(
      /input "x" of another traced function/,
    );
  });

  test("compile inside a traced function leaves the outer trace alone", () => {
    const streams = (p: { graph: { nodes: readonly { op: string; attrs: Readonly<Record<string, unknown>> }[] } }) =>
      p.graph.nodes.filter((n) => n.op === "uniform").map((n) => n.attrs.stream);
    const draw = (inner: boolean) =>
      compile({ seed: f32(2) }, ({ seed }) => {
        const key = seed.bitcast("u32");
        const a = uniform(key, [2]);
        if (inner) draw(false);
        return [a, uniform(key, [2])];
      });
    expect(streams(draw(true))).toEqual([0, 1]);
  });
});
