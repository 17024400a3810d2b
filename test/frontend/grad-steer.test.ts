import { describe, expect, test } from "vitest";
import {
  bernoulli,
  checkpoint,
  compile,
  customGradient,
  dim,
  f32,
  type Graph,
  gelu,
  grad,
  i32,
  layerNorm,
  matmul,
  stopGradient,
  type Tensor,
  u32,
  valueAndGrad,
} from "../../src/index.ts";
import { bindGraph, type Node, usersOf } from "../../src/ir/graph.ts";
import { interpret } from "../../src/ir/interpret.ts";
import { ndarray } from "../../src/ir/ndarray.ts";
import { parse } from "../../src/ir/parse.ts";
import { print } from "../../src/ir/print.ts";
import { verify } from "../../src/ir/verify.ts";
import { optimise } from "../../src/passes/pipeline.ts";
import { error, values, worst } from "./grad-support.ts";

const close = 1e-7;
const vector = (...x: number[]) => ndarray("f32", [x.length], x);
const count = (graph: Graph, op: string): number => graph.nodes.filter((n) => n.op === op).length;
const total = (t: Tensor): Tensor => t.mul(t).sum();
const numbers = (x: { readonly data: Float64Array } | undefined): number[] => [...(x?.data ?? [])];

describe("stopGradient", () => {
  test("is x, and a constant of differentiation", () => {
    const program = compile({ x: f32(2) }, ({ x }) =>
      valueAndGrad((y: Tensor) => y.mul(stopGradient(y)).add(y.stopGradient().exp()).sum())(x),
    );
    const out = interpret(program.graph, { x: vector(3, -2) });
    expect(numbers(out.grad)).toEqual([3, -2]);
    expect(out.value?.data[0]).toBeCloseTo(13 + Math.exp(3) + Math.exp(-2), 12);
    expect(count(optimise(program.graph), "stopGradient")).toBe(0);
  });
});

