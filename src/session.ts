import { Batch } from "./batch.ts";
import type { BatchTensor } from "./batch-tensor.ts";
import { checkDims, type Dims, requireDims } from "./frontend/dims.ts";
import { oneOf, readOptions } from "./frontend/options.ts";
import { isSpec, loneInput, type SpecTree, type Trace } from "./frontend/trace.ts";
import { isBranch, joinPath } from "./frontend/tree.ts";
import type { ExplainReport } from "./fuse/explain.ts";
import type { Graph } from "./ir/graph.ts";
import type { PortSpec } from "./manifest/manifest.ts";
import type { Tuning } from "./manifest/tuning.ts";
import { entryOf, plainValues, type Roles, resultTrees, rolesOf, valuesFor } from "./ports.ts";
import type { Program } from "./program.ts";
import { checkGpu, type Gpu } from "./runtime/gpu.ts";
import type { InputValue } from "./runtime/inputs.ts";
import { loadManifest, type RunOptions, type Session as RuntimeSession } from "./runtime/session.ts";
import type { GpuTensor } from "./runtime/tensor.ts";
import type { Span } from "./runtime/timeline.ts";
import type { WarmupOptions } from "./runtime/warmup.ts";
import { testDevice } from "./self-test.ts";
import { tableFor } from "./tune/choose.ts";
import type { NamedInputs, Results, RunInputs, Value } from "./types.ts";

interface LoadBase extends WarmupOptions {
  /** A size for every named dim of the program. */
  readonly dims?: Dims | undefined;
  /** While the session lives, a kernel compiled outside a warm-up is the error `late-pipeline`. */
  readonly strict?: boolean | undefined;
  /** Overrides the program's own choice. */
  readonly fuse?: "profit" | "legal" | "off" | undefined;
  /** The measurements to choose variants of kernels and fusions by; default what the device was opened with. */
  readonly tuning?: Tuning | undefined;
}

/**
 * `weights` and `state` are trees of values for the inputs that the program was compiled to take there. Their arrays are read
 * while the load is pending: change none before it resolves.
 */
export type LoadOptions<S, W extends string, N extends string> = LoadBase &
  ([W] extends [never] ? { readonly weights?: undefined } : { readonly weights: NamedInputs<S, W, Value> }) &
  ([N] extends [never] ? { readonly state?: undefined } : { readonly state: NamedInputs<S, N, Value> });

/** What a run of a batch takes for an input: also results of its earlier runs. */
export type SessionInput = Value | BatchTensor;

/** @internal What a profile tells of besides the runs: the kernels, and how long it took to make them. */
export interface Made {
  readonly report: ExplainReport;
  readonly spans: readonly Span[];
}

/**
 * A program on a device at known sizes: memory allocated, kernels compiled. A run is one submit and in steady state
 * creates no buffer, bind group or pipeline.
 */
export class Session<S = unknown, R = unknown, W extends string = never, N extends string = never> {
  readonly gpu: Gpu;
  readonly program: { readonly graph: Graph };
  /** The sizes of the program's named dims. */
  readonly dims: Dims;
  /** @internal */
  readonly inner: RuntimeSession;
  /** @internal */
  readonly traced: Trace;
  /** @internal */
  readonly made: Made;
  readonly #roles: Roles;
  /** Names of the inputs of a run, where they are a plain record: no paths have to be made for them. */
  readonly #names: ReadonlySet<string> | undefined;
  readonly #results: ReturnType<typeof resultTrees>;

  /** @internal Use {@link Program.load}. */
  constructor(
    program: { readonly graph: Graph; readonly traced: Trace },
    dims: Dims,
    inner: RuntimeSession,
    made: Made,
  ) {
    this.gpu = inner.gpu;
    this.program = program;
    this.traced = program.traced;
    this.dims = dims;
    this.inner = inner;
    this.made = made;
    this.#roles = rolesOf(program.graph);
    this.#names = recordOf(program.traced.specs, inner.manifest.inputs);
    this.#results = resultTrees(program.traced, (name) => entryOf(inner.state, name));
  }

  /**
   * Runs the program once; resolves when the work is submitted. Results stay on the GPU until their `data()` is asked
   * for. In the tree of results, state is the session's own tensor, which later runs change.
   * @param inputs a value for every input that is neither weight nor state, as a tree like that of the specs
   * @throws SinterError `missing-input`, `extra-input`, `wrong-size`, `wrong-dtype`, `disposed`, `device-lost`
   */
  async run(inputs: RunInputs<S, W | N, SessionInput>, options: RunOptions = {}): Promise<Results<R>> {
    const results = await this.inner.run(this.flatInputs(inputs), options);
    return this.#results((name) => entryOf(results, name)) as Results<R>;
  }

