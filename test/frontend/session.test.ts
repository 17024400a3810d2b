import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  compile,
  dim,
  f16,
  f32,
  type Gpu,
  type GpuTensor,
  i32,
  openDevice,
  tensor,
  warmup,
} from "../../src/node/index.ts";
import { loadManifest, manifestFromJson, manifestToJson } from "../../src/node/runtime.ts";

let gpu: Gpu;
beforeAll(async () => {
  gpu = await openDevice();
});
afterAll(() => gpu.dispose());

const T = dim("T");
const double = compile({ x: f32(T) }, ({ x }) => x.mul(2));
const sum = compile({ x: f32(T), y: f32(T) }, ({ x, y }) => ({ z: x.add(y) }));

const mapEntries = <A, B>(tree: Record<string, A>, fn: (a: A) => B) =>
  Object.fromEntries(Object.entries(tree).map(([name, a]) => [name, fn(a)] as const));

describe("a session", () => {
  test("takes and gives trees", async () => {
    const program = compile(
      { x: f32(2), layers: [{ w: f32(2, 2) }, { w: f32(2, 2) }] },
      ({ x, layers }) => ({ all: layers.map(({ w }) => x.matmul(w)), last: { x: x.add(1) } }),
      { weights: ["layers"] },
    );
    const weights = {
      layers: [
        { w: [1, 0, 0, 1] },
        {
          w: [
            [0, 1],
            [1, 0],
          ],
        },
      ],
    } as const;
    using session = await program.load(gpu, { weights });
    const out = await session.run({ x: [3, 4] });
    expect(await out.all[0]?.data()).toEqual(new Float32Array([3, 4]));
    expect(await out.all[1]?.data()).toEqual(new Float32Array([4, 3]));
    expect(await out.last.x.data()).toEqual(new Float32Array([4, 5]));
    expect(out.last.x.shape).toEqual([2]);
  });

  test("takes and gives tensors with the names of what every object has", async () => {
    const names = ["constructor", "toString", "valueOf", "hasOwnProperty", "__proto__", "then"];
    const of = <V>(value: (i: number) => V) =>
      Object.fromEntries(names.map((name, i) => [name, value(i)])) as Record<string, V>;
    const program = compile(
      { x: of(() => f32()), total: f32() },
      ({ x, total }) => ({ ...mapEntries(x, (t) => t.mul(2)), total: total.add(1) }),
      { donate: ["total"] },
    );
    using session = await program.load(gpu, { state: { total: 0 } });
    const run = (i: number) => ({ x: of((n) => n + i) });
    const out = (await session.run(run(1))) as unknown as Record<string, GpuTensor>;
    expect(Object.keys(out)).toEqual([...names, "total"]);
    const batch = session.batch();
    const later = batch.run(session, run(2)) as unknown as Record<string, GpuTensor>;
    await batch.submit();
    for (const [n, name] of names.entries()) {
      expect(await out[name]?.data(), name).toEqual(Float32Array.of(2 * (n + 1)));
      expect(await later[name]?.data(), name).toEqual(Float32Array.of(2 * (n + 2)));
    }
    expect(await session.state.total.data()).toEqual(Float32Array.of(2));
  });

  test("can be had from a manifest alone, by way of a file", async () => {
    const program = compile({ x: f32(T, 2), w: f32(2) }, ({ x, w }) => ({ y: x.mul(w).softmax() }), { weights: ["w"] });
    const json = manifestToJson(program.manifest({ dims: { T: 2 } }));
    using session = await loadManifest(gpu, manifestFromJson(json), { weights: { w: [0, 1] } });
    const { y } = await session.run({ x: [5, 0, 7, Math.log(3)] });
    const got = (await y?.data()) as Float32Array;
    expect([...got].map((v) => Number(v.toFixed(5)))).toEqual([0.5, 0.5, 0.25, 0.75]);
    expect(() => program.manifest()).toThrow(/dim T .*no size[\s\S]*manifest\(\{ dims: \{ T: … \} \}\)/);
    expect(() => program.manifest({ dims: { U: 2 } })).toThrow(/"U"/);
    const { kernels } = await warmup(gpu, program.manifest({ dims: { T: 3 }, capabilities: gpu.capabilities }));
    expect(kernels).toBe(1);
  });

  test("takes host tensors, GPU tensors and one tensor alone", async () => {
    const program = compile(i32(2, 2), (x) => x.transpose());
    using session = await program.load(gpu);
    const once = await session.run(tensor(new Int32Array([1, 2, 3, 4]), [2, 2]));
    expect(await once.data()).toEqual(new Int32Array([1, 3, 2, 4]));
    expect(await (await session.run(once)).data()).toEqual(new Int32Array([1, 2, 3, 4]));
    await expect(session.run(tensor(new Int32Array(4)))).rejects.toThrow(/"in" has shape \[2, 2\].*\[4\]/s);
    await expect(session.run(tensor(new Float32Array(4), [2, 2]))).rejects.toThrow(/"in" is i32.*is f32/s);
  });

  test("f16 is given and returned as floats", async () => {
    using session = await compile({ x: f16(3) }, ({ x }) => x.add(0.1)).load(gpu);
    const out = await session.run({ x: new Float32Array([0, 1, -0.5]) });
    expect(await out.data()).toEqual(new Float32Array([0.0999755859375, 1.099609375, -0.39990234375]));
  });

  test("keeps state between runs", async () => {
    const program = compile(
      { opt: { n: f32(), m: f32(2) }, x: f32(2) },
      ({ opt, x }) => ({
        opt: { n: opt.n.add(1), m: opt.m.add(x) },
        mean: opt.m.add(x).div(opt.n.add(1)),
      }),
      { donate: ["opt"] },
    );
    using session = await program.load(gpu, { state: { opt: { n: 0, m: [0, 0] } } });
    await session.run({ x: [1, 2] });
    const out = await session.run({ x: [3, 6] });
    expect(await out.mean.data()).toEqual(new Float32Array([2, 4]));
    expect(await session.state.opt.n.data()).toEqual(new Float32Array([2]));
    expect(await out.opt.m.data()).toEqual(new Float32Array([4, 8]));
    await session.setState({ opt: { n: 10 } } as never);
    expect(await session.state.opt.n.data()).toEqual(new Float32Array([10]));
    expect(await session.state.opt.m.data()).toEqual(new Float32Array([4, 8]));
  });

  test("named dims are bound at load", async () => {
    using session = await double.load(gpu, { dims: { T: 3 } });
    expect(session.dims).toEqual({ T: 3 });
    expect(await (await session.run({ x: [1, 2, 3] })).data()).toEqual(new Float32Array([2, 4, 6]));
    await expect(double.load(gpu)).rejects.toThrow(
      /dim T of the program has no size.*load\(gpu, \{ dims: \{ T: … \} \}\)/s,
    );
    await expect(double.load(gpu, { dims: { T: 2, U: 1 } })).rejects.toThrow(/no dim "U"/);
    await expect(double.load(gpu, { dims: { T: 1.5 } })).rejects.toThrow(/the size of dim T cannot be 1.5/);
  });

  test("what does not fit once dims are bound is an error at the op", async () => {
    const program = compile({ x: f32(T), y: f32(4) }, ({ x, y }) => x.add(y));
    const error = await program.load(gpu, { dims: { T: 3 } }).catch((e) => e);
    expect(error.message).toMatch(/shapes \[3\] and \[4\] do not broadcast/);
    expect(error.message).toContain("session.test.ts");
    expect(error.message).toContain("=> x.add(y));");
  });
});

