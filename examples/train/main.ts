import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Gpu, openDevice, SinterError } from "sinter";
import { progressBar, wantsColour } from "../shared/terminal.ts";
import { type Checkpoint, fingerprint, loadCheckpoint, type Recipe } from "./checkpoint.ts";
import { help, type Options, parseOptions } from "./cli.ts";
import { type Evaluation, recent } from "./history.ts";
import { trainingLoop } from "./loop.ts";
import { reportPage } from "./report.ts";
import { adapterText, count, figuresOf, minutes, parametersOf, percent, summary } from "./summary.ts";
import { openTraining, type Training } from "./training.ts";
import { bigramLoss, type Corpus, loadWords, splitWords } from "./words.ts";

const progress = progressBar(process.stderr);
const colour = wantsColour(process.stderr);
const dim = (text: string): string => (colour ? `\u001b[2m${text}\u001b[0m` : text);

/** Runs the demo; returns the exit code. */
async function main(args: readonly string[]): Promise<number> {
  const options = parseOptions(args);
  if (typeof options === "string") {
    console.error(`demo:train: ${options}\n\n${help}`);
    return 2;
  }
  if (options.help) {
    console.log(help);
    return 0;
  }
  const checkpointFile = join(options.out, "checkpoint.safetensors");
  try {
    mkdirSync(options.out, { recursive: true });
    const wanted = options.resume === undefined ? undefined : options.resume || checkpointFile;
    if (wanted !== undefined && !existsSync(wanted)) {
      console.error(
        `demo:train: there is no checkpoint ${wanted}\n  next: run without --resume first; Ctrl-C saves one`,
      );
      return 1;
    }
    const from = wanted === undefined ? undefined : await loadCheckpoint(wanted);
    const recipe = from?.recipe ?? options.recipe;
    const corpus = splitWords(loadWords(options.words), recipe.length);
    if (from) checkWords(from, corpus);
    const gpu = await openDevice();
    try {
      return await run(gpu, options, recipe, corpus, from, checkpointFile);
    } finally {
      gpu.dispose();
    }
  } catch (e) {
    progress.end();
    if (!(e instanceof SinterError)) throw e;
    console.error(e.message);
    return 1;
  }
}

async function run(
  gpu: Gpu,
  options: Options,
  recipe: Recipe,
  corpus: Corpus,
  from: Checkpoint | undefined,
  checkpointFile: string,
): Promise<number> {
  const bigram = bigramLoss(corpus.train);
  const began = performance.now();
  const training = await openTraining(gpu, recipe, corpus, from, (e) =>
    progress.update(e.completed, e.total, "preparing kernels"),
  );
  const compiled = (performance.now() - began) / 1000;
  progress.note(opening(gpu, training, corpus, compiled));
  const stop = stopOnInterrupt();
  const done = await trainingLoop(training, {
    every: options.every || Math.ceil(recipe.steps / 6),
    temperature: options.temperature,
    heldOut: [200, 1000],
    signal: stop.signal,
    stepped: watchSteps(training),
    async evaluated(e) {
      progress.note(evaluationLine(e));
      await training.save(checkpointFile);
    },
  });
  stop.release();
  progress.end();
  await training.save(checkpointFile);
  if (!done) {
    console.error(
      `stopped after step ${training.history.losses.length}; npm run demo:train -- --resume ${checkpointFile}`,
    );
    training.dispose();
    return 130;
  }
  const figures = figuresOf({ gpu, training, corpus, bigram, compiled, checkpoint: checkpointFile });
  const report = join(options.out, "report.html");
  const capabilities = gpu.capabilities;
  writeFileSync(
    report,
    reportPage({
      figures,
      history: training.history,
      explained: training.program.explain({ capabilities }),
      memory: training.program.memory({ capabilities }),
      isWord: isWordOf(corpus),
    }),
  );
  training.dispose();
  console.error(summary(figures, report));
  if (options.json)
    console.log(JSON.stringify({ ...figures, evaluations: training.history.evaluations, report }, null, 2));
  return 0;
}

function checkWords({ words }: Checkpoint, corpus: Corpus): void {
  if (words === fingerprint([...corpus.train, ...corpus.heldOut])) return;
  throw new SinterError({
    code: "other-words",
    message: "the checkpoint was trained on other words",
    cause: "going on with these would not be the same run",
    hint: "give the list of that run with --words",
  });
}

function opening(gpu: Gpu, training: Training, corpus: Corpus, seconds: number): string {
  const { recipe: r, history } = training;
  const from = history.losses.length ? `, from step ${history.losses.length} on` : "";
  return [
    `${adapterText(gpu)}, ready after ${seconds.toFixed(1)} s`,
    `${r.layers} layers of width ${r.width}, ${count(parametersOf(training))} parameters, ${count(r.steps)} steps${from}`,
    `${count(corpus.train.length)} words to learn, ${count(corpus.heldOut.length)} held out, ${count(corpus.tooLong)} too long`,
  ].join("\n");
}

function isWordOf({ train, heldOut }: Corpus): (word: string) => boolean {
  const all = new Set([...train, ...heldOut]);
  return (word) => all.has(word);
}

/** Redraws the bar, at most ten times a second. */
function watchSteps({ history, recipe }: Training): () => void {
  const [start, from] = [performance.now(), { step: history.losses.length, characters: history.characters }];
  let drawn = Number.NEGATIVE_INFINITY;
  return () => {
    const now = performance.now();
    const step = history.losses.length;
    if (now - drawn < 100 && step < recipe.steps) return;
    drawn = now;
    const seconds = (now - start) / 1000;
    const rate = (history.characters - from.characters) / seconds;
    const left = (seconds / (step - from.step)) * (recipe.steps - step);
    progress.update(
      step,
      recipe.steps,
      `loss ${recent(history.losses).toFixed(3)}  ${rate.toFixed(0)} tokens/s  ${minutes(left)} left`,
    );
  };
}

const evaluationLine = (e: Evaluation): string =>
  `step ${String(e.step).padStart(5)}  held out ${e.heldOut.toFixed(3)}  trigrams ${percent(e.trigrams)}  ${dim(e.samples.slice(0, 8).join(" "))}`;

/** The first Ctrl-C asks to stop, the second ends the process at once. */
function stopOnInterrupt(): { readonly signal: AbortSignal; release(): void } {
  const controller = new AbortController();
  const onInterrupt = (): void => {
    if (controller.signal.aborted) process.exit(130);
    progress.note("saving after this step; Ctrl-C again ends at once");
    controller.abort();
  };
  process.on("SIGINT", onInterrupt);
  return { signal: controller.signal, release: () => void process.off("SIGINT", onInterrupt) };
}

process.exitCode = await main(process.argv.slice(2));