  /** @internal The values of a run for the runtime, by name. */
  flatInputs(inputs: RunInputs<S, W | N, SessionInput>): Record<string, InputValue> {
    const ports = this.inner.manifest.inputs;
    const given = Object.entries(isBranch(inputs) && !Array.isArray(inputs) ? inputs : {});
    const plain = given.length === this.#names?.size && given.every(([k, v]) => v != null && this.#names?.has(k));
    const values = plain ? new Map(given) : valuesFor(this.traced, this.#roles, "data", inputs);
    return plainValues(ports, values);
  }

  /** The state as a tree of tensors that show its current value whenever they are read. */
  get state(): NamedInputs<S, N, GpuTensor> {
    const { state } = this.inner;
    const build = (spec: SpecTree, path: string): unknown => {
      if (isSpec(spec)) return entryOf(state, path === "" ? loneInput : path);
      const branch = spec as Readonly<Record<string, SpecTree>>;
      const entries = Object.keys(branch)
        .map((k) => [k, build(branch[k] as SpecTree, joinPath(path, k))] as const)
        .filter(([, v]) => v !== undefined);
      if (entries.length === 0) return undefined;
      return Array.isArray(spec) ? Object.assign([], Object.fromEntries(entries)) : Object.fromEntries(entries);
    };
    return (build(this.traced.specs, "") ?? {}) as NamedInputs<S, N, GpuTensor>;
  }

  /** Replaces state between runs. What is left out keeps its value. */
  async setState(values: Partial<NamedInputs<S, N, Value>>): Promise<void> {
    const flat = valuesFor(this.traced, this.#roles, "state", values, { at: "setState", partial: true });
    await this.inner.setState(plainValues(this.inner.manifest.state, flat));
  }

  /** A batch of runs, of this session and others on the same device, that go to the GPU in one submit. */
  batch(): Batch {
    this.inner.loaded;
    return new Batch(this.gpu);
  }

  get disposed(): boolean {
    return this.inner.disposed;
  }

  /** Gives the session's memory back. Results stay valid. */
  dispose(): void {
    this.inner.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}

/** The names of ports that are leaves at the top of the tree of specs, if all are. */
function recordOf(specs: SpecTree, ports: readonly PortSpec[]): ReadonlySet<string> | undefined {
  if (!isBranch(specs) || Array.isArray(specs)) return undefined;
  const top = ports.every((p) => Object.hasOwn(specs, p.name) && isSpec(specs[p.name]));
  return top && ports.length > 0 ? new Set(ports.map((p) => p.name)) : undefined;
}

/** @internal Compiles and loads a program. */
export async function loadProgram(
  gpu: Gpu,
  program: Pick<Program, "graph" | "dims" | "traced" | "compiled" | "span">,
  options: object,
): Promise<Session> {
  const o = readOptions("load", options as LoadOptions<unknown, string, string>, {
    weights: undefined,
    state: undefined,
    dims: undefined,
    onProgress: undefined,
    concurrency: undefined,
    strict: false,
    signal: undefined,
    store: undefined,
    fuse: undefined,
    tuning: undefined,
  });
  checkGpu("load", gpu);
  const dims = checkDims(o.dims ?? {}, program.dims.keys());
  requireDims(dims, program.dims.keys(), (missing) => `bind them: load(gpu, { dims: { ${missing} } })`);
  const fuse = o.fuse === undefined ? undefined : oneOf("load", "fuse", o.fuse, ["profit", "legal", "off"]);
  const roles = rolesOf(program.graph);
  const weights = valuesFor(program.traced, roles, "weight", o.weights);
  const state = valuesFor(program.traced, roles, "state", o.state);
  const table = tableFor(gpu, o.tuning ?? gpu.tuning);
  const tuning = table instanceof Promise ? await table : table;
  const guard = gpu.checkMemory ? 256 : 0;
  const compiled = () => program.compiled(dims, gpu.capabilities, { fuse, guard, tuning });
  let made = compiled();
  const { manifest } = made;
  const { onProgress, concurrency, strict, signal, store } = o;
  const began = performance.now();
  const test = async () => {
    const fallback = await testDevice(gpu, made, compiled);
    if (fallback) made = fallback.compiled as typeof made;
    return fallback;
  };
  const inner = await loadManifest(
    gpu,
    manifest,
    {
      weights: plainValues(manifest.weights, weights),
      state: plainValues(manifest.state, state),
      onProgress,
      concurrency,
      strict,
      signal,
      store,
    },
    { test },
  );
  const { report, span } = made;
  const name = `${made.manifest.kernels.length} pipelines, memory, weights and state`;
  const load: Span = { lane: "compile", name, began, ended: performance.now() };
  return new Session(program, dims, inner, { report, spans: [program.span, span, load] });
}
