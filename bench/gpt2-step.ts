import {
  compile,
  type Gpu,
  type GpuTensor,
  i32,
  makeTensor,
  type ProfileReport,
  type Program,
  profile,
  type Session,
  valueAndGrad,
  type WarmupEvent,
} from "sinter";
import {
  adamW,
  adamWInit,
  type Gpt2,
  gpt2,
  lossScaleInit,
  lossScaleSpec,
  scaleLoss,
  unscale,
  updateLossScale,
} from "sinter/nn";
import { type CompileOptions, compileGraph } from "../src/compiler.ts";
import { loadProgram } from "../src/session.ts";
import { batchOf, type Gpt2Sizes, hashWeights, adamW as optimiser } from "./gpt2-model.ts";

/** The scale that f16 training begins with: gradients of these sizes neither vanish nor overflow. */
const firstScale = 4096;

const modelOf = ({ vocab: vocabulary, layers, width, heads, positions }: Gpt2Sizes): Gpt2 =>
  gpt2({ layers, width, heads, vocabulary, positions });

const specsOf = (model: Gpt2, { batch, seq }: Gpt2Sizes) => ({
  params: model.params,
  opt: adamWInit(model.params),
  tokens: i32(batch, seq),
  targets: i32(batch, seq),
});

/** The training step as one program: loss, its gradient, AdamW; parameters and moments are state. */
export function trainingStep(sizes: Gpt2Sizes, precision: "f32" | "f16x3" = "f32") {
  const model = modelOf(sizes);
  return compile(
    specsOf(model, sizes),
    ({ params, opt, tokens, targets }) => {
      const { value: loss, grad } = valueAndGrad((p: typeof params) => model.loss(p, tokens, targets))(params);
      const next = adamW(params, grad, opt, optimiser);
      return { loss, params: next.params, opt: next.state };
    },
    { donate: ["params", "opt"], precision },
  );
}

/** The same with f16 activations and products: the gradient is that of a scaled loss, and steps that overflow are left out. */
export function mixedTrainingStep(sizes: Gpt2Sizes) {
  const model = modelOf(sizes);
  return compile(
    { ...specsOf(model, sizes), scale: lossScaleSpec() },
    ({ params, opt, scale, tokens, targets }) => {
      const scaled = (p: typeof params) => {
        const loss = model.loss(p, tokens, targets, { dtype: "f16" });
        return [scaleLoss(loss, scale), loss] as const;
      };
      const { grad, aux: loss } = valueAndGrad(scaled, { aux: true })(params);
      const { grads, finite } = unscale(grad, scale);
      const next = adamW(params, grads, opt, { ...optimiser, when: finite });
      return { loss, params: next.params, opt: next.state, scale: updateLossScale(scale, finite) };
    },
    { donate: ["params", "opt", "scale"] },
  );
}

export interface Trainer {
  /** The loaded step, and its inputs for the runtime: a run without the tree of results around it. */
  readonly inner: Session["inner"];
  readonly inputs: Readonly<Record<string, GpuTensor>>;
  /** Submits a step; gives the loss before its update. With `read` it is copied back in the same submit. */
  step(read: boolean): Promise<GpuTensor>;
  /** Times the kernels of as many steps, which train too. */
  profile(runs: number): Promise<ProfileReport>;
  dispose(): void;
}

/** How a step is compiled, where it is not as a program is. */
export interface Compiled extends Pick<CompileOptions, "fuse" | "bundles" | "arenas"> {
  /** `off` leaves measurements out of account. */
  readonly tuning?: "off";
}

type Loaded = Awaited<ReturnType<ReturnType<typeof trainingStep>["load"]>>;

/** The program as it is loaded, compiled otherwise. */
function compiledWith(program: StepProgram, options: Omit<Compiled, "tuning">): Parameters<typeof loadProgram>[1] {
  const { graph, dims, traced, span } = program as unknown as Program;
  const compiled: Program["compiled"] = (given, capabilities, o) => {
    if (Object.keys(options).length === 0) return program.compiled(given, capabilities, o);
    const began = performance.now();
    const made = compileGraph(graph, capabilities, { ...o, ...options });
    return { ...made, span: { lane: "compile", name: "graph to WGSL and plan", began, ended: performance.now() } };
  };
  return { graph, dims, traced, span, compiled };
}

type StepProgram = ReturnType<typeof trainingStep> | ReturnType<typeof mixedTrainingStep>;

/** The step in the named precision: `f16x3` computes in f32, by halves. */
export const stepProgram = (sizes: Gpt2Sizes, dtype: "f32" | "f16" | "f16x3"): StepProgram =>
  dtype === "f16" ? mixedTrainingStep(sizes) : trainingStep(sizes, dtype);

/** Loads a training step with the oracle's weights, and its batch resident. */
export async function makeTrainer(
  gpu: Gpu,
  sizes: Gpt2Sizes,
  program: StepProgram,
  onProgress?: (event: WarmupEvent) => void,
  how: Compiled = {},
): Promise<Trainer> {
  const params = treeOf(hashWeights(sizes)) as never;
  const state = { params, opt: adamWInit(params), scale: lossScaleInit({ scale: firstScale }) };
  const session = await load(state);
  const [B, T] = [sizes.batch, sizes.seq];
  const batch = batchOf(sizes);
  const [tokens, targets] = await Promise.all(
    [batch.tokens, batch.targets].map((ids) => makeTensor(gpu, ids, { dtype: "i32", shape: [B, T] })),
  );
  return {
    inner: session.inner,
    inputs: { tokens: tokens as GpuTensor, targets: targets as GpuTensor },
    step: async (read) => (await session.run({ tokens, targets } as never, { read })).loss,
    profile: (runs) => profile(session, { tokens, targets } as never, { runs }),
    dispose() {
      for (const x of [tokens, targets, session]) x?.dispose();
    },
  };

  async function load({ scale, ...rest }: typeof state) {
    const given = program.graph.inputs.some((n) => String(n.attrs.name).startsWith("scale"))
      ? { ...rest, scale }
      : rest;
    const { tuning, ...options } = how;
    return loadProgram(gpu, compiledWith(program, options), {
      ...{ state: given, strict: true, onProgress },
      ...(tuning && { tuning }),
    }) as unknown as Promise<Loaded>;
  }
}

/** The tree that has its leaves at the record's names, keys joined by dots; numbers index lists. */
export function treeOf<T>(record: Readonly<Record<string, T>>): unknown {
  const root: Record<string, unknown> = {};
  for (const [path, leaf] of Object.entries(record)) {
    const keys = path.split(".");
    let at = root;
    keys.slice(0, -1).forEach((key, i) => {
      at[key] ??= /^\d+$/.test(keys[i + 1] as string) ? [] : {};
      at = at[key] as Record<string, unknown>;
    });
    at[keys.at(-1) as string] = leaf;
  }
  return root;
}
