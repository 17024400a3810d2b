import { expectTypeOf, test } from "vitest";
import {
  type Batch,
  type BatchTensor,
  compile,
  f32,
  type Gpu,
  type GpuTensor,
  i32,
  reduce,
  type Session,
  type Tensor,
  type Value,
} from "../../src/index.ts";

// Checked by tsc; the functions are never called.

test("the traced function gets the tree of its specs", () => {
  compile({ x: f32(8), layers: [{ w: i32() }], pair: [f32(), i32()] }, (t) => {
    expectTypeOf(t.x).toEqualTypeOf<Tensor>();
    expectTypeOf(t.layers[0].w).toEqualTypeOf<Tensor>();
    expectTypeOf(t.pair).toEqualTypeOf<readonly [Tensor, Tensor]>();
    // @ts-expect-error there is no input y
    t.y;
    return t.x;
  });
  compile(f32(), (x) => {
    expectTypeOf(x).toEqualTypeOf<Tensor>();
    return x;
  });
});

test("methods and functions chain, options are checked", () => {
  compile({ x: f32(8, 4) }, ({ x }) => {
    expectTypeOf(
      x
        .add(1)
        .gelu({ approximate: "tanh" })
        .sum({ axes: [1] }),
    ).toEqualTypeOf<Tensor>();
    expectTypeOf(x.split({ axis: 0, parts: 2 })).toEqualTypeOf<Tensor[]>();
    expectTypeOf(x.add).parameter(0).toEqualTypeOf<Tensor | number | boolean>();
    const states = () => reduce([x, x], { identity: [0, 0], combine: ([a, b], [c, d]) => [a.add(c), b.add(d)] });
    expectTypeOf(states).returns.toEqualTypeOf<[Tensor, Tensor]>();
    const wrong = () => {
      // @ts-expect-error the option is `axes`
      x.sum({ axs: [1] });
      // @ts-expect-error one result for each state
      reduce([x, x], { identity: [0, 0], combine: ([a]) => [a] });
    };
    expectTypeOf(wrong).toBeFunction();
    return x;
  });
});

test("run takes what is neither weight nor state, and gives the tree of results", () => {
  const program = compile(
    { x: f32(8), n: { a: f32(), b: f32() }, w: f32(8), s: f32(8) },
    ({ x, w, s }) => ({ y: [x, w], s: s.add(1) }),
    { weights: ["w"], donate: ["s"] },
  );
  const use = async (gpu: Gpu) => {
    const data = new Float32Array(8);
    const session = await program.load(gpu, { weights: { w: data }, state: { s: data } });
    const out = await session.run({ x: data, n: { a: 1, b: 2 } });
    expectTypeOf(out.y).toEqualTypeOf<GpuTensor[]>();
    expectTypeOf(out.s).toEqualTypeOf<GpuTensor>();
    expectTypeOf(session.state.s).toEqualTypeOf<GpuTensor>();
    // @ts-expect-error n.b is missing
    await session.run({ x: data, n: { a: 1 } });
    // @ts-expect-error w is a weight
    await session.run({ x: data, n: { a: 1, b: 2 }, w: data });
    // @ts-expect-error state is missing
    await program.load(gpu, { weights: { w: data } });
    // @ts-expect-error weights are missing
    await program.load(gpu);
  };
  expectTypeOf(use).toBeFunction();
});

test("parts of a tree as weights", () => {
  const program = compile({ p: { w: f32(2), b: f32(2) } }, ({ p }) => p.w.add(p.b), { weights: ["p.w"] });
  const use = async (gpu: Gpu) => {
    const session = await program.load(gpu, { weights: { p: { w: [1, 2] } } });
    expectTypeOf(await session.run({ p: { b: [1, 2] } })).toEqualTypeOf<GpuTensor>();
  };
  expectTypeOf(use).toBeFunction();
  // @ts-expect-error there is no input q
  const wrong = () => compile({ p: f32(2) }, ({ p }) => p, { weights: ["q"] });
  expectTypeOf(wrong).toBeFunction();
});

test("batches give trees of handles, for programs and sessions", () => {
  const program = compile({ x: f32(8) }, ({ x }) => ({ y: x }));
  const use = (batch: Batch, session: Session<{ x: ReturnType<typeof f32> }, Tensor>) => {
    const h = batch.run(program, { x: new Float32Array(8) });
    expectTypeOf(h).toEqualTypeOf<{ y: BatchTensor }>();
    expectTypeOf(batch.run(session, { x: h.y })).toEqualTypeOf<BatchTensor>();
    // @ts-expect-error x is missing
    batch.run(program, {});
  };
  expectTypeOf(use).toBeFunction();
  expectTypeOf<number>().toExtend<Value>();
});
