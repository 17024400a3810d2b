import type { Gpu } from "sinter";
import type { Recipe } from "./checkpoint.ts";
import type { Evaluation } from "./history.ts";
import type { Training } from "./training.ts";
import type { Corpus } from "./words.ts";

/** What a run came to. Losses are nats a character, shares are from 0 to 1. */
export interface Figures {
  readonly adapter: string;
  readonly recipe: Recipe;
  readonly parameters: number;
  readonly words: { readonly learned: number; readonly held_out: number; readonly too_long: number };
  /** Characters learned from, ends of words included. */
  readonly characters: number;
  /** Tracing, compiling and warming up, the last time the run was started. */
  readonly compile_s: number;
  /** Steps and evaluations. */
  readonly train_s: number;
  readonly tokens_per_s: number;
  /** Of held-out words. */
  readonly loss: number;
  readonly bigram_loss: number;
  readonly trigram_share: number;
  readonly word_share: number;
  readonly samples: readonly string[];
  /** Of one step. */
  readonly dispatches: number;
  readonly pipelines: number;
  readonly planned_bytes: number;
  readonly checkpoint: string;
}

export function figuresOf(of: {
  readonly gpu: Gpu;
  readonly training: Training;
  readonly corpus: Corpus;
  readonly bigram: number;
  readonly compiled: number;
  readonly checkpoint: string;
}): Figures {
  const { gpu, corpus } = of;
  const { history, program, recipe } = of.training;
  const last = history.evaluations.at(-1) as Evaluation;
  const { capabilities } = gpu;
  const manifest = program.manifest({ capabilities });
  return {
    adapter: adapterText(gpu),
    recipe,
    parameters: parametersOf(of.training),
    words: { learned: corpus.train.length, held_out: corpus.heldOut.length, too_long: corpus.tooLong },
    characters: history.characters,
    compile_s: of.compiled,
    train_s: history.seconds,
    tokens_per_s: history.characters / history.seconds,
    loss: last.heldOut,
    bigram_loss: of.bigram,
    trigram_share: last.trigrams,
    word_share: last.words,
    samples: last.samples,
    dispatches: manifest.dispatches.length,
    pipelines: manifest.kernels.length,
    planned_bytes: program.memory({ capabilities }).plannedBytes,
    checkpoint: of.checkpoint,
  };
}

export const adapterText = ({ adapterName, info }: Gpu): string =>
  [adapterName, info?.description || info?.vendor].filter(Boolean).join(": ");

export const parametersOf = ({ program }: Training): number =>
  program.graph.inputs
    .filter((n) => String(n.attrs.name).startsWith("params."))
    .reduce((n, p) => n + (p.type.shape as number[]).reduce((a, b) => a * b, 1), 0);

export const percent = (share: number): string => `${(100 * share).toFixed(0)} %`;
export const count = (n: number): string => n.toLocaleString("en");

/** Seconds as minutes and seconds. */
export function minutes(seconds: number): string {
  const s = Math.max(0, Math.round(seconds));
  return `${Math.floor(s / 60)}:${String(s % 60).padStart(2, "0")}`;
}

/** The end of the demo's output. */
export const summary = (f: Figures, report: string): string =>
  [
    "",
    `loss        ${f.loss.toFixed(3)} nats a character of ${f.words.held_out} words it never saw; a bigram model has ${f.bigram_loss.toFixed(3)}`,
    `samples     ${percent(f.trigram_share)} of their letter trigrams occur in the word list, ${percent(f.word_share)} are words of it`,
    `            ${f.samples.join(" ")}`,
    `time        ${minutes(f.train_s)} for ${count(f.recipe.steps)} steps, ${f.tokens_per_s.toFixed(0)} tokens/s, after ${f.compile_s.toFixed(1)} s of compilation`,
    `step        ${f.dispatches} dispatches in 1 submit, ${f.pipelines} pipelines, ${(f.planned_bytes / 2 ** 20).toFixed(1)} MiB`,
    `checkpoint  ${f.checkpoint}`,
    `report      ${report}`,
  ].join("\n");
