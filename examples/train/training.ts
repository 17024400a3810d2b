import { type BatchTensor, type Gpu, readTensors, type WarmupEvent } from "sinter";
import { adamWInit, type Gpt2, warmupCosine } from "sinter/nn";
import { type Checkpoint, fingerprint, type Recipe, saveCheckpoint } from "./checkpoint.ts";
import { type Evaluation, emptyHistory, type History } from "./history.ts";
import { firstParams, modelOf, nextCharacter, samples, trainingStep } from "./model.ts";
import { type Batch, batches, type Corpus, end, letter, likenessTo, toBatch } from "./words.ts";

/** The programs of a run, and the run so far, on a device. */
export interface Training {
  readonly recipe: Recipe;
  readonly history: History;
  readonly model: Gpt2;
  readonly program: ReturnType<typeof trainingStep>;
  /** Parameters and the optimiser's state, on the device. */
  readonly state: { readonly params: unknown; readonly opt: unknown };
  /** Submits the next step; the promise is that of its loss. */
  step(): Promise<{ readonly loss: number; readonly characters: number }>;
  /** Judges the parameters by held-out words, and makes words with them. */
  evaluate(options: { readonly heldOut: number; readonly temperature: number }): Promise<Omit<Evaluation, "seconds">>;
  save(path: string): Promise<void>;
  dispose(): void;
}

type Next = Awaited<ReturnType<ReturnType<typeof nextCharacter>["load"]>>;

/** Compiles and loads the training step and the program that makes words, which reads the step's own parameters. */
export async function openTraining(
  gpu: Gpu,
  recipe: Recipe,
  corpus: Corpus,
  from: Pick<Checkpoint, "state" | "history"> | undefined,
  onProgress: (event: WarmupEvent) => void,
): Promise<Training> {
  const model = modelOf(recipe);
  const program = trainingStep(model, recipe);
  const params = from ? undefined : firstParams(model, recipe.seed);
  const state = from?.state ?? { params, opt: adamWInit(params) };
  const session = await program.load(gpu, { state: state as never, onProgress });
  const following = nextCharacter(model, recipe);
  const next = (await following.load(gpu, {
    state: { cache: emptyCache(model, recipe) },
    onProgress,
  } as never)) as Next;

  const history = from?.history ?? emptyHistory();
  const all = [...corpus.train, ...corpus.heldOut];
  const likeness = likenessTo(all);
  const words = fingerprint(all);
  const batchOf = batches(corpus.train, recipe.batch, recipe.length, recipe.seed);
  const rate = warmupCosine(recipe.lr, recipe.warmup, recipe.steps, recipe.lr / 20);
  let at = history.losses.length;

  /** Runs all positions in one submit; `inputs` sees the characters that the position before gave. */
  async function positions(
    inputs: (
      position: number,
      before: BatchTensor | undefined,
    ) => { token: Int32Array | BatchTensor; target: Int32Array },
    temperature: number,
  ) {
    const batch = next.batch();
    const out: { token: BatchTensor; loss: BatchTensor }[] = [];
    for (let position = 0; position < recipe.length; position++) {
      const run = batch.run(next, {
        ...inputs(position, out.at(-1)?.token),
        params: session.state.params,
        position: Int32Array.of(position),
        seed: Uint32Array.of(recipe.seed, at * recipe.length + position),
        temperature: Float32Array.of(temperature),
      } as never) as unknown as { token: BatchTensor; loss: BatchTensor };
      out.push(run);
    }
    await batch.submit();
    const read = async (name: "token" | "loss") => {
      const tensors = out.map((o) => o[name].tensor);
      const arrays = await readTensors(gpu, tensors);
      for (const t of tensors) t.dispose();
      return arrays;
    };
    return { tokens: await read("token"), losses: await read("loss") };
  }

  async function lossOf(list: readonly string[]): Promise<number> {
    let [sum, count] = [0, 0];
    for (let i = 0; i < list.length; i += samples) {
      const batch = toBatch(list.slice(i, i + samples), recipe.length);
      const { losses } = await positions(
        (p) => ({ token: column(batch, "tokens", p), target: column(batch, "targets", p) }),
        1,
      );
      for (const l of losses) sum += (l as Float32Array).reduce((s, x) => s + x, 0);
      count += batch.count;
    }
    return sum / count;
  }

  /** Every {@link Recipe.length}-th element from `position` on; rows that the batch does not have count for nothing. */
  const column = (batch: Batch, part: "tokens" | "targets", position: number): Int32Array =>
    Int32Array.from(
      { length: samples },
      (_, row) => batch[part][row * recipe.length + position] ?? (part === "tokens" ? end : -1),
    );

  async function makeWords(temperature: number): Promise<string[]> {
    const none = new Int32Array(samples).fill(-1);
    const { tokens } = await positions(
      (_, before) => ({ token: before ?? new Int32Array(samples).fill(end), target: none }),
      temperature,
    );
    return Array.from({ length: samples }, (_, row) => {
      const made = tokens.map((t) => t[row] as number);
      const length = made.indexOf(end);
      return made
        .slice(0, length < 0 ? made.length : length)
        .map(letter)
        .join("");
    });
  }

  return {
    recipe,
    history,
    model,
    program,
    state: session.state,
    async step() {
      const batch = batchOf(at);
      const lr = Float32Array.of(rate(at));
      at++;
      const { loss } = await session.run({ tokens: batch.tokens, targets: batch.targets, lr } as never, { read: true });
      const [value] = await loss.data();
      loss.dispose();
      return { loss: value as number, characters: batch.count };
    },
    async evaluate({ heldOut, temperature }) {
      const made = await makeWords(temperature);
      const like = likeness(made);
      return {
        step: at,
        heldOut: await lossOf(corpus.heldOut.slice(0, heldOut)),
        ...like,
        samples: made.filter((w) => w.length > 2).slice(0, 10),
      };
    },
    save: (path) => saveCheckpoint(path, { recipe, history, words, state: session.state as never }),
    dispose() {
      session.dispose();
      next.dispose();
    },
  };
}

/** Zeros for the keys and values of every layer. */
const emptyCache = (model: Gpt2, { length }: Recipe) =>
  model.cache(samples, length).map(({ key, value }) => ({ key: zeros(key.shape), value: zeros(value.shape) }));

const zeros = (shape: readonly unknown[]): Float32Array =>
  new Float32Array((shape as readonly number[]).reduce((n, d) => n * d, 1));
