import { describe, expect, test } from "vitest";
import { compile, f16, f32, grad, i32, sum, type Tensor, u32, valueAndGrad } from "../../src/index.ts";
import { adamW, adamWInit, fromNames, gpt2, llama } from "../../src/nn/index.ts";
import { hashParams, largestDifference, relativeNorm, tinyGpt2, tinyLlama } from "../models/hashed.ts";
import { Interpreted } from "./support/interpreted.ts";

/** One run of a program without state, on the interpreter. */
const evaluate = (program: object, inputs: object): Record<string, number[]> =>
  new Interpreted(program as never, {} as never).run(inputs as never);

describe.each([
  ["gpt2", tinyGpt2],
  ["llama", tinyLlama],
])("%s equals PyTorch", (_, { model, weight, size, length, tokens, targets, reference }) => {
  const specs = { params: model.params, tokens: i32(size, length), targets: i32(size, length) };
  const params = hashParams(model.params as never, weight) as object;

  test.each([{}, { checkpoint: true }])("logits, loss and every gradient with %j", async (options) => {
    const program = compile(specs as never, ({ params, tokens, targets }: Record<string, Tensor>) => {
      const { value, grad } = valueAndGrad((p: never) => model.loss(p, tokens as Tensor, targets as Tensor, options))(
        params as never,
      );
      return { loss: value, grad, logits: model.logits(params as never, tokens as Tensor) };
    });
    const out = evaluate(program, { params, tokens, targets });
    const { losses, tensors } = await reference();
    expect(Math.abs((out.loss?.[0] as number) - (losses[0] as number))).toBeLessThan(1e-8);
    // The reference is stored in f32.
    expect(largestDifference(out.logits as number[], tensors.logits?.data as Float32Array)).toBeLessThan(1e-6);
    const names = Object.keys(tensors).filter((n) => n.startsWith("grad."));
    expect(
      Object.keys(out)
        .filter((n) => n.startsWith("grad."))
        .sort(),
    ).toEqual(names.sort());
    for (const n of names) {
      // The key's bias has no gradient: its part is noise on both sides, of 1e-18 here.
      expect(relativeNorm(out[n] as number[], tensors[n]?.data as Float32Array), n).toBeLessThan(1e-6);
    }
  });
});

test("gpt2 takes AdamW steps as PyTorch does", async () => {
  const { model, size, length, tokens, targets } = tinyGpt2;
  const program = compile(
    { params: model.params, opt: adamWInit(model.params), tokens: i32(size, length), targets: i32(size, length) },
    ({ params, opt, tokens, targets }) => {
      const { value: loss, grad } = valueAndGrad((p: typeof params) => model.loss(p, tokens, targets))(params);
      const next = adamW(params, grad, opt, { lr: 1e-3 });
      return { loss, params: next.params, opt: next.state };
    },
    { donate: ["params", "opt"] },
  );
  const params = hashParams(model.params, tinyGpt2.weight);
  const run = new Interpreted(program as never, { params, opt: adamWInit(params) } as never);
  // All 8 steps, and the parameters after them, are compared on the GPU: test/models/gpt2-tiny.test.ts.
  for (const loss of (await tinyGpt2.reference()).losses.slice(0, 2)) {
    expect(Math.abs((run.run({ tokens, targets }).loss?.[0] as number) / loss - 1)).toBeLessThan(1e-7);
  }
});

/** Small models of both kinds, with odd sizes. */
const small = {
  gpt2: gpt2({ layers: 2, width: 6, heads: 3, vocabulary: 11, positions: 9 }),
  llama: llama({ layers: 2, width: 12, hidden: 7, heads: 6, kvHeads: 3, vocabulary: 11 }),
  "llama, neighbours, tied": llama({
    layers: 1,
    width: 12,
    hidden: 7,
    heads: 2,
    kvHeads: 1,
    vocabulary: 11,
    pairing: "neighbours",
    tied: true,
  }),
};