describe("inputs that do not fit are refused by path", () => {
  const program = compile(
    { x: f32(2), p: { a: f32(2), b: f32(2) }, s: f32(2) },
    ({ x, p, s }) => ({ y: x.add(p.a).add(p.b), s }),
    { weights: ["p"], donate: ["s"] },
  );
  const load = (options: object) => () => program.load(gpu, options as never);
  const state = { s: [0, 0] };
  const weights = { p: { a: [0, 0], b: [0, 0] } };

  test("at load", async () => {
    await expect(load({ state })).rejects.toThrow(/load\(\{ weights \}\) lacks "p.a" \(f32\[2\]\), "p.b" \(f32\[2\]\)/);
    await expect(load({ weights })).rejects.toThrow(/load\(\{ state \}\) lacks "s"/);
    await expect(load({ state, weights: { p: { a: [0, 0], bb: [0, 0] } } })).rejects.toThrow(
      /"p.bb".*did you mean "b"/s,
    );
    await expect(load({ state, weights: { ...weights, x: [0, 0] } })).rejects.toThrow(/got "x".*give it to run/s);
    await expect(load({ state, weights: { p: [0, 0] } })).rejects.toThrow(/"p.0", "p.1"/);
    await expect(load({ state, weights: { p: new Float32Array(4) } })).rejects.toThrow(
      /"p" takes an object of values, not a Float32Array/,
    );
    await expect(load({ state, weights: { p: { a: [0, 0], b: [0] } } })).rejects.toThrow(
      /"p.b" \(f32\[2\]\) has 2 elements, and 1 were given/,
    );
    await expect(load({ state, weights, fuse: "none" })).rejects.toThrow(/fuse cannot be "none"/);
    await expect(load({ state, weights, wieghts: 1 })).rejects.toThrow(/no option "wieghts".*"weights"/s);
  });

  test("at run", async () => {
    using session = await program.load(gpu, { state: { s: [0, 0] }, weights: { p: { a: [0, 0], b: [0, 0] } } });
    const run = (inputs: unknown) => () => session.run(inputs as never);
    await expect(run({})).rejects.toThrow(/run lacks "x" \(f32\[2\]\)/);
    await expect(run(undefined)).rejects.toThrow(/run lacks "x"/);
    await expect(run({ x: [1, 2], y: 3 })).rejects.toThrow(/run got "y"/);
    await expect(run({ x: [1, 2], s: [1, 2] })).rejects.toThrow(/got "s".*give it to load\(\{ state \}\)/s);
    await expect(run({ x: new Float32Array(3) })).rejects.toThrow(/"x" \(f32\[2\]\) has 2 elements, and 3 were given/);
    await run({ x: new Float64Array(2) })();
    await expect(run(new Float32Array(2))).rejects.toThrow(/run takes an object of values, not a Float32Array/);
    session.dispose();
    await expect(run({ x: [1, 2] })).rejects.toThrow(/disposed/);
  });
});

