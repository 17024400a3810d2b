/** What was seen of a run at one of its steps. */
export interface Evaluation {
  readonly step: number;
  /** Of training so far, compilation not counted. */
  readonly seconds: number;
  /** Mean loss of a character of held-out words, in nats. */
  readonly heldOut: number;
  /** Of the triples of letters in the samples, the part that occurs in the word list. */
  readonly trigrams: number;
  /** Of the samples, the part that stands in the word list. */
  readonly words: number;
  /** Some of them. */
  readonly samples: readonly string[];
}

/** A run so far. */
export interface History {
  /** Mean loss of a character of each step's batch, before the update: of words that were not seen before, in the first epoch. */
  readonly losses: number[];
  readonly evaluations: Evaluation[];
  /** Spent on steps and evaluations. */
  seconds: number;
  /** Characters learned from, ends of words included. */
  characters: number;
}

export const emptyHistory = (): History => ({ losses: [], evaluations: [], seconds: 0, characters: 0 });

/** The mean of the last `count` losses. */
export function recent(losses: readonly number[], count = 20): number {
  const last = losses.slice(-count);
  return last.reduce((s, x) => s + x, 0) / last.length;
}

/** Each loss with those before it, averaged with weights that fall by `keep` a step; early ones are not drawn to 0. */
export function smoothed(losses: readonly number[], keep = 0.9): number[] {
  let [sum, weight] = [0, 0];
  return losses.map((x) => {
    sum = keep * sum + (1 - keep) * x;
    weight = keep * weight + (1 - keep);
    return sum / weight;
  });
}