describe.each(Object.entries(small))("%s", (_, model) => {
  const params = hashParams(model.params as never, (name, n) =>
    tinyLlama.weight(name, n).map((x) => (/norm|ln_/.test(name) ? x : 5 * x)),
  ) as object;
  const tokens = Int32Array.from([3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8, 9, 7], (t) => t % 11);
  const whole = evaluate(
    compile({ params: model.params, tokens: i32(2, 7) } as never, ({ params, tokens }: Record<string, Tensor>) => ({
      logits: model.logits(params as never, tokens as Tensor),
    })),
    { params, tokens },
  ).logits as number[];

  test.each([[[1, 1, 1, 1, 1, 1, 1]], [[3, 1, 2, 1]]])(
    "decoding in steps of %j tokens gives the logits of the whole",
    (steps) => {
      const length = 8;
      const programOf = (count: number) =>
        compile(
          {
            params: model.params,
            cache: model.cache(2, length),
            tokens: i32(2, count),
            position: i32(),
          } as never,
          ({ params, cache, tokens, position }: Record<string, Tensor>) =>
            model.decode(params as never, cache as never, tokens as Tensor, position as Tensor) as never,
          { donate: ["cache"] as never[] },
        );
      let state: unknown = model.cache(2, length).map(({ key }) => {
        const zeros = new Float32Array((key.shape as number[]).reduce((a, b) => a * b, 1));
        return { key: zeros, value: zeros };
      });
      let position = 0;
      for (const count of steps) {
        const run = new Interpreted(programOf(count) as never, { cache: state } as never);
        const part = (row: number): Int32Array => tokens.subarray(row * 7 + position, row * 7 + position + count);
        const { logits } = run.run({ params, position, tokens: Int32Array.of(...part(0), ...part(1)) } as never);
        for (const row of [0, 1]) {
          const from = (row * 7 + position) * 11;
          const got = (logits as number[]).slice(row * count * 11, (row + 1) * count * 11);
          expect(largestDifference(got, whole.slice(from, from + count * 11))).toBeLessThan(1e-12);
        }
        state = model.cache(2, length).map((_, i) => ({
          key: run.state.get(`cache.${i}.key`),
          value: run.state.get(`cache.${i}.value`),
        }));
        position += count;
      }
    },
  );

  test("in f16 it is near f32, and its gradients are f32 as the parameters are", () => {
    const program = compile(
      { params: model.params, tokens: i32(2, 7) } as never,
      ({ params, tokens }: Record<string, Tensor>) => {
        const loss = (dtype: "f16" | "f32") => (p: never) =>
          model.loss(p, tokens as Tensor, tokens as Tensor, { dtype });
        return { half: valueAndGrad(loss("f16"))(params as never), single: valueAndGrad(loss("f32"))(params as never) };
      },
    );
    expect(program.graph.outputs.every((o) => o.node.type.dtype === "f32")).toBe(true);
    const out = evaluate(program, { params, tokens });
    for (const [name, half] of Object.entries(out)) {
      if (!name.startsWith("half.")) continue;
      const single = out[name.replace("half", "single")] as number[];
      // Some gradient of every parameter is 0: nothing uses all tokens.
      const error = relativeNorm(half, single);
      expect(error, name).toBeLessThan(0.02);
      expect(half.every(Number.isFinite)).toBe(true);
    }
    expect(out["half.value"]).not.toEqual(out["single.value"]);
  });

  test("dropout changes with the seed and not otherwise, and its rate is data", () => {
    const program = compile(
      { params: model.params, tokens: i32(2, 7), seed: u32(2), rate: f32() } as never,
      ({ params, tokens, seed, rate }: Record<string, Tensor>) =>
        model.logits(params as never, tokens as Tensor, { dropout: { seed: seed as Tensor, rate: rate as Tensor } }),
    );
    const at = (rate: number, seed: number): number[] =>
      evaluate(program, { params, tokens, rate, seed: Uint32Array.of(seed, 0) }).out as number[];
    expect(at(0, 1)).toEqual(whole);
    expect(at(0.5, 1)).toEqual(at(0.5, 1));
    expect(at(0.5, 1)).not.toEqual(at(0.5, 2));
    expect(at(0.5, 1)).not.toEqual(at(0.25, 1));
  });

  test("checkpointed with dropout, the gradients are those without: the mask is drawn again", () => {
    // Two programs, because each call of dropout in a program draws from a stream of its own.
    const [kept, again] = [false, true].map((checkpoint) => {
      const program = compile(
        { params: model.params, tokens: i32(2, 7), seed: u32(2) } as never,
        ({ params, tokens, seed }: Record<string, Tensor>) =>
          grad((p: never) =>
            model.loss(p, tokens as Tensor, tokens as Tensor, {
              checkpoint,
              dropout: { seed: seed as Tensor, rate: 0.3 },
            }),
          )(params as never),
      );
      return evaluate(program, { params, tokens, seed: Uint32Array.of(7, 0) });
    });
    expect(Object.keys(again as object)).toEqual(Object.keys(kept as object));
    for (const [name, x] of Object.entries(kept as Record<string, number[]>)) {
      expect(largestDifference(again?.[name] as number[], x), name).toBeLessThan(1e-12);
    }
  });
});

test("checkpointed blocks keep their input alone, so that a step takes less memory", () => {
  const model = gpt2({ layers: 4, width: 32, heads: 2, vocabulary: 20, positions: 32 });
  const scratch = (checkpoint: boolean): number =>
    compile({ params: model.params, tokens: i32(2, 32), targets: i32(2, 32) }, ({ params, tokens, targets }) =>
      sum(grad((p: typeof params) => model.loss(p, tokens, targets, { checkpoint }))(params).transformer.wpe.weight),
    ).memory().bytesByRole.scratch;
  expect(scratch(true)).toBeLessThan(0.5 * scratch(false));
});

