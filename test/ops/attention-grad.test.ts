import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { pullback } from "../../src/ir/autodiff.ts";
import { type Attrs, GraphBuilder, makeGraph, type Node } from "../../src/ir/graph.ts";
import { interpret } from "../../src/ir/interpret.ts";
import { count, type NDArray, ndarray } from "../../src/ir/ndarray.ts";
import { rowOf } from "../../src/ir/ops.ts";
import { print } from "../../src/ir/print.ts";
import { optimise } from "../../src/passes/pipeline.ts";
import { expectClose, refused, runAll, t, typed } from "./run.ts";

const none = Number.NEGATIVE_INFINITY;

/** Deterministic values that look random. */
const noise = (shape: readonly number[], seed: number): NDArray =>
  ndarray(
    "f32",
    [...shape],
    Array.from({ length: count(shape) }, (_, i) => Math.sin(seed * 12.9898 + i * 78.233) * 1.3),
  );

interface Case {
  readonly q: readonly number[];
  readonly k: readonly number[];
  readonly v: readonly number[];
  readonly mask?: NDArray;
  readonly attrs?: Attrs;
}

type Gradients = Readonly<Record<string, NDArray>>;

/** Gradients of sum(attention * dout) by each argument: by the row's own derivative, or through what attention decomposes to. */
function gradients(c: Case, spelled: boolean, through: (g: ReturnType<typeof makeGraph>) => typeof g = (g) => g) {
  const b = new GraphBuilder();
  const given: Record<string, NDArray> = { q: noise(c.q, 1), k: noise(c.k, 2), v: noise(c.v, 3) };
  if (c.mask) given.mask = c.mask;
  const args = Object.entries(given).map(([name, x]) => b.input(name, x));
  const attrs = { causal: false, ...c.attrs };
  const out = spelled ? (rowOf("attention").decompose?.(b, args, attrs) as Node) : b.add("attention", args, attrs);
  given.dout = noise(out.type.shape as number[], 4);
  const dout = b.input("dout", out.type);
  const made = pullback(b, [out], [dout], args);
  const outputs = [
    { name: "out", node: out },
    ...made.map((node, i) => ({ name: `d${Object.keys(given)[i]}`, node: node as Node })),
  ];
  const graph = through(makeGraph([...args, dout], outputs));
  return { graph, values: interpret(graph, given) as Gradients };
}

const same = (c: Case): void => {
  const [got, want] = [gradients(c, false).values, gradients(c, true).values];
  expect(Object.keys(got)).toEqual(Object.keys(want));
  for (const [name, x] of Object.entries(want)) expectClose(got[name] as NDArray, x.data, 1e-9, 1e-11);
};

describe("the gradient of attention", () => {
  it("is that of what it decomposes to: any heads, lengths, depths, batch axes, masks", () => {
    const sizes = fc.record({
      lead: fc.array(fc.integer({ min: 1, max: 2 }), { maxLength: 2 }),
      heads: fc.integer({ min: 1, max: 2 }),
      group: fc.integer({ min: 1, max: 3 }),
      T: fc.integer({ min: 1, max: 4 }),
      more: fc.integer({ min: -2, max: 3 }),
      D: fc.constantFrom(1, 2, 3, 5),
      Dv: fc.constantFrom(1, 2, 4, 7),
      causal: fc.boolean(),
      scale: fc.constantFrom(undefined, 1, -0.5),
      mask: fc.constantFrom("none", "row", "each", "full"),
    });
    fc.assert(
      fc.property(sizes, ({ lead, heads, group, T, more, D, Dv, causal, scale, mask }) => {
        const S = Math.max(causal ? T : 1, T + more);
        const masks = { none: [], row: [S], each: [1, T, 1], full: [...lead, heads * group, T, S] }[mask];
        same({
          q: [...lead, heads * group, T, D],
          k: [...lead, heads, S, D],
          v: [...lead, heads, S, Dv],
          ...(mask === "none" ? {} : { mask: noise(masks, 5) }),
          attrs: { causal, ...(scale === undefined ? {} : { scale }) },
        });
      }),
      { numRuns: 40, seed: 7 },
    );
  });

  it("is that of what it decomposes to where there are no features, values or keys", () => {
    same({ q: [4, 2, 0], k: [2, 3, 0], v: [2, 3, 5], attrs: { scale: 1, causal: true } });
    same({ q: [4, 2, 3], k: [2, 3, 3], v: [2, 3, 0], mask: noise([3], 5) });
    same({ q: [4, 2, 3], k: [2, 0, 3], v: [2, 0, 5] });
  });

  it("is what central differences give", () => {
    const c: Case = { q: [2, 3, 3], k: [1, 4, 3], v: [1, 4, 2], mask: noise([3, 4], 9), attrs: { causal: true } };
    const { graph, values } = gradients(c, false);
    const given: Record<string, NDArray> = {
      q: noise(c.q, 1),
      k: noise(c.k, 2),
      v: noise(c.v, 3),
      mask: c.mask as NDArray,
    };
    const dout = noise([2, 3, 2], 4);
    const loss = (name: string, i: number, by: number): number => {
      const x = given[name] as NDArray;
      const moved = { ...x, data: x.data.with(i, (x.data[i] as number) + by) };
      const { out } = interpret(graph, { ...given, [name]: moved, dout });
      return (out as NDArray).data.reduce((s, y, j) => s + y * (dout.data[j] as number), 0);
    };
    for (const [name, x] of Object.entries(given)) {
      const by = Array.from(x.data, (_, i) => (loss(name, i, 1e-6) - loss(name, i, -1e-6)) / 2e-6);
      expectClose(values[`d${name}`] as NDArray, by, 1e-5, 1e-8);
    }
  });

  it("is 0 where a query sees no key, and where a key is hidden", () => {
    const mask = t([
      [0, none, 1],
      [none, none, none],
    ]);
    const { values } = gradients({ q: [1, 2, 2], k: [1, 3, 2], v: [1, 3, 2], mask }, false);
    const { dq, dk, dv, out } = values as Record<string, NDArray>;
    expect([...(out as NDArray).data.slice(2)]).toEqual([0, 0]);
    expect([...(dq as NDArray).data.slice(2)].map(Math.abs)).toEqual([0, 0]);
    for (const x of [dk, dv]) expect([...(x as NDArray).data.slice(2, 4)].map(Math.abs)).toEqual([0, 0]);
    for (const x of [dq, dk, dv]) expect((x as NDArray).data.every(Number.isFinite)).toBe(true);
  });

  it("runs the forward pass once", () => {
    for (const mask of [undefined, noise([3, 4], 9)]) {
      const { graph } = gradients(
        { q: [2, 3, 3], k: [1, 4, 3], v: [1, 4, 2], ...(mask ? { mask } : {}) },
        false,
        optimise,
      );
      const kept = graph.nodes.map((n) => n.op).filter((op) => op.startsWith("attention"));
      expect(kept, print(graph)).toEqual(["attentionStats", "attentionGradQuery", "attentionGradKeyValue"]);
    }
  });
});

