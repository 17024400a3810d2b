import type { Evaluation } from "./history.ts";
import type { Training } from "./training.ts";

export interface LoopOptions {
  /** Evaluate after every so many steps; after the last in any case. */
  readonly every: number;
  readonly temperature: number;
  /** Held-out words of an evaluation, and of the last one. */
  readonly heldOut: readonly [number, number];
  /** Ends the loop after the steps that are under way. */
  readonly signal?: AbortSignal;
  /** Called after every step. */
  stepped?(): void;
  /** Called after every evaluation, between two steps; training waits for it. */
  evaluated?(e: Evaluation): void | Promise<void>;
}

/**
 * Trains to the recipe's last step, or until the signal is given. A step is submitted before the loss of the one before it is
 * read, so that the device does not wait for the CPU.
 * @returns whether it came to the end
 */
export async function trainingLoop(training: Training, options: LoopOptions): Promise<boolean> {
  const { history, recipe } = training;
  const began = performance.now() - 1000 * history.seconds;
  const clock = (): number => (performance.now() - began) / 1000;
  const finish = async (step: ReturnType<Training["step"]> | undefined): Promise<void> => {
    if (!step) return;
    const { loss, characters } = await step;
    history.losses.push(loss);
    history.characters += characters;
    history.seconds = clock();
    options.stepped?.();
  };
  const evaluate = async (heldOut: number): Promise<void> => {
    const made = await training.evaluate({ heldOut, temperature: options.temperature });
    history.seconds = clock();
    const evaluation = { ...made, seconds: history.seconds };
    history.evaluations.push(evaluation);
    await options.evaluated?.(evaluation);
  };
  let under: ReturnType<Training["step"]> | undefined;
  for (let step = history.losses.length; step < recipe.steps && !options.signal?.aborted; step++) {
    const before = under;
    under = training.step();
    // Awaited later: a failure in between must not count as unhandled.
    under.catch(() => {});
    await finish(before);
    if ((step + 1) % options.every !== 0 || step + 1 === recipe.steps) continue;
    await finish(under);
    under = undefined;
    await evaluate(options.heldOut[0]);
  }
  await finish(under);
  const done = history.losses.length === recipe.steps;
  if (done && history.evaluations.at(-1)?.step !== recipe.steps) await evaluate(options.heldOut[1]);
  return done;
}
