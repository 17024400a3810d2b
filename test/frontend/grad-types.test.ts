import { expectTypeOf, test } from "vitest";
import {
  checkpoint,
  compile,
  customGradient,
  f32,
  grad,
  i32,
  matmul,
  type Tensor,
  valueAndGrad,
} from "../../src/index.ts";

// Checked by tsc; the functions are never called.

test("a gradient has the type of the parameters", () => {
  compile({ p: { w: f32(2, 2), layers: [{ b: f32(2) }] }, x: f32(2, 2), n: i32() }, ({ p, x, n }) => {
    const loss = (q: typeof p): Tensor => matmul(x, q.w).add(q.layers[0].b).sum();
    const made = valueAndGrad(loss)(p);
    expectTypeOf(made.value).toEqualTypeOf<Tensor>();
    expectTypeOf(made.grad).toEqualTypeOf<typeof p>();
    expectTypeOf(grad(loss)(p)).toEqualTypeOf<typeof p>();
    expectTypeOf(grad((y: Tensor) => y.sum())(x)).toEqualTypeOf<Tensor>();

    // Without an annotation the parameters are what the function is called with.
    const open = valueAndGrad((q) => matmul(x, q.w).sum())(p);
    expectTypeOf(open.value).toEqualTypeOf<Tensor>();
    expectTypeOf(open.grad).toEqualTypeOf<typeof p>();

    const aux = valueAndGrad((q: typeof p, k: number) => [loss(q), { k, n }] as const, { aux: true })(p, 3);
    expectTypeOf(aux.aux).toEqualTypeOf<{ readonly k: number; readonly n: Tensor }>();
    expectTypeOf(aux.grad).toEqualTypeOf<typeof p>();
    const pair = grad((q: typeof p) => [loss(q), "note"] as const, { aux: true })(p);
    expectTypeOf(pair.aux).toEqualTypeOf<"note">();

    const wrong = () => {
      // @ts-expect-error the second argument is a number
      valueAndGrad((q: typeof p, k: number) => loss(q).mul(k))(p, "3");
      // @ts-expect-error the parameters lack layers
      valueAndGrad(loss)({ w: x });
      // @ts-expect-error the loss is a tensor
      valueAndGrad((q: typeof p) => [loss(q), 3] as const);
    };
    expectTypeOf(wrong).toBeFunction();
    return made;
  });
});

test("checkpoint and customGradient keep the function's type", () => {
  const f = (x: Tensor, o: { readonly scale: number }) => ({ y: x.mul(o.scale), o });
  expectTypeOf(checkpoint(f)).toEqualTypeOf<typeof f>();
  const g = customGradient(f, (ct, { args: [x, o], result }) => {
    expectTypeOf(ct.y).toEqualTypeOf<Tensor>();
    expectTypeOf(x).toEqualTypeOf<Tensor>();
    expectTypeOf(result).toEqualTypeOf<ReturnType<typeof f>>();
    return [ct.y.mul(o.scale)];
  });
  expectTypeOf(g).toEqualTypeOf<typeof f>();
});