describe("attentionStats", () => {
  it("gives attention and the logarithm of the sum of exponentials", () => {
    const [q, k, v] = [noise([2, 3, 4], 1), noise([2, 5, 4], 2), noise([2, 5, 3], 3)];
    const [out, lse] = runAll("attentionStats", [q, k, v], { causal: true, scale: 0.7 }) as [NDArray, NDArray];
    expectClose(out, (runAll("attention", [q, k, v], { causal: true, scale: 0.7 })[0] as NDArray).data);
    const want = Array.from({ length: 6 }, (_, r) => {
      const [h, i] = [Math.floor(r / 3), r % 3];
      let sum = 0;
      for (let j = 0; j <= i + 2; j++) {
        let dot = 0;
        for (let d = 0; d < 4; d++) dot += (q.data[r * 4 + d] as number) * (k.data[(h * 5 + j) * 4 + d] as number);
        sum += Math.exp(0.7 * dot);
      }
      return Math.log(sum);
    });
    expectClose(lse, want);
  });
  it("of a row of -inf is 0 and the largest f32, at any score less than it a weight of 0", () => {
    const [out, lse] = runAll("attentionStats", [t([[[1]]]), t([[[1]]]), t([[[5]]]), t([[none]])]) as [
      NDArray,
      NDArray,
    ];
    expect([out.data[0], lse.data[0]]).toEqual([0, Math.fround(3.4028234663852886e38)]);
  });
});

describe("the rows of the gradient", () => {
  const [q, k, v] = [
    [4, 3, 8],
    [2, 5, 8],
    [2, 5, 6],
  ] as const;
  it("infer their results", () => {
    const query = typed("attentionGradQuery", [q, k, v, [4, 3], [4, 3, 6]], {});
    expect(query.results?.map((r) => r.shape)).toEqual([q, [4, 2, 3]]);
    const keys = typed("attentionGradKeyValue", [q, k, v, [4, 2, 3], [4, 3, 6]], {});
    expect(keys.results?.map((r) => r.shape)).toEqual([k, v]);
  });
  it("refuse what does not fit", () => {
    refused("shape-mismatch", "attentionGradQuery", [q, k, v, [4, 5], [4, 3, 6]]);
    refused("shape-mismatch", "attentionGradQuery", [q, k, v, [4, 3], [4, 3, 8]]);
    refused("dtype-mismatch", "attentionGradQuery", [q, k, v, ["f16", 4, 3], [4, 3, 6]]);
    refused("shape-mismatch", "attentionGradQuery", [q, k, v, [4, 3], [4, 3, 6], [4, 3, 8]], { has: [1] });
    refused("shape-mismatch", "attentionGradKeyValue", [q, k, v, [4, 3], [4, 3, 6]]);
    refused("shape-mismatch", "attentionGradMask", [q, k, v, [4, 2, 3], [4, 3, 6], [4, 3, 6]]);
  });
});
