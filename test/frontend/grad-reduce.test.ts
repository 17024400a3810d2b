import { describe, expect, test } from "vitest";
import { compile, dim, f32, grad, iota, reduce, type Tensor, where } from "../../src/index.ts";
import { bindGraph } from "../../src/ir/graph.ts";
import { interpret } from "../../src/ir/interpret.ts";
import { ndarray } from "../../src/ir/ndarray.ts";
import { optimise } from "../../src/passes/pipeline.ts";
import { error, values, worst } from "./grad-support.ts";

const close = 1e-7;
const total = (t: Tensor): Tensor => t.mul(t).sum();
type Axes = { readonly axes?: readonly number[]; readonly keepDims?: boolean };

/** Count, mean and sum of squared deviations. Welford, 1962; Chan, Golub, LeVeque, 1979. */
const moments = (x: Tensor, options: Axes) => {
  const [, mean, squares] = reduce([x.mul(0).add(1), x, x.mul(0)], {
    ...options,
    identity: [0, 0, 0],
    combine: ([n, m, s], [k, p, q]) => {
      const all = n.add(k);
      const share = where(all.greater(0), k.div(where(all.greater(0), all, 1)), 0);
      const d = p.sub(m);
      return [all, m.add(d.mul(share)), s.add(q).add(d.mul(d).mul(n).mul(share))];
    },
  });
  return { mean, squares };
};

const logSumExp = (x: Tensor, options: Axes): Tensor => {
  const [top, sum] = reduce([x, x.mul(0).add(1)], {
    ...options,
    identity: [-1e30, 0],
    combine: ([m, s], [n, t]) => {
      const most = m.max(n);
      return [most, s.mul(m.sub(most).exp()).add(t.mul(n.sub(most).exp()))];
    },
  });
  return top.add(sum.log());
};

/** x → a x + b, one after another: associative, not commutative. */
const affine = (a: Tensor, b: Tensor, options: Axes): readonly [Tensor, Tensor] =>
  reduce([a, b], { ...options, identity: [1, 0], combine: ([a, b], [c, d]) => [a.mul(c), b.mul(c).add(d)] });

describe("the derivative of reduce", () => {
  test.each<readonly [string, Axes]>([
    ["the last axis", { axes: [2] }],
    ["the first axis", { axes: [0], keepDims: true }],
    ["axes side by side", { axes: [1, 2] }],
    ["axes apart", { axes: [0, 2] }],
    ["no axis", { axes: [] }],
    ["all axes", {}],
  ])("over %s: Welford's moments, log-sum-exp and affine maps", (_, options) => {
    const specs = { x: f32(2, 3, 4) };
    const welford = ({ x }: { x: Tensor }): Tensor => {
      const { mean, squares } = moments(x, options);
      return total(mean).add(squares.mul(mean.sin()).sum());
    };
    expect(error(specs, welford)).toBeLessThan(close);
    expect(error(specs, ({ x }: { x: Tensor }) => total(logSumExp(x, options)))).toBeLessThan(close);
    const maps = ({ x, y }: { x: Tensor; y: Tensor }): Tensor => {
      const [a, b] = affine(x, y, options);
      return total(a).add(b.mul(a).sum()).add(b.sum());
    };
    expect(error({ ...specs, y: f32(2, 3, 4) }, maps)).toBeLessThan(close);
  });

  test("of a product of 2 x 2 matrices", () => {
    const f = (p: readonly [Tensor, Tensor, Tensor, Tensor]): Tensor => {
      const [a, b, c, d] = reduce(p, {
        axes: [1],
        identity: [1, 0, 0, 1],
        combine: ([a, b, c, d], [e, f, g, h]) => [
          a.mul(e).add(b.mul(g)),
          a.mul(f).add(b.mul(h)),
          c.mul(e).add(d.mul(g)),
          c.mul(f).add(d.mul(h)),
        ],
      });
      return a.mul(d).sin().add(b.mul(c)).sum();
    };
    expect(error([f32(2, 5), f32(2, 5), f32(2, 5), f32(2, 5)], f)).toBeLessThan(close);
  });

  test("of a product is right beside zeros, where the result tells nothing", () => {
    const program = compile({ x: f32(3, 3) }, ({ x }) =>
      grad((p: Tensor) => reduce([p], { axes: [1], identity: [1], combine: ([a], [b]) => [a.mul(b)] })[0].sum())(x),
    );
    const x = ndarray("f32", [3, 3], [2, 0, 3, 0, 0, 5, 1, 2, 4]);
    expect([...(interpret(program.graph, { x }).out?.data ?? [])]).toEqual([0, 6, 0, 0, 0, 0, 8, 4, 2]);
  });

  test("goes to the element that an argmax picks", () => {
    const f = ({ x, v }: { x: Tensor; v: Tensor }): Tensor => {
      const [, , picked] = reduce([x, iota([2, 5]), v], {
        axes: [1],
        identity: [-1e30, 0, 0],
        combine: ([a, i, v], [b, j, w]) => {
          const first = a.greaterEqual(b);
          return [where(first, a, b), where(first, i, j), where(first, v, w)];
        },
      });
      return total(picked);
    };
    expect(error({ x: f32(2, 5), v: f32(2, 5) }, f)).toBeLessThan(close);
  });

  test("of a sum needs no states before or after", () => {
    const program = compile({ x: f32(3, 4) }, ({ x }) =>
      grad((p: Tensor) => total(reduce([p], { axes: [1], identity: [0], combine: ([a], [b]) => [a.add(b)] })[0]))(x),
    );
    expect(optimise(program.graph).nodes.some((n) => n.op === "exclusiveScan")).toBe(false);
    expect(worst(compileSum().graph, values(compileSum().graph))).toBeLessThan(close);
  });

  test("of its derivative", () => {
    const f = ({ x }: { x: Tensor }): Tensor => {
      const loss = (y: Tensor): Tensor => total(logSumExp(y, { axes: [1] }));
      return total(grad(loss)(x));
    };
    expect(error({ x: f32(2, 5) }, f)).toBeLessThan(1e-6);
  });

  test("along an axis whose size is named", () => {
    const f = ({ x }: { x: Tensor }): Tensor => total(logSumExp(x, { axes: [0, 1] }));
    expect(error({ x: f32(2, dim("T"), 3) }, f, undefined, { T: 4 })).toBeLessThan(close);
  });
});

const compileSum = () => {
  const program = compile({ p: f32(3, 4) }, ({ p }) => {
    const loss = (q: Tensor): Tensor =>
      total(reduce([q], { axes: [1], identity: [0], combine: ([a], [b]) => [a.add(b)] })[0]);
    return { value: loss(p), grad: grad(loss)(p) };
  });
  return { graph: bindGraph(program.graph, {}) };
};
