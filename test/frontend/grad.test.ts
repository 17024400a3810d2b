import { describe, expect, test } from "vitest";
import {
  bernoulli,
  bool,
  compile,
  constant,
  dim,
  f16,
  f32,
  type Graph,
  gather,
  grad,
  i32,
  layerNorm,
  matmul,
  scatterAdd,
  scatterND,
  type Tensor,
  u32,
  valueAndGrad,
} from "../../src/index.ts";
import { interpret } from "../../src/ir/interpret.ts";
import { ndarray } from "../../src/ir/ndarray.ts";
import { optimise } from "../../src/passes/pipeline.ts";
import { error, values, worst } from "./grad-support.ts";

const close = 1e-7;
const vector = (...x: number[]) => ndarray("f32", [x.length], x);
const count = (graph: Graph, op: string): number => graph.nodes.filter((n) => n.op === op).length;
const total = (t: Tensor): Tensor => t.mul(t).sum();

describe("the gradient", () => {
  test("has the tree of the parameters, and the value comes with it", () => {
    const specs = { p: { w: f32(3, 2), layers: [{ b: f32(2) }, { b: f32() }] as const }, x: f32(4, 3) };
    const program = compile(specs, ({ p, x }) => {
      const made = valueAndGrad((q: typeof p) => total(matmul(x, q.w).add(q.layers[0].b).tanh().mul(q.layers[1].b)))(p);
      return { ...made, alone: grad((q: typeof p) => total(q.w))(p) };
    });
    expect(program.graph.outputs.map((o) => `${o.name}: ${o.node.type.shape}`)).toEqual([
      "value: ",
      "grad.w: 3,2",
      "grad.layers.0.b: 2",
      "grad.layers.1.b: ",
      "alone.w: 3,2",
      "alone.layers.0.b: 2",
      "alone.layers.1.b: ",
    ]);
    expect(worst(program.graph, values(program.graph))).toBeLessThan(close);
  });

  test("of a lone tensor is a tensor", () => {
    const program = compile({ x: f32(3) }, ({ x }) => grad((y: Tensor) => total(y))(x));
    expect(interpret(program.graph, { x: vector(1, -2, 3) }).out?.data).toEqual(new Float64Array([2, -4, 6]));
  });

  test("of a parameter that is the loss is one", () => {
    const program = compile({ x: f32() }, ({ x }) => valueAndGrad((y: Tensor) => y)(x));
    const out = interpret(program.graph, { x: ndarray("f32", [], [7]) });
    expect([out.value?.data[0], out.grad?.data[0]]).toEqual([7, 1]);
  });

  test("is by the parameters as passed: other ways to the same tensor are constants", () => {
    const program = compile({ x: f32(2) }, ({ x }) => ({
      closure: grad((y: Tensor) => y.mul(x).sum())(x),
      argument: grad((y: Tensor, z: Tensor) => y.mul(z).sum())(x, x),
      twice: grad(({ a, b }: { a: Tensor; b: Tensor }) => a.mul(b).mul(b).sum())({ a: x, b: x }),
      computed: grad((y: Tensor) => y.mul(3).sum())(x.mul(x)),
    }));
    const out = interpret(program.graph, { x: vector(2, 5) });
    expect([...(out.closure?.data ?? [])]).toEqual([2, 5]);
    expect([...(out.argument?.data ?? [])]).toEqual([2, 5]);
    expect([...(out["twice.a"]?.data ?? [])]).toEqual([4, 25]);
    expect([...(out["twice.b"]?.data ?? [])]).toEqual([8, 50]);
    expect([...(out.computed?.data ?? [])]).toEqual([3, 3]);
  });

  test("adds up what several uses contribute", () => {
    const f = ({ a, w }: { a: Tensor; w: Tensor }) => {
      const h = matmul(a, w).tanh();
      return total(h.add(matmul(h, w)).sub(h.mul(a)));
    };
    expect(error({ a: f32(3, 3), w: f32(3, 3) }, f)).toBeLessThan(close);
  });

  test("of what the loss does not depend on is zeros", () => {
    const program = compile({ p: { a: f32(2), b: f32(2, 2), c: f16(3) } }, ({ p }) =>
      grad(({ a, b }: typeof p) => a.sum().add(b.greater(0).cast("f32").sum()))(p),
    );
    const out = interpret(program.graph, {
      "p.a": vector(1, 2),
      "p.b": ndarray("f32", [2, 2]),
      "p.c": ndarray("f16", [3]),
    });
    expect(out.a?.data).toEqual(new Float64Array([1, 1]));
    expect(out.b?.data).toEqual(new Float64Array(4));
    expect({ dtype: out.c?.dtype, data: out.c?.data }).toEqual({ dtype: "f16", data: new Float64Array(3) });
    const none = compile({ x: f32(2) }, ({ x }) => grad((_: Tensor) => constant(1))(x));
    expect(interpret(none.graph, { x: vector(1, 2) }).out?.data).toEqual(new Float64Array(2));
  });

  test("of a gradient", () => {
    const program = compile({ x: f32(3), v: f32(3) }, ({ x, v }) => {
      const cube = (y: Tensor): Tensor => y.mul(y).mul(y).sum();
      const second = grad((y: Tensor) => grad(cube)(y).sum())(x);
      const product = grad((y: Tensor) =>
        grad((z: Tensor) => z.sin().mul(z).sum())(y)
          .mul(v)
          .sum(),
      )(x);
      return { second, product };
    });
    const [x, v] = [
      [0.5, -1, 2],
      [1, 2, -3],
    ] as const;
    const out = interpret(program.graph, { x: vector(...x), v: vector(...v) });
    expect([...(out.second?.data ?? [])]).toEqual(x.map((e) => 6 * e));
    x.forEach((e, i) => {
      expect(out.product?.data[i]).toBeCloseTo((2 * Math.cos(e) - e * Math.sin(e)) * (v[i] as number), 12);
    });
  });

  test("inside a loss: a step of descent is differentiated", () => {
    const f = (lr: Tensor, { x }: { x: Tensor }): Tensor => {
      const loss = (y: Tensor): Tensor => y.mul(y).mul(y).add(y).sum();
      return loss(x.sub(grad(loss)(x).mul(lr)));
    };
    expect(error(f32(), f, { x: f32(4) })).toBeLessThan(close);
  });

  test("hands aux and further arguments through", () => {
    const program = compile({ p: f32(2), x: f32(2), n: i32() }, ({ p, x, n }) => {
      const {
        value,
        grad: g,
        aux,
      } = valueAndGrad(
        (q: Tensor, y: Tensor, factor: number, note: { readonly n: Tensor }) => {
          const h = q.mul(y).mul(factor);
          return [h.sum(), { h, n: note.n, factor }] as const;
        },
        { aux: true },
      )(p, x, 3, { n });
      expect(aux.factor).toBe(3);
      const alone = grad((q: Tensor) => [q.sum(), "note"] as const, { aux: true })(p);
      expect(alone.aux).toBe("note");
      return { value, g, h: aux.h, n: aux.n, alone: alone.grad };
    });
    const out = interpret(program.graph, { p: vector(1, 2), x: vector(3, 4), n: ndarray("i32", [], [7]) });
    expect([...(out.g?.data ?? [])]).toEqual([9, 12]);
    expect([...(out.h?.data ?? [])]).toEqual([9, 24]);
    expect(out.value?.data[0]).toBe(33);
    expect(out.n?.data[0]).toBe(7);
  });

  test("of updates that nothing takes is zeros", () => {
    const program = compile({ p: { x: f32(0, 2), u: f32(3, 2) }, ids: i32(3) }, ({ p, ids }) =>
      grad(({ x, u }: typeof p) => {
        const rows = ids.reshape([3, 1]);
        return scatterAdd(x, ids, u)
          .sum()
          .add(scatterND(x, rows, u).sum())
          .add(scatterND(x, rows, u).mean());
      })(p),
    );
    const out = interpret(program.graph, values(program.graph));
    expect(out.u?.data).toEqual(new Float64Array(6));
    expect(out.x?.shape).toEqual([0, 2]);
  });

  test("has the dtypes of the parameters, through casts too", () => {
    const program = compile({ p: { h: f16(2), f: f32(2) } }, ({ p }) =>
      grad(({ h, f }: typeof p) => total(h.cast("f32").mul(f)).cast("f16"))(p),
    );
    expect(program.graph.outputs.map((o) => o.node.type.dtype)).toEqual(["f16", "f32"]);
  });

  test("works while sizes are named", () => {
    const [B, T] = [dim("B"), dim("T")];
    const f = (p: { w: Tensor; b: Tensor; e: Tensor; s: Tensor }, { ids }: { ids: Tensor }): Tensor => {
      const x = gather(p.e, ids);
      const h = layerNorm(matmul(x, p.w).add(p.b), { scale: p.s }).tanh();
      const tail = h.slice([null, [1]]).sub(h.slice([null, [0, -1]]));
      return tail
        .mul(tail)
        .mean()
        .add(
          h
            .softmax()
            .slice([null, null, [0, 1]])
            .mean(),
        );
    };
    const specs = { w: f32(4, 3), b: f32(T, 1), e: f32(5, 4), s: f32(3) };
    expect(error(specs, f, { ids: i32(B, T) }, { B: 2, T: 3 })).toBeLessThan(close);
  });

  test("carries the places of the forward nodes", () => {
    const program = compile({ x: f32(2) }, ({ x }) => grad((y: Tensor) => y.sin().sum())(x));
    const cos = program.graph.nodes.find((n) => n.op === "cos");
    expect(cos?.place?.file).toMatch(/grad\.test\.ts$/);
    expect(program.graph.nodes.every((n) => n.op === "input" || n.place !== undefined)).toBe(true);
  });

  test("leaves random draws alone and uses the same ones", () => {
    const program = compile({ seed: u32(2), p: f32(64) }, ({ seed, p }) =>
      valueAndGrad((q: Tensor) => q.mul(bernoulli(seed, [64]).cast("f32")).sum())(p),
    );
    const out = interpret(program.graph, { ...values(program.graph), seed: ndarray("u32", [2], [3, 4]) });
    const kept = [...(out.grad?.data ?? [])].reduce((s, v) => s + v, 0);
    expect(kept).toBeGreaterThan(16);
    expect(kept).toBeLessThan(48);
    expect(count(optimise(program.graph), "philox")).toBe(1);
  });
});

