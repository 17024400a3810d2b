import { createHash } from "node:crypto";
import { type HostTensor, openFile, SinterError, saveFile, tensor } from "sinter";
import { adamWInit, fromNames, loadSafetensors, type SavedTensor, writeSafetensors } from "sinter/nn";
import { emptyHistory, type History } from "./history.ts";
import { modelOf, type Sizes } from "./model.ts";

/** Everything that decides what a run computes, but for its words. */
export interface Recipe extends Sizes {
  readonly steps: number;
  /** Learning rate after the warm-up. */
  readonly lr: number;
  /** Steps of the warm-up. */
  readonly warmup: number;
  /** Of the first parameters, the order of the words and the samples. */
  readonly seed: number;
}

/** A run at one step, from which it goes on as if it had never stopped. */
export interface Checkpoint {
  readonly recipe: Recipe;
  readonly history: History;
  /** {@link fingerprint} of the words. */
  readonly words: string;
  /** State of the training step. */
  readonly state: State<HostTensor>;
}

/** Trees of parameters and of the optimiser's state, as the training step has them. */
interface State<T> {
  readonly params: { readonly transformer: unknown };
  readonly opt: { readonly step: T; readonly m: unknown; readonly v: unknown };
}

/** Tells lists of words apart. */
export const fingerprint = (words: readonly string[]): string =>
  createHash("sha256").update(words.join("\n")).digest("hex").slice(0, 16);

/**
 * Writes a safetensors file: parameters under transformers' names, AdamW's state under `opt.`, the losses, and the rest as JSON
 * in its metadata. Random numbers need no state: order and samples are functions of the seed and the step.
 */
export async function saveCheckpoint(
  path: string,
  { recipe, history, words, state }: Omit<Checkpoint, "state"> & { readonly state: State<SavedTensor> },
): Promise<void> {
  const { losses, ...rest } = history;
  const tree = { ...state.params, opt: state.opt, losses: tensor(Float32Array.from(losses)) };
  const metadata = { format: "pt", recipe: JSON.stringify(recipe), history: JSON.stringify(rest), words };
  await saveFile(path, writeSafetensors(tree, { metadata }));
}

/**
 * Reads what {@link saveCheckpoint} wrote.
 * @throws SinterError `bad-checkpoint`, `bad-safetensors`, `file-error`
 */
export async function loadCheckpoint(path: string): Promise<Checkpoint> {
  await using file = await openFile(path);
  const { tensors, metadata } = await loadSafetensors(file);
  const { recipe, history, words } = metadata;
  if (recipe === undefined || history === undefined || words === undefined || !tensors.losses) {
    throw new SinterError({
      code: "bad-checkpoint",
      message: `${path} is no checkpoint of this demo`,
      cause: "its metadata does not say how the run goes on",
      hint: "give a file that the demo saved",
    });
  }
  const parsed = JSON.parse(recipe) as Recipe;
  const specs = modelOf(parsed).params;
  const own = { ignoreOthers: true };
  return {
    recipe: parsed,
    history: { ...emptyHistory(), ...JSON.parse(history), losses: [...(tensors.losses.data as Float32Array)] },
    words,
    state: {
      params: fromNames(specs, tensors, own),
      opt: fromNames(adamWInit(specs), tensors, { ...own, prefix: "opt." }),
    } as State<HostTensor>,
  };
}
