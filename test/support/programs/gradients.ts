import {
  checkpoint,
  compile,
  f32,
  gatherElements,
  grad,
  i32,
  matmul,
  reduce,
  type Tensor,
  valueAndGrad,
} from "../../../src/index.ts";
import type { Listed } from "./listed.ts";

/** Derived programs with ops that only derivatives have. */
export const gradientPrograms: readonly Listed[] = [
  [
    "gradient of a reduce whose combine does not commute, over two axes",
    compile({ a: f32(3, 5, 7), b: f32(3, 5, 7) }, ({ a, b }) =>
      grad((p: { a: Tensor; b: Tensor }) => {
        const [x, y] = reduce([p.a.tanh(), p.b], {
          axes: [0, 2],
          identity: [1, 0],
          combine: ([a, b], [c, d]) => [a.mul(c), b.mul(c).add(d)],
        });
        return x.add(y.mul(y)).sum();
      })({ a, b }),
    ),
  ],
  [
    "gradients through checkpoint, prod, max, cumSum and gatherElements",
    compile({ w: f32(6, 9), x: f32(4, 6), ids: i32(4, 9) }, ({ w, x, ids }) =>
      valueAndGrad((p: Tensor) => {
        const h = checkpoint((v: Tensor) => matmul(x, v).tanh())(p);
        const picked = gatherElements(h.cumSum({ axis: 1 }), ids, { axis: 1 });
        return h
          .max({ axes: [0] })
          .sum()
          .add(h.prod({ axes: [0] }).sum())
          .add(picked.mul(picked).mean());
      })(w),
    ),
  ],
];