describe("a batch", () => {
  test("runs programs of several sizes and chains their results, in one submit", async () => {
    using session = await sum.load(gpu, { dims: { T: 2 } });
    const warm = session.batch();
    warm.run(double, { x: [1, 2, 3] });
    warm.run(double, { x: [1, 2] });
    await warm.submit();

    const before = gpu.counters.snapshot();
    const batch = session.batch();
    const x = new Float32Array([1, 2, 3]);
    const three = batch.run(double, { x });
    x.fill(9);
    const two = batch.run(double, { x: tensor([5, 6]) });
    const other = batch.run(double, { x: two });
    const z = batch.run(session, { x: two, y: other }).z;
    expect(z.shape).toEqual([2]);
    expect(three.dtype).toBe("f32");
    await batch.submit();
    const after = gpu.counters.snapshot();
    expect(after.submits - before.submits).toBe(1);
    expect(after.pipelines - before.pipelines).toBe(0);
    expect(await three.data()).toEqual(new Float32Array([2, 4, 6]));
    expect(await other.data()).toEqual(new Float32Array([20, 24]));
    expect(await z.data()).toEqual(new Float32Array([30, 36]));
    expect(await (await session.run({ x: z, y: [1, 1] })).z.data()).toEqual(new Float32Array([31, 37]));
  });

  test("runs of a session see its state one after the other", async () => {
    const count = compile({ n: f32(), x: f32() }, ({ n, x }) => ({ n: n.add(x), before: n.mul(1) }), { donate: ["n"] });
    using session = await count.load(gpu, { state: { n: 0 } });
    const batch = session.batch();
    const first = batch.run(session, { x: 1 });
    const second = batch.run(session, { x: first.n });
    await expect(second.n.data()).rejects.toThrow(/not been submitted/);
    await batch.submit();
    expect(await first.before.data()).toEqual(new Float32Array([0]));
    expect(await second.before.data()).toEqual(new Float32Array([1]));
    expect(await second.n.data()).toEqual(new Float32Array([2]));
    second.n.dispose();
    expect(await session.state.n.data()).toEqual(new Float32Array([2]));
  });

  test("tells what dims cannot be told", async () => {
    using session = await double.load(gpu, { dims: { T: 1 } });
    const batch = session.batch();
    const square = compile({ x: f32(T, dim("U")) }, ({ x }) => x.sum({ axes: 0 }));
    expect(() => batch.run(square, { x: new Float32Array(6) })).toThrow(
      /dims T, U of the program have no size.*tensor\(data, shape\)/s,
    );
    const h = batch.run(square, { x: new Float32Array([1, 2, 3, 4, 5, 6]) }, { dims: { T: 2 } });
    expect(h.shape).toEqual([3]);
    expect(() => batch.run(sum, { x: [1, 2], y: tensor([1, 2, 3]) })).toThrow(
      /"x" \(f32\[3\]\) has 3 elements, and 2 were given/,
    );
    expect(() => batch.run(sum, { x: tensor([[1, 2]]), y: [1] })).toThrow(
      /"x" is declared \[T\] but has shape \[1, 2\]/,
    );
    expect(() => batch.run(sum, { x: h, y: tensor([1, 2]) })).toThrow(/dim T is 3 by "x" but 2 by "y"/);
    expect(() =>
      batch.run(
        compile({ x: i32(3) }, ({ x }) => x),
        { x: h },
      ),
    ).toThrow(/"x" is i32\[3\], and.* f32\[3\]/);
    expect(() => batch.run(double, { x: ["1"] as never })).toThrow(/"x".*"1" inside its list/);
    await batch.submit();
    expect(await h.data()).toEqual(new Float32Array([5, 7, 9]));
  });

  test("refuses handles that are not ready or not its own", async () => {
    using session = await double.load(gpu, { dims: { T: 2 } });
    const [a, b] = [session.batch(), session.batch()];
    const h = a.run(double, { x: [1, 2] });
    await expect(h.data()).rejects.toThrow(/"out" is a result of a batch that has not been submitted/);
    await expect(session.run({ x: h })).rejects.toThrow(/not been submitted/);
    expect(() => b.run(double, { x: h })).toThrow(/"x" is a result of another batch/);
    h.dispose();
    expect(() => a.run(double, { x: h })).toThrow(/was disposed/);
    await a.submit();
    await expect(a.submit()).rejects.toThrow(/already submitted/);
    expect(() => a.run(double, { x: [1, 2] })).toThrow(/already submitted/);
  });

  test("refuses what is neither a session nor a program", async () => {
    using session = await double.load(gpu, { dims: { T: 2 } });
    const batch = session.batch();
    for (const what of [undefined, {}, () => double]) {
      expect(() => batch.run(what as never, {} as never)).toThrow(/a batch runs a session or a program, not/);
    }
    batch.run(double, { x: [1, 2] });
    await expect(batch.submit({ signal: 1 as never })).rejects.toMatchObject({ code: "bad-option" });
    await batch.submit();
  });

  test("refuses programs that must be loaded first", async () => {
    using session = await double.load(gpu, { dims: { T: 2 } });
    const weighted = compile({ x: f32(2), w: f32(2) }, ({ x, w }) => x.mul(w), { weights: ["w"] });
    expect(() => session.batch().run(weighted, { x: [1, 2] })).toThrow(/weight "w" and was not loaded/);
    session.dispose();
    expect(() => session.batch()).toThrow(/disposed/);
  });
});