describe("what is refused", () => {
  const refused = (fn: (x: Tensor, n: Tensor, flag: Tensor) => unknown) => () =>
    compile({ x: f32(2), n: i32(2), flag: bool() }, ({ x, n, flag }) => fn(x, n, flag) as Tensor);

  test("losses that are no scalars of floating point", () => {
    expect(refused((x) => grad((y: Tensor) => y)(x))).toThrow(/the loss has shape \[2\].*\[bad-loss\]/s);
    expect(refused((x, n) => grad((_: Tensor) => n.sum())(x))).toThrow(/the loss is i32\[\]/);
    expect(refused((x) => grad((() => 3) as never)(x))).toThrow(/the loss is the number 3/);
    expect(refused((x) => grad((async (y: Tensor) => y.sum()) as never)(x))).toThrow(/returned a promise/);
    expect(refused((x) => grad((y: Tensor) => [y.sum(), y] as never)(x))).toThrow(/the loss is an array.*aux: true/s);
    expect(refused((x) => grad(((y: Tensor) => y.sum()) as never, { aux: true })(x))).toThrow(/return \[loss, aux\]/);
    expect(refused((x) => grad(x as never)(x))).toThrow(/takes the function to differentiate/);
    expect(refused((x) => grad((y: Tensor) => y.sum(), { axu: true } as never)(x))).toThrow(/did you mean "aux"/);
  });

  test("parameters that have no gradient, by path", () => {
    expect(refused((x, n) => grad((p: { n: Tensor }) => p.n.cast("f32").sum())({ x, n } as never))).toThrow(
      /the parameter "n" is i32\[2\].*\[bad-parameter\].*further argument/s,
    );
    expect(refused((_, __, flag) => grad((p: Tensor) => p.cast("f32"))(flag))).toThrow(
      /the parameter "params" is bool/,
    );
    expect(refused((x) => grad((p: { x: Tensor }) => p.x.sum())({ x, lr: 3 } as never))).toThrow(
      /"lr" is the number 3, not a tensor/,
    );
  });

  test("names the line of the call", () => {
    try {
      compile({ x: f32(2) }, ({ x }) => grad((y: Tensor) => y)(x));
    } catch (e) {
      expect(String(e)).toMatch(/grad\.test\.ts:\d+/);
    }
    expect.assertions(1);
  });
});

describe("layerNorm", () => {
  const program = compile({ p: { x: f32(6, 8), scale: f32(8), bias: f32(8) } }, ({ p }) =>
    valueAndGrad(({ x, scale, bias }: typeof p) => total(layerNorm(x, { scale, bias })))(p),
  );
  test("keeps its mean and its deviation from the forward pass", () => {
    const graph = optimise(program.graph);
    expect(count(graph, "rsqrt")).toBe(1);
    const inverse = graph.nodes.find((n) => n.op === "rsqrt");
    expect(inverse?.type.shape).toEqual([6, 1]);
    // Two sums a row forward, the mean's and the variance's; nothing else reduces x itself.
    const x = graph.inputs[0];
    expect(graph.nodes.filter((n) => n.op === "sum" && n.args[0] === x)).toHaveLength(1);
    const centred = graph.nodes.filter((n) => n.args.includes(x as never) && ["sub", "add"].includes(n.op));
    expect(centred).toHaveLength(1);
  });
  test("has the numerical derivative", () => {
    expect(worst(program.graph, values(program.graph))).toBeLessThan(1e-6);
  });
});