describe("checkpoint", () => {
  const layer = (x: Tensor, w: Tensor): Tensor => gelu(matmul(gelu(matmul(x, w)), w));
  const twoLayers = (f: (x: Tensor, w: Tensor) => Tensor) =>
    compile({ p: { a: f32(3, 4), b: f32(4, 4) }, x: f32(2, 3) }, ({ p, x }) =>
      valueAndGrad(({ a, b }: typeof p) => total(f(f(matmul(x, a), b), b)))(p),
    );
  const plain = twoLayers(layer);
  const kept = twoLayers(checkpoint(layer));

  test("changes no result", () => {
    const inputs = values(plain.graph);
    const [want, have] = [interpret(plain.graph, inputs), interpret(optimise(kept.graph), inputs)];
    for (const name of Object.keys(want)) {
      numbers(have[name]).forEach((v, i) => {
        expect(v).toBeCloseTo(want[name]?.data[i] as number, 12);
      });
    }
    expect(worst(kept.graph, inputs)).toBeLessThan(close);
  });

  test("computes its inside again: the products of each layer but the last one's result, which nothing needs", () => {
    const [without, with_] = [plain, kept].map((p) => count(optimise(p.graph), "matmul")) as [number, number];
    // Backward wants both products of each of the two layers: gelu's derivative is by its argument.
    expect(with_ - without).toBe(4);
    expect(count(optimise(kept.graph), "recompute")).toBeGreaterThan(0);
  });

  test("a backward pass reads none of its products", () => {
    const graph = optimise(kept.graph);
    const forward = new Set<Node>();
    const visit = (n: Node): void => {
      forward.add(n);
      n.args.forEach(visit);
    };
    visit(graph.outputs.find((o) => o.name === "value")?.node as Node);
    const users = usersOf(graph);
    const read = (n: Node) => (users.get(n) ?? []).filter((u) => !forward.has(u) && u.op !== "recompute");
    const products = [...forward].filter((n) => n.op === "matmul");
    expect(products).toHaveLength(5);
    expect(products.flatMap((n) => read(n))).toEqual([]);
  });

  test("lets a program forget: memory grows with the arguments of the layers alone, and reading them costs no kernel", () => {
    const deep = (f: (x: Tensor, w: Tensor) => Tensor) =>
      compile({ p: f32(6, 8, 8), x: f32(512, 8) }, ({ p, x }) =>
        grad((w: Tensor) => {
          const layers = [0, 1, 2, 3, 4, 5].map((i) => w.slice([[i, i + 1]]).reshape([8, 8]));
          return total(layers.reduce((h, l) => f(f(h, l), l), x));
        })(p),
      );
    const block = (x: Tensor, w: Tensor): Tensor => x.add(gelu(matmul(layerNorm(x), w)));
    const [without, with_] = [deep(block), deep(checkpoint(block))];
    const size = 512 * 8 * 4;
    // Twelve blocks keep their normalised argument and the gelu's each; checkpointed they keep their arguments.
    expect(without.memory().plannedBytes).toBeGreaterThan(24 * size);
    expect(with_.memory().plannedBytes).toBeLessThan(19 * size);
    expect(with_.explain().kernels.filter((k) => k.ops.every((op) => op === "recompute"))).toEqual([]);
  });

  test("prints and parses back, with named sizes too", () => {
    const T = dim("T");
    const program = compile({ p: f32(4, 4), x: f32(T, 4) }, ({ p, x }) =>
      valueAndGrad((w: Tensor) => checkpoint(layer)(x, w).mean())(p),
    );
    verify(program.graph);
    const text = print(program.graph);
    expect(text).toContain("recompute: true");
    expect(print(parse(text))).toBe(text);
    const bound = bindGraph(program.graph, { T: 3 });
    expect(worst(bound, values(bound))).toBeLessThan(close);
  });

  test("takes and returns trees, and differentiates what comes from the closure", () => {
    const f = ({ a, b }: { a: Tensor; b: Tensor }): Tensor => {
      const block = checkpoint((x: { h: Tensor; scale: number }) => {
        const h = matmul(x.h, b).tanh().mul(x.scale);
        return { h, name: "block", more: [h.mul(a)] };
      });
      const out = block({ h: a, scale: 0.5 });
      expect(out.name).toBe("block");
      return total(out.h).add(total(out.more[0] as Tensor));
    };
    expect(error({ a: f32(2, 3), b: f32(3, 3) }, f)).toBeLessThan(close);
  });

  test("nests, also with gradients of gradients", () => {
    const inner = checkpoint((x: Tensor, w: Tensor) => matmul(x, w).tanh());
    const outer = checkpoint((x: Tensor, w: Tensor) => inner(inner(x, w), w));
    const f = ({ w }: { w: Tensor }, { x }: { x: Tensor }): Tensor => {
      const loss = (v: Tensor): Tensor => total(outer(x, v));
      return loss(w).add(total(grad(loss)(w)));
    };
    expect(error({ w: f32(2, 2) }, f, { x: f32(3, 2) })).toBeLessThan(1e-6);
  });

  test("draws the same random numbers again", () => {
    const program = compile({ seed: u32(2), p: f32(32) }, ({ seed, p }) => {
      const drop = checkpoint((x: Tensor) => x.exp().mul(bernoulli(seed, [32]).cast("f32")));
      return valueAndGrad((x: Tensor) => drop(x).sum())(p);
    });
    const inputs = { ...values(program.graph), seed: ndarray("u32", [2], [1, 2]) };
    const out = interpret(optimise(program.graph), inputs);
    const sum = numbers(out.grad).reduce((s, v) => s + v, 0);
    expect(sum).toBeCloseTo(out.value?.data[0] as number, 12);
  });
});

