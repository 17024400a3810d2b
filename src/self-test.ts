import { halfRound } from "./base/half.ts";
import { type Compiled, compileGraph } from "./compiler.ts";
import * as t from "./frontend/index.ts";
import type { Tensor } from "./frontend/tensor.ts";
import { type SpecTree, trace } from "./frontend/trace.ts";
import type { Graph } from "./ir/graph.ts";
import { interpret } from "./ir/interpret.ts";
import { count, ndarray } from "./ir/ndarray.ts";
import type { Capabilities } from "./manifest/manifest.ts";
import type { TuningTable } from "./manifest/tuning.ts";
import type { Gpu } from "./runtime/gpu.ts";
import { type Fault, lostTo, stand, type TestedFeature, type Trial, testedFeatures } from "./runtime/self-test.ts";
import { loadManifest } from "./runtime/session.ts";
import type { Fallback } from "./runtime/warmup.ts";

type Inputs = Readonly<Record<"a" | "b" | "q" | "k" | "v" | "x", Tensor>>;

/** A small program for variants of kernels; its sizes divide by nothing, so that tails are among what is tested. */
interface Sample {
  readonly feature: TestedFeature;
  readonly variants: RegExp;
  readonly numbers: Numbers;
  readonly specs: SpecTree;
  fn(inputs: Inputs): Readonly<Record<string, Tensor>>;
}

interface Numbers {
  /** The error allowed, in parts of the largest value: what is left out of a sum, a lane or a row of a matrix, is larger. */
  readonly tolerance: number;
  /** The least of the inputs, which lie within 1. */
  readonly low: number;
}

/** Of numbers above 0 none is left out unseen. */
const sums: Numbers = { tolerance: 1e-4, low: 0.5 };
/** Of such the gradients of attention, whose steps are rounded to halves, would cancel. */
const around0: Numbers = { tolerance: 3e-2, low: -0.5 };
const closely: Numbers = { tolerance: 1e-3, low: -0.5 };

const halves = { a: t.f16(83, 75), b: t.f16(75, 70) };
const heads = { q: t.f16(1, 2, 37, 16), k: t.f16(1, 2, 37, 16), v: t.f16(1, 2, 37, 16) };
const attend = ({ q, k, v }: Pick<Inputs, "q" | "k" | "v">) => t.cast(t.attention(q, k, v, { causal: true }), "f32");

const floats = { q: t.f32(1, 2, 37, 16), k: t.f32(1, 2, 37, 16), v: t.f32(1, 2, 37, 16) };
const attendPairs = ({ q, k, v }: Pick<Inputs, "q" | "k" | "v">) =>
  t.attention(q, k, v, { causal: true, precision: "f16x3" });

const pairs: Omit<Sample, "feature"> = {
  variants: /^f16x3/,
  numbers: sums,
  specs: { a: t.f32(83, 75), b: t.f32(75, 70) },
  fn: ({ a, b }) => ({ y: t.matmul(a, b, { precision: "f16x3" }) }),
};

const pairAttention: Omit<Sample, "feature"> = {
  variants: /^attention_f16x3/,
  numbers: closely,
  specs: floats,
  fn: (inputs) => ({ y: attendPairs(inputs) }),
};

const pairGradients: Omit<Sample, "feature"> = {
  variants: /^attention_grad_.*f16x3/,
  numbers: closely,
  specs: floats,
  fn: (inputs) => t.grad((p: Inputs) => t.sum(t.mul(attendPairs(p), attendPairs(p))))(inputs) as Inputs,
};

const samples: readonly Sample[] = [
  {
    feature: "subgroups",
    variants: /^row/,
    numbers: sums,
    specs: { x: t.f32(3, 1031) },
    fn: ({ x }) => ({ y: t.softmax(x), s: t.sum(x, { axes: -1 }) }),
  },
  {
    feature: "subgroups",
    variants: /^matvec/,
    numbers: sums,
    specs: { a: t.f32(1, 1028), b: t.f32(1028, 36) },
    fn: ({ a, b }) => ({ y: t.matmul(a, b) }),
  },
  {
    feature: "subgroupMatrix",
    variants: /^matrix/,
    numbers: sums,
    specs: halves,
    fn: ({ a, b }) => ({ y: t.matmul(t.cast(a, "f32"), t.cast(b, "f32")) }),
  },
  ...[pairs, pairAttention, pairGradients].flatMap((s): Sample[] => [
    { feature: "subgroupMatrix", ...s },
    { feature: "subgroups", ...s },
  ]),
  {
    feature: "subgroupMatrix",
    variants: /^attention_matrix/,
    numbers: around0,
    specs: heads,
    fn: (inputs) => ({ y: attend(inputs) }),
  },
  {
    feature: "subgroupMatrix",
    variants: /^attention_grad/,
    numbers: around0,
    specs: heads,
    fn: (inputs) => t.grad((p: Inputs) => t.sum(t.mul(attend(p), attend(p))))(inputs) as Inputs,
  },
];

