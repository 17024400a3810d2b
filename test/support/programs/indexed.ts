import {
  bernoulli,
  compile,
  cumSum,
  embedding,
  f32,
  gather,
  gatherElements,
  gatherND,
  i32,
  normal,
  oneHot,
  rope,
  scatterAdd,
  scatterElements,
  scatterND,
  u32,
  uniform,
  where,
} from "../../../src/index.ts";
import type { Listed } from "./listed.ts";

/** Gather, scatter, running sums, positions and random numbers. */
export const indexedPrograms: readonly Listed[] = [
  [
    "embedding, gather and oneHot",
    compile({ table: f32(29, 12), ids: i32(3, 5), u: u32(4) }, ({ table, ids, u }) => ({
      e: embedding(table, ids).mul(2),
      g: gather(table, u, { axis: 1 }),
      h: oneHot(ids, { depth: 6, axis: 1, on: 3, off: -1 }),
    })),
    { ranges: { ids: [-35, 35], u: [0, 12] } },
  ],
  [
    "gatherElements and gatherND",
    compile({ x: f32(6, 7, 5), i: i32(6, 3, 5), p: i32(4, 2) }, ({ x, i, p }) => ({
      e: gatherElements(x, i, { axis: 1 }),
      n: gatherND(x, p).add(1),
    })),
  ],
  [
    "scatters",
    compile(
      { x: f32(6, 5), i: i32(4, 5), u: f32(4, 5), n: i32(3, 1), w: f32(3, 5), ids: i32(9), g: f32(9, 5) },
      (t) => ({
        set: scatterElements(t.x, t.i, t.u, { axis: 0 }),
        most: scatterElements(t.x, t.i, t.u, { axis: 0, reduction: "max" }),
        nd: scatterND(t.x, t.n, t.w, { reduction: "mul" }),
        add: scatterAdd(t.x.mul(0), t.ids, t.g).add(t.x),
      }),
    ),
  ],
  [
    "running sums",
    compile({ x: f32(5, 40), i: i32(3, 8, 2) }, ({ x, i }) => ({
      a: cumSum(x.mul(2)),
      b: cumSum(x, { axis: 0, exclusive: true, reverse: true }),
      c: cumSum(i, { axis: 1 }),
    })),
  ],
  [
    "rotary positions",
    compile({ x: f32(2, 7, 8), p: i32(7) }, ({ x, p }) => ({
      a: rope(x, p),
      b: rope(x, p, { pairing: "neighbours", base: 100 }),
    })),
    { ranges: { p: [0, 64] } },
  ],
  [
    "random numbers",
    compile({ seed: u32(2), x: f32(6, 9) }, ({ seed, x }) => ({
      u: uniform(seed, [6, 9]),
      n: normal(seed, [33], { mean: 1, std: 2 }),
      dropped: where(bernoulli(seed, [6, 9], { p: 0.75 }), x.div(0.75), 0),
    })),
  ],
];