describe("customGradient", () => {
  test("takes two functions", () => {
    compile({ x: f32(3) }, ({ x }) => {
      expect(() =>
        (customGradient as unknown as (f: unknown) => (x: unknown) => unknown)((y: unknown) => y)(x),
      ).toThrow("customGradient takes the gradient as a second function, not undefined");
      return x;
    });
  });

  const inputs = { x: vector(1, -2, 3), y: vector(2, 2, 2) };

  test("replaces the derivative of what is inside", () => {
    const straight = customGradient(
      (x: Tensor) => x.round(),
      (ct) => [ct],
    );
    const program = compile({ x: f32(3), y: f32(3) }, ({ x, y }) =>
      valueAndGrad((p: Tensor) => straight(p.mul(0.4)).mul(y).sum())(x),
    );
    const out = interpret(program.graph, inputs);
    expect(out.value?.data[0]).toBe(0);
    numbers(out.grad).forEach((v) => {
      expect(v).toBeCloseTo(0.8, 6);
    });
    expect(numbers(interpret(optimise(program.graph), inputs).grad)).toEqual(numbers(out.grad));
  });

  test("is given trees of cotangents, arguments and results", () => {
    const f = customGradient(
      (p: { a: Tensor; list: readonly Tensor[] }, factor: number, n: Tensor) => ({
        product: p.a.mul(p.list[0] as Tensor).mul(factor),
        exp: p.a.exp(),
        n,
      }),
      (ct, { args: [p, factor], result }) => [
        {
          a: ct.product
            .mul(p.list[0] as Tensor)
            .mul(factor)
            .add(ct.exp.mul(result.exp)),
          list: [ct.product.mul(p.a).mul(factor)],
        },
      ],
    );
    const loss = ({ a, b }: { a: Tensor; b: Tensor }, { n }: { n: Tensor }): Tensor => {
      const out = f({ a, list: [b] }, 3, n);
      expect(out.n.dtype).toBe("i32");
      return total(out.product).add(out.exp.sum());
    };
    expect(error({ a: f32(3), b: f32(3) }, loss, { n: i32() })).toBeLessThan(close);
    const unused = ({ a, b }: { a: Tensor; b: Tensor }, { n }: { n: Tensor }) => f({ a, list: [b] }, 3, n).exp.sum();
    expect(error({ a: f32(3), b: f32(3) }, unused, { n: i32() })).toBeLessThan(close);
  });

  test("gives zero where it says nothing, and can be differentiated again", () => {
    const f = customGradient(
      (x: Tensor, y: Tensor) => x.mul(y),
      (ct, { args: [x] }) => [ct.mul(x).mul(x), null],
    );
    const program = compile({ x: f32(3), y: f32(3) }, ({ x, y }) => ({
      first: grad(({ x, y }: { x: Tensor; y: Tensor }) => f(x, y).sum())({ x, y }),
      second: grad((p: Tensor) => grad((q: Tensor) => f(q, y).sum())(p).sum())(x),
    }));
    const out = interpret(program.graph, inputs);
    expect(numbers(out["first.x"])).toEqual([1, 4, 9]);
    expect(numbers(out["first.y"])).toEqual([0, 0, 0]);
    expect(numbers(out.second)).toEqual([2, -4, 6]);
  });

  test("refuses a parameter that comes from the closure, unless it is stopped", () => {
    const scaled = (stop: boolean) => () =>
      compile({ x: f32(3), y: f32(3) }, ({ x, y }) =>
        grad(({ x, y }: { x: Tensor; y: Tensor }) =>
          customGradient(
            (z: Tensor) => z.mul(stop ? y.stopGradient() : y),
            (ct) => [ct],
          )(x).sum(),
        )({ x, y }),
      );
    expect(scaled(false)).toThrow(/uses a tensor from outside \[not-differentiable\]\n {2}at .*grad-steer\.test\.ts/);
    expect(numbers(interpret(scaled(true)().graph, inputs).x)).toEqual([1, 1, 1]);
  });

  test("refuses what does not fit the arguments", () => {
    const made = (backward: (ct: Tensor) => unknown) => () =>
      compile({ x: f32(3) }, ({ x }) => customGradient((p: { a: Tensor }) => p.a.exp(), backward as never)({ a: x }));
    expect(made((ct) => ct)).toThrow(/backward returned a tensor f32\[3\].*\[bad-gradient\]/s);
    expect(made((ct) => [{ a: ct.sum() }])).toThrow(/cotangent of argument 0\.a is a tensor f32\[\]/);
    expect(made((ct) => [ct])).toThrow(/cotangent of argument 0 is a tensor/);
    expect(made((ct) => [{ a: ct }, ct])).toThrow(/called with 1 argument/);
    expect(() => compile({ x: f32(3) }, ({ x }) => checkpoint((() => 3) as never)(x as never) as Tensor)).toThrow(
      /returned no tensor but the number 3/,
    );
    expect(() => compile({ x: f32(3) }, ({ x }) => checkpoint(x as never)() as Tensor)).toThrow(/takes a function/);
  });
});
