import { SinterError } from "../base/diagnostic.ts";
import type { Capabilities, Manifest } from "../manifest/manifest.ts";
import type { Gpu } from "./gpu.ts";
import { addsUp } from "./kernels/adds-up.ts";
import type { HostArray } from "./values.ts";

/** What devices have been seen to compute wrongly. Kernels do without each of them. */
export type TestedFeature = "subgroups" | "subgroupMatrix";

export const testedFeatures: readonly TestedFeature[] = ["subgroups", "subgroupMatrix"];

/** A small program whose results are known. */
export interface Trial {
  readonly feature: TestedFeature;
  /** For people: which kernels it stands for. */
  readonly variant: string;
  readonly manifest: Manifest;
  readonly inputs: Readonly<Record<string, HostArray>>;
  /** In f64, by output. */
  readonly expected: Readonly<Record<string, Float64Array>>;
  /** The largest error allowed, in parts of the largest expected value of the output. */
  readonly tolerance: number;
}

/** The results of a program that is loaded, run once and disposed: how a trial reaches the device. */
export type RunOnce = (gpu: Gpu, trial: Trial) => Promise<Readonly<Record<string, ArrayLike<number>>>>;

const names = { subgroups: "subgroups", subgroupMatrix: "subgroup matrices" } as const;
/** Failures that say nothing about the kernels. */
const elsewhere: ReadonlySet<string> = new Set(["device-lost", "disposed", "timeout", "out-of-memory"]);

/** A trial that a device failed. */
export interface Fault {
  readonly variant: string;
  readonly error: SinterError;
}

const verdicts = new WeakMap<Gpu, Map<string, Promise<Fault | undefined>>>();

/**
 * Runs trials that this device has not stood yet. A device that fails one loses its feature: `gpu.capabilities` is
 * without it from then on. Gives one fault for each feature; rejects where a trial could not be run.
 */
export async function stand(gpu: Gpu, trials: readonly Trial[], run: RunOnce): Promise<readonly Fault[]> {
  const known = verdicts.get(gpu) ?? new Map<string, Promise<Fault | undefined>>();
  verdicts.set(gpu, known);
  const answers = trials.map((t) => {
    const key = `${t.feature}: ${t.variant}`;
    let verdict = known.get(key);
    if (!verdict) {
      verdict = judge(gpu, t, run);
      known.set(key, verdict);
      verdict.catch(() => known.delete(key));
    }
    return verdict;
  });
  const faults = new Map<TestedFeature, Fault>();
  for (const [i, fault] of (await Promise.all(answers)).entries()) {
    const { feature } = trials[i]!;
    if (!fault || faults.has(feature)) continue;
    faults.set(feature, fault);
    gpu.lose(feature, fault);
  }
  return [...faults.values()];
}

/** What cost the device features that these kernels need, which were chosen before another load found it. */
export const lostTo = (gpu: Gpu, { kernels }: Manifest): readonly Fault[] =>
  [...gpu.losses].flatMap(([feature, fault]) => (kernels.some((k) => k.requires[feature]) ? [fault] : []));

/**
 * Tests subgroups for programs that were compiled elsewhere, where nothing can compile them again: on a device that adds up wrongly with
 * subgroups a program that needs them fails with `feature-faulty` instead of giving wrong numbers.
 */
export async function requireSums(gpu: Gpu, programs: readonly Manifest[]): Promise<undefined> {
  if (!programs.some((m) => m.kernels.some((k) => k.requires.subgroups))) return;
  const wrong = await gpu.wait("testing the device", addsUp(gpu.device));
  if (!wrong) return;
  gpu.lose("subgroups", faultOf("subgroups", "sums by subgroups", wrong.cause));
  throw new SinterError({
    code: "feature-faulty",
    message: "this device computes sums by subgroups wrongly, and the program needs them",
    cause: wrong.cause,
    hint: "compile the program for what the device has now: program.manifest({ capabilities: gpu.capabilities }), or program.load(gpu)",
  });
}

async function judge(gpu: Gpu, trial: Trial, run: RunOnce): Promise<Fault | undefined> {
  let cause: string | undefined;
  try {
    const results = await run(gpu, trial);
    cause = Object.entries(trial.expected)
      .map(([name, expected]) => difference(results[name] ?? [], expected, trial.tolerance))
      .find((d) => d !== undefined);
  } catch (e) {
    if (!(e instanceof SinterError) || elsewhere.has(e.code)) throw e;
    cause = e.diagnostic.message;
  }
  return cause === undefined ? undefined : faultOf(trial.feature, trial.variant, cause);
}

function faultOf(feature: TestedFeature, variant: string, cause: string | undefined): Fault {
  const error = new SinterError({
    code: "feature-faulty",
    message: `this device computes ${variant} wrongly: kernels do without ${names[feature]} here`,
    ...(cause === undefined ? {} : { cause }),
    hint: "update the graphics driver or the browser; results are right all the same, and slower",
  });
  return { variant, error };
}

/** The first value that is too far off, in words. NaN is too far off. */
function difference(values: ArrayLike<number>, expected: Float64Array, tolerance: number): string | undefined {
  const most = tolerance * expected.reduce((m, x) => Math.max(m, Math.abs(x)), 0);
  for (let i = 0; i < expected.length; i++) {
    const [value, should] = [values[i] ?? Number.NaN, expected[i]!];
    if (!(Math.abs(value - should) <= most)) return `a self-test gave ${value} where ${should} is right`;
  }
  return undefined;
}

/** Capabilities without one of these features. */
export const without = (c: Capabilities, feature: TestedFeature): Capabilities => ({
  ...c,
  features: { ...c.features, [feature]: false },
});
