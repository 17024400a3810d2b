import { readFileSync } from "node:fs";
import { compile, f32, type Program, type Tensor } from "../../../src/index.ts";
import * as nn from "../../../src/nn/index.ts";
import { sharedFile } from "../../support/shared.ts";

interface Case {
  readonly optimizer: string;
  readonly config: Readonly<Record<string, never>>;
  /** Parameters after each step. */
  readonly trajectory: readonly (readonly (readonly number[])[])[];
}

interface File {
  readonly cases: readonly Case[];
  readonly params: readonly { readonly shape: readonly number[]; readonly data: readonly number[] }[];
  /** Gradients of each step. */
  readonly grads: readonly (readonly (readonly number[])[])[];
  readonly clip_grad_norm: {
    readonly max_norm: number;
    readonly total_norm: number;
    readonly grads: readonly number[][];
  };
}

const path = sharedFile("conformance/torch_optim.json", "optimisers against PyTorch");

/** PyTorch's optimisers: parameters after each of 12 steps, for given gradients. */
export const trajectories: File = path
  ? (JSON.parse(readFileSync(path, "utf8")) as File)
  : { cases: [], params: [], grads: [], clip_grad_norm: { max_norm: 1, total_norm: 0, grads: [] } };

export const caseName = ({ optimizer, config }: Case): string =>
  [optimizer, ...Object.entries(config).map(([k, v]) => `${k}=${v}`)].join(" ");

type Options = Readonly<Record<string, unknown>>;
type Init = (params: unknown, options?: Options) => Record<string, unknown>;
type Update = (params: unknown, grads: unknown, state: unknown, options: Options) => { params: Tree; state: Tree };
type Tree = Readonly<Record<string, Tensor>>;

/** torch.optim's names for ours: the function, its state, and options that belong to the state. */
const optimisers: Readonly<Record<string, readonly [update: unknown, init: unknown]>> = {
  SGD: [nn.sgd, nn.sgdInit],
  Adam: [nn.adam, nn.adamInit],
  AdamW: [nn.adamW, nn.adamWInit],
  Adagrad: [nn.adagrad, nn.adagradInit],
  RMSprop: [nn.rmsProp, nn.rmsPropInit],
  Adamax: [nn.adaMax, nn.adaMaxInit],
  NAdam: [nn.nAdam, nn.nAdamInit],
  RAdam: [nn.rAdam, nn.rAdamInit],
  Adadelta: [nn.adaDelta, nn.adaDeltaInit],
};

const camel = (name: string): string => name.replace(/_(\w)/g, (_, c: string) => c.toUpperCase());
const ofState = ["amsgrad", "centered", "initialAccumulatorValue"];

/** Our optimiser for a case: its update, and its state for a tree of parameters. */
function optimiserOf({ optimizer, config }: Case): { update: Update; init: (params: unknown) => object } {
  const all = Object.entries(config).map(([k, v]) => [camel(k), v] as const);
  const moving = optimizer === "SGD" && "momentum" in config;
  const [update, init] = (moving ? [nn.momentum, nn.momentumInit] : optimisers[optimizer]) as [Update, Init];
  const options = Object.fromEntries(all.filter(([k]) => !ofState.includes(k)));
  const initial: Record<string, unknown> = Object.fromEntries(all.filter(([k]) => ofState.includes(k)));
  if ("initialAccumulatorValue" in initial) {
    initial.initialAccumulator = initial.initialAccumulatorValue;
    delete initial.initialAccumulatorValue;
  }
  if (optimizer === "RMSprop" && "momentum" in config) initial.momentum = true;
  const some = Object.keys(initial).length > 0;
  return {
    update: (p, g, s) => update(p, g, s, options),
    init: (params) => (some ? init(params, initial) : init(params)),
  };
}

export const paramSpecs = (): unknown => trajectories.params.map((p) => f32(...p.shape));
const paramValues = (): unknown =>
  trajectories.params.map((p) => ({ dtype: "f32", shape: p.shape, data: Float32Array.from(p.data) }));

/** All cases in one program, each with parameters and a state of its own, for the same gradients. */
export function programOf(cases: readonly Case[]): { program: Program; state: Record<string, unknown> } {
  const made = cases.map((c) => optimiserOf(c));
  const of = (params: () => unknown): Record<string, unknown> =>
    Object.fromEntries(
      made.flatMap(({ init }, i) => [
        [`p${i}`, params()],
        [`s${i}`, init(params())],
      ]),
    );
  const program = compile(
    { ...of(paramSpecs), grads: paramSpecs() },
    (x: Record<string, unknown>) =>
      Object.fromEntries(
        made.flatMap(({ update }, i) => {
          const next = update(x[`p${i}`], x.grads, x[`s${i}`], {});
          return [
            [`p${i}`, next.params],
            [`s${i}`, next.state],
          ];
        }),
      ) as unknown as Record<string, Tensor>,
    { donate: made.flatMap((_, i) => [`p${i}`, `s${i}`]) as never[] },
  );
  return { program: program as unknown as Program, state: of(paramValues) };
}