/** Tests the device on the features that a program uses, and compiles it again without those that give wrong numbers. */
export async function testDevice(
  gpu: Gpu,
  first: Compiled,
  again: () => Compiled,
): Promise<(Fallback & { readonly compiled: Compiled }) | undefined> {
  let compiled = first;
  const faults: Fault[] = [];
  for (;;) {
    const failed = await stand(gpu, trialsFor(compiled, gpu.capabilities), runOnce);
    const found = failed.length > 0 ? failed : lostTo(gpu, compiled.manifest);
    if (found.length === 0) break;
    faults.push(...found);
    compiled = again();
  }
  return compiled === first ? undefined : { compiled, programs: [compiled.manifest], faults };
}

const untested = async (): Promise<undefined> => undefined;

async function runOnce(gpu: Gpu, { manifest, inputs }: Trial): Promise<Record<string, ArrayLike<number>>> {
  const fresh = manifest.kernels.filter((k) => !gpu.pipelines.has(k)).length;
  using session = await loadManifest(gpu, manifest, {}, { warm: true, test: untested });
  // Neither kernels nor a run of the caller's.
  gpu.counters.pipelines -= fresh;
  const results = Object.entries(await session.run(inputs, { read: true }));
  gpu.counters.dispatches -= manifest.dispatches.length;
  try {
    return Object.fromEntries(
      await Promise.all(results.map(async ([name, tensor]) => [name, await tensor.data()] as const)),
    );
  } finally {
    for (const [, tensor] of results) tensor.dispose();
  }
}

/** One trial for each kind of kernel that uses a tested feature: variants that differ in their sizes are of one kind. */
export function trialsFor(program: Compiled, capabilities: Capabilities): readonly Trial[] {
  const chosen = new Map<Sample, string>();
  for (const { feature, variant } of kernelsUsing(program)) {
    const s = samples.find((x) => x.feature === feature && x.variants.test(variant));
    if (s && !chosen.has(s)) chosen.set(s, variant);
  }
  return [...chosen].flatMap(([s, variant]) => trialOf(s, variant, capabilities) ?? []);
}

function kernelsUsing({ manifest, report }: Compiled) {
  const parts = [
    [manifest.setup, report.setup],
    [manifest.dispatches, report.kernels],
  ] as const;
  return parts.flatMap(([dispatches, kernels]) =>
    kernels.flatMap((k, i) => {
      const requires = manifest.kernels[dispatches[i]?.kernel as number]?.requires;
      const used = testedFeatures.filter((f) => requires?.[f]);
      return (k.parts ?? [k]).flatMap(({ variant }) => used.map((feature) => ({ feature, variant })));
    }),
  );
}

const made = new Map<string, Trial | undefined>();

function trialOf(s: Sample, variant: string, capabilities: Capabilities): Trial | undefined {
  const key = JSON.stringify([samples.indexOf(s), variant, capabilities]);
  if (!made.has(key)) made.set(key, makeTrial(s, variant, capabilities));
  return made.get(key);
}

function makeTrial(s: Sample, variant: string, capabilities: Capabilities): Trial | undefined {
  const { graph } = trace(s.specs, s.fn as never);
  const { manifest } = compileGraph(graph, capabilities, { tuning: always(variant) });
  // The variant may not take sizes as small as these; then nothing is known against it.
  if (!manifest.kernels.some((k) => k.requires[s.feature])) return undefined;
  const { tolerance, low } = s.numbers;
  const inputs = numbers(graph, low);
  const results = interpret(graph, inputs);
  return {
    feature: s.feature,
    variant,
    manifest,
    inputs: Object.fromEntries(Object.entries(inputs).map(([name, x]) => [name, Float32Array.from(x.data)])),
    expected: Object.fromEntries(Object.entries(results).map(([name, x]) => [name, x.data])),
    tolerance,
  };
}

/** Every kernel in this variant, where it can be. */
const always = (variant: string): TuningTable =>
  ({ kernels: new Proxy({}, { get: () => ({ variant }) }), fusions: {} }) as unknown as TuningTable;

/** Halves from `low` to `low` + 1, other ones for each input. */
const numbers = (graph: Graph, low: number) =>
  Object.fromEntries(
    graph.inputs.map(({ attrs, type }, n) => {
      const shape = type.shape as readonly number[];
      const value = (_: unknown, i: number): number => halfRound(low + ((i * (7919 + 2 * n)) % 1009) / 1009);
      return [attrs.name as string, ndarray(type.dtype, shape, Float64Array.from({ length: count(shape) }, value))];
    }),
  );
