import {
  compile,
  type Gpu,
  type GpuTensor,
  i32,
  makeTensor,
  type ProfileReport,
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
export function trainingStep(sizes: Gpt2Sizes) {
  const model = modelOf(sizes);
  return compile(
    specsOf(model, sizes),
    ({ params, opt, tokens, targets }) => {
      const { value: loss, grad } = valueAndGrad((p: typeof params) => model.loss(p, tokens, targets))(params);
      const next = adamW(params, grad, opt, optimiser);
      return { loss, params: next.params, opt: next.state };
    },
    { donate: ["params", "opt"] },
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

/** Loads a training step with the oracle's weights, and its batch resident. */
export async function makeTrainer(
  gpu: Gpu,
  sizes: Gpt2Sizes,
  program: ReturnType<typeof trainingStep> | ReturnType<typeof mixedTrainingStep>,
  onProgress?: (event: WarmupEvent) => void,
  fuse?: "off",
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
    return (program as ReturnType<typeof trainingStep>).load(gpu, {
      state: given as never,
      strict: true,
      onProgress,
      fuse,
    });
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
