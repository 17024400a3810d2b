import fc from "fast-check";
import { compile, i32, valueAndGrad } from "sinter";
import { type Gpt2, gpt2, llama } from "sinter/nn";
import { expect, test } from "vitest";
import { gpt2Weight } from "../../fixtures/hash-weights.ts";
import { hashParams } from "../models/hashed.ts";
import { Interpreted } from "../nn/support/interpreted.ts";
import { sharedGpu } from "../support/gpu.ts";
import { runs } from "./runs.ts";

const gpu = sharedGpu();

/** Sizes of a model of one block. */
interface Sizes {
  readonly kind: "gpt2" | "llama";
  readonly heads: number;
  readonly kvHeads: number;
  readonly headSize: number;
  readonly hidden: number;
  readonly vocabulary: number;
  readonly batch: number;
  readonly length: number;
}

const sizes: fc.Arbitrary<Sizes> = fc
  .record({
    kind: fc.constantFrom("gpt2" as const, "llama" as const),
    groups: fc.integer({ min: 1, max: 3 }),
    kvHeads: fc.integer({ min: 1, max: 3 }),
    headSize: fc.integer({ min: 1, max: 19 }),
    hidden: fc.integer({ min: 1, max: 41 }),
    vocabulary: fc.integer({ min: 2, max: 70 }),
    batch: fc.integer({ min: 1, max: 3 }),
    length: fc.integer({ min: 1, max: 19 }),
  })
  // Rotary positions turn pairs.
  .map(({ groups, ...s }) => ({
    ...s,
    heads: groups * s.kvHeads,
    headSize: s.kind === "llama" ? 2 * s.headSize : s.headSize,
  }));

/** Both kinds of model have the same functions, so one type does for the test. */
function modelOf({ kind, heads, kvHeads, headSize, hidden, vocabulary, length }: Sizes): Gpt2 {
  const common = { layers: 1, width: heads * headSize, heads, hidden, vocabulary };
  if (kind === "gpt2") return gpt2({ ...common, positions: length });
  return llama({ ...common, kvHeads, tied: heads % 2 === 0 }) as unknown as Gpt2;
}

/** The loss and the gradients of one model, on the GPU and on the interpreter. */
async function compare(s: Sizes): Promise<void> {
  const model = modelOf(s);
  const program = compile(
    { params: model.params, tokens: i32(s.batch, s.length), targets: i32(s.batch, s.length) },
    ({ params, tokens, targets }) => valueAndGrad((p: typeof params) => model.loss(p, tokens, targets))(params),
  );
  const ids = (factor: number): Int32Array =>
    Int32Array.from({ length: s.batch * s.length }, (_, i) => (i * factor + 1) % s.vocabulary);
  // Larger than the usual weights, so that attention is far from even.
  const params = hashParams(model.params, (name, n) => gpt2Weight(name, n).map((x) => 4 * x));
  const inputs = { params, tokens: ids(7), targets: ids(11) };
  const expected = new Interpreted(program as never, {} as never).run(inputs as never);
  const session = await program.load(gpu(), { strict: true });
  const out = await session.run(inputs);
  const norm = (x: ArrayLike<number>): number => Math.hypot(...Array.from(x));
  const total = norm(Object.values(expected).map(norm));
  for (const [name, e] of Object.entries(expected)) {
    const tensor = name.split(".").reduce((tree: never, key) => tree[key], out as never) as typeof out.value;
    const got = await tensor.data();
    // What is 0 in exact arithmetic, as the gradient of the key's bias, is rounding of what is not.
    const error = norm(e.map((x, i) => x - (got[i] as number)));
    expect(error, `${name} of ${JSON.stringify(s)}`).toBeLessThanOrEqual(1e-4 * norm(e) + 1e-6 * total);
  }
  session.dispose();
}

const odd: Sizes = {
  kind: "gpt2",
  heads: 3,
  kvHeads: 3,
  headSize: 7,
  hidden: 23,
  vocabulary: 37,
  batch: 1,
  length: 11,
};

// Software adapters take seconds to compile the pipelines of one model: few runs here, more with SINTER_RUNS.
test("the gradients of models of any size are those of the interpreter", { timeout: 3_600_000 }, async () => {
  const parameters = runs<[Sizes]>(2);
  console.log(`models on ${gpu().adapterName}: seed ${parameters.seed}`);
  await fc.assert(fc.asyncProperty(sizes, compare), { ...parameters, examples: [[odd]], endOnFailure: true });
});