describe("initialisation", () => {
  const model = gpt2({ layers: 8, width: 32, heads: 2, vocabulary: 100, positions: 16 });
  const std = (x: Float32Array): number => Math.sqrt(x.reduce((s, v) => s + v * v, 0) / x.length);
  test("gpt2's: 0.02, smaller for what is added to the residual; norms 1, biases 0; the seed decides", () => {
    const { transformer: t } = model.init();
    expect(std(t.wte.weight)).toBeCloseTo(0.02, 3);
    expect(std(t.h[3]?.mlp.c_fc.weight as Float32Array)).toBeCloseTo(0.02, 3);
    expect(std(t.h[3]?.mlp.c_proj.weight as Float32Array)).toBeCloseTo(0.02 / 4, 3);
    expect(new Set(t.h[0]?.ln_1.weight)).toEqual(new Set([1]));
    expect(new Set(t.h[0]?.attn.c_attn.bias)).toEqual(new Set([0]));
    expect(t.h[0]?.mlp.c_fc.weight[0]).not.toBe(t.h[1]?.mlp.c_fc.weight[0]);
    const first = (seed: number): Float32Array => model.init({ seed }).transformer.wte.weight.subarray(0, 100);
    expect(first(0)).toEqual(t.wte.weight.subarray(0, 100));
    expect(first(1)).not.toEqual(first(0));
  });
  test("is normally distributed", () => {
    const x = model.init().transformer.h[0]?.mlp.c_fc.weight as Float32Array;
    const within = (k: number): number => x.filter((v) => Math.abs(v) < 0.02 * k).length / x.length;
    expect(within(1)).toBeCloseTo(0.683, 1);
    expect(within(2)).toBeCloseTo(0.954, 1);
    expect(Math.abs(x.reduce((a, b) => a + b, 0) / x.length)).toBeLessThan(1e-3);
  });
});

describe("parameters by name", () => {
  const { model, reference } = tinyGpt2;
  test("a file's tensors become the model's tree", async () => {
    const { tensors } = await reference();
    const tree = fromNames(model.params, tensors, { prefix: "after.", ignoreOthers: true });
    expect(tree.transformer.h[1]?.attn.c_attn.weight).toEqual(tensors["after.transformer.h.1.attn.c_attn.weight"]);
    expect(() => fromNames(model.params, tensors, { prefix: "after." })).toThrow("there is no place for");
    expect(() => fromNames(model.params, tensors)).toThrow(/no tensor named "transformer.wte.weight"/);
  });
  test("shapes and dtypes must fit; f16 widens", () => {
    const x = (dtype: "f16" | "f32" | "i32", shape: number[]) => ({ dtype, shape, data: new Float32Array(2) });
    expect(fromNames({ a: f32(2) }, { a: x("f16", [2]) }).a.dtype).toBe("f32");
    expect(() => fromNames({ a: f32(2) }, { a: x("f32", [2, 1]) })).toThrow("[2, 1]");
    expect(() => fromNames({ a: f16(2) }, { a: x("f32", [2]) })).toThrow("convert it");
    expect(() => fromNames({ a: f32(2) }, { a: x("i32", [2]) })).toThrow("is i32");
  });
});

describe("what does not fit is refused", () => {
  const config = { layers: 1, width: 8, heads: 2, vocabulary: 5, positions: 4 };
  test.each([
    [{ ...config, heads: 3 }, "heads is 3, which does not divide width"],
    [{ ...config, layers: 0 }, "layers is 0"],
    [{ ...config, width: 8.5 }, "no integer"],
    [{ ...config, width: undefined }, "width is undefined"],
    [{ ...config, head: 2 }, 'did you mean "heads"'],
  ])("%j", (c, message) => {
    expect(() => gpt2(c as never)).toThrow(message);
  });
  test("more tokens than positions, tokens of another rank, another position", () => {
    const model = gpt2(config);
    const logits = (tokens: Tensor, p: never): Tensor => model.logits(p, tokens);
    const of = (spec: ReturnType<typeof i32>) => () =>
      compile({ params: model.params, tokens: spec }, ({ params, tokens }) => logits(tokens, params as never));
    expect(of(i32(1, 5))).toThrow("5 tokens, but the model has 4 positions");
    expect(of(i32(5))).toThrow("takes tokens as i32[B, T]");
    expect(() =>
      compile(
        { params: model.params, cache: model.cache(1, 4), tokens: i32(1, 1), position: i32(1) },
        ({ params, cache, tokens, position }) => model.decode(params, cache, tokens, position),
      ),
    ).toThrow("position as i32[]");
  });
  test("decoding with arguments in another order, and with caches of another model", () => {
    const model = gpt2(config);
    const of = (call: (...args: Parameters<typeof model.decode>) => unknown) => () =>
      compile(
        { params: model.params, cache: model.cache(1, 4), tokens: i32(1, 1), position: i32() },
        ({ params, cache, tokens, position }) => call(params, cache, tokens, position) as never,
      );
    expect(of((p, cache, tokens, position) => model.decode(p, tokens as never, cache as never, position))).toThrow(
      "decode takes tokens as i32[B, T], not an array",
    );
    expect(of((p, cache, tokens) => model.decode(p, cache, tokens, 3 as never))).toThrow("not the number 3");
    expect(of((p, cache, tokens, position) => model.decode(p, [...cache, ...cache], tokens, position))).toThrow(
      "decode: the model has 1 layers, but there are 2 caches",
    );
  });
});
