import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { SinterError } from "sinter";
import { shuffled } from "./random.ts";

/** The token that stands before and after every word. 1 to 26 are the letters. */
export const end = 0;
export const vocabulary = 27;
/** A target that counts for nothing: it follows the end of a word. */
export const padding = -1;

const wordPackage = "an-array-of-english-words";
const letterA = 97;

/**
 * The words to learn: those of the npm package, or of a file that holds a JSON list or one word a line.
 * @throws SinterError `bad-words`
 */
export function loadWords(file?: string): string[] {
  const path = file ?? packageFile();
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (e) {
    return refuse(`${path} cannot be read`, (e as Error).message, "give --words a file that exists");
  }
  const list = text.trimStart().startsWith("[") ? parseJson(path, text) : text.split(/\s+/).filter(Boolean);
  const words = [...new Set(list)];
  const strange = words.find((w) => typeof w !== "string" || !/^[a-z]+$/.test(w));
  if (strange !== undefined) {
    refuse(`${path} holds ${JSON.stringify(strange)}`, "words consist of the letters a to z", "leave other words out");
  }
  if (words.length < 20) refuse(`${path} holds ${words.length} words`, "too few to learn from", "give at least 20");
  return words as string[];
}

function packageFile(): string {
  try {
    return createRequire(import.meta.url).resolve(wordPackage);
  } catch (e) {
    const cause = (e as Error).message.split("\n")[0] as string;
    return refuse(`the package ${wordPackage} is not installed`, cause, "run npm ci, or give a file: --words FILE");
  }
}

function parseJson(path: string, text: string): unknown[] {
  try {
    return JSON.parse(text) as unknown[];
  } catch (e) {
    return refuse(`${path} is no JSON list`, (e as Error).message, "give a JSON list or one word a line");
  }
}

const refuse = (message: string, cause: string, hint: string): never => {
  throw new SinterError({ code: "bad-words", message, cause, hint });
};

/** Words to train on and words to judge by, none of them in both. */
export interface Corpus {
  readonly train: readonly string[];
  readonly heldOut: readonly string[];
  /** Words that are longer than a row holds. */
  readonly tooLong: number;
}

/** Splits the words that fit into rows of `length` tokens; the same words are held out whatever the seed of a run. */
export function splitWords(words: readonly string[], length: number): Corpus {
  const fit = words.filter((w) => w.length < length);
  if (fit.length < 20) {
    refuse(
      `${fit.length} words fit into ${length} tokens`,
      "a word takes its letters and an end",
      "give a larger --length",
    );
  }
  const order = shuffled(fit.length, 0);
  const held = Math.min(1000, Math.floor(fit.length / 10));
  const at = (i: number): string => fit[order[i] as number] as string;
  return {
    heldOut: Array.from({ length: held }, (_, i) => at(i)),
    train: Array.from({ length: fit.length - held }, (_, i) => at(held + i)),
    tooLong: words.length - fit.length,
  };
}

/** Rows of tokens and what follows each of them. */
export interface Batch {
  /** i32[rows, length] */
  readonly tokens: Int32Array;
  /** i32[rows, length]; {@link padding} after the end of a word. */
  readonly targets: Int32Array;
  /** Targets that count. */
  readonly count: number;
}

/** One word a row: the end token and its letters, then its letters and the end token. */
export function toBatch(words: readonly string[], length: number): Batch {
  const tokens = new Int32Array(words.length * length).fill(end);
  const targets = new Int32Array(words.length * length).fill(padding);
  let count = 0;
  words.forEach((word, row) => {
    const ids = [end, ...encode(word), end];
    tokens.set(ids.slice(0, -1), row * length);
    targets.set(ids.slice(1), row * length);
    count += ids.length - 1;
  });
  return { tokens, targets, count };
}

export const encode = (word: string): number[] => [...word].map((c) => c.charCodeAt(0) - letterA + 1);
export const letter = (token: number): string => String.fromCharCode(letterA + token - 1);

/**
 * The batch of a step: each epoch goes through all words in an order of its own. A function of seed and step, so that a
 * run that goes on from a checkpoint sees what it would have seen.
 */
export function batches(words: readonly string[], rows: number, length: number, seed: number): (step: number) => Batch {
  let known: { epoch: number; order: Uint32Array } = { epoch: -1, order: new Uint32Array() };
  const word = (n: number): string => {
    const epoch = Math.floor(n / words.length);
    if (epoch !== known.epoch) known = { epoch, order: shuffled(words.length, seed, epoch + 1) };
    return words[known.order[n % words.length] as number] as string;
  };
  return (step) =>
    toBatch(
      Array.from({ length: rows }, (_, i) => word(step * rows + i)),
      length,
    );
}

/**
 * What a bigram model of the words loses on them, in nats a character: each letter and each end is predicted from the one
 * before it alone.
 */
export function bigramLoss(words: readonly string[]): number {
  const counts = new Float64Array(vocabulary * vocabulary);
  for (const word of words) {
    let before = end;
    for (const token of [...encode(word), end]) {
      counts[before * vocabulary + token]! += 1;
      before = token;
    }
  }
  let [loss, total] = [0, 0];
  for (let i = 0; i < vocabulary; i++) {
    const row = counts.subarray(i * vocabulary, (i + 1) * vocabulary);
    const sum = row.reduce((s, n) => s + n, 0);
    for (const n of row) if (n > 0) loss -= n * Math.log(n / sum);
    total += sum;
  }
  return loss / total;
}

const trigramsOf = (word: string): string[] =>
  Array.from({ length: Math.max(0, word.length - 2) }, (_, i) => word.slice(i, i + 3));

/** How much made-up words look like those of a list. */
export interface Likeness {
  /** Of the triples of neighbouring letters, the part that occurs in the list. */
  readonly trigrams: number;
  /** Of the words, the part that stands in the list. */
  readonly words: number;
}

export function likenessTo(list: readonly string[]): (made: readonly string[]) => Likeness {
  const known = new Set(list);
  const triples = new Set(list.flatMap(trigramsOf));
  const share = (all: readonly string[], of: ReadonlySet<string>): number =>
    all.length === 0 ? 0 : all.filter((x) => of.has(x)).length / all.length;
  return (made) => ({ trigrams: share(made.flatMap(trigramsOf), triples), words: share(made, known) });
}
