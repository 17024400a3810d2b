import { fail } from "../base/diagnostic.ts";
import { checkManifest } from "../manifest/check.ts";
import type { Manifest, PortSpec } from "../manifest/manifest.ts";
import { checkManifestSet, isManifestSet, type ManifestSet, manifestAt, type SizesByName } from "../manifest/set.ts";
import { MemoryChecks } from "./check-memory.ts";
import { onePass } from "./encode.ts";
import { aboutBuffers } from "./errors.ts";
import { checkGpu, type Gpu, type WaitOptions } from "./gpu.ts";
import { type BoundInputs, bindInputs, type InputValue } from "./inputs.ts";
import { checkOptions } from "./options.ts";
import { programOptions } from "./program-options.ts";
import { type Call, makeCall, startCalls } from "./run.ts";
import { requireSums } from "./self-test.ts";
import { replaceable, type Storage } from "./storage.ts";
import { GpuTensor, type Place } from "./tensor.ts";
import { addUsage } from "./usage-store.ts";
import { bytesOf } from "./values.ts";
import { type PrepareOptions, prepare, type WarmupOptions, warmupOptions } from "./warmup.ts";

/** Options of {@link loadManifest}. */
export interface LoadOptions extends WarmupOptions {
  /** By name. Host data is uploaded; a GPU tensor or GPUBuffer is used in place where the program allows it. */
  readonly weights?: Readonly<Record<string, InputValue>> | undefined;
  /** Initial state by name. */
  readonly state?: Readonly<Record<string, InputValue>> | undefined;
  /** While this session lives, a pipeline created outside a warm-up is the error `late-pipeline`. */
  readonly strict?: boolean | undefined;
  /** Which program of a manifest of several sizes: a size for every named dim. */
  readonly dims?: SizesByName | undefined;
}

/** Options of a session's run. */
export interface RunOptions extends WaitOptions {
  /** Copy the results back within the run's own submit, so that `data()` needs none. */
  readonly read?: boolean | undefined;
  /**
   * Longest time that the device should be busy without a pause, in milliseconds, for pages that must stay responsive: the run
   * is divided into several submits, each after the one before is done, by what its dispatches took the last time. `run` then
   * resolves later, with the last submit. A dispatch is never divided; device memory checks turn this off.
   */
  readonly maxSubmitMs?: number | undefined;
}

/** @internal What sessions keep for runs and batches. */
export interface Loaded {
  readonly gpu: Gpu;
  readonly manifest: Manifest;
  readonly storage: Storage;
  readonly stateMoves: readonly StateMove[];
  /** Where the device checks memory. */
  readonly checks: MemoryChecks | undefined;
  /** Outputs that runs hand out: an output that is the new value of a state is read from the state instead. */
  readonly results: readonly PortSpec[];
}

/** How `next` becomes a state: directly, or through `temporary` where states exchange their places. */
export interface StateMove {
  readonly port: Manifest["state"][number];
  readonly temporary: boolean;
}

/**
 * A program loaded on a device: buffers allocated, bind groups made, pipelines compiled. A run costs one command
 * encoder, one compute pass and one submit, and in steady state creates no buffer, bind group or pipeline: results
 * are copied, in the run's submit, into pooled buffers, so they stay valid until they are disposed (or collected).
 */
export class Session {
  readonly gpu: Gpu;
  readonly manifest: Manifest;
  /** State tensors by name: they show the current value whenever they are read. */
  readonly state: Readonly<Record<string, GpuTensor>>;
  readonly #loaded: Loaded;
  readonly #endStrict: (() => void) | undefined;
  #disposed = false;

  /** @internal Use {@link loadManifest}. */
  constructor(loaded: Loaded, endStrict?: () => void) {
    this.gpu = loaded.gpu;
    this.manifest = loaded.manifest;
    this.#loaded = loaded;
    this.#endStrict = endStrict;
    this.state = Object.fromEntries(
      loaded.manifest.state.map((port) => {
        const { buffer, offset } = loaded.storage.places[port.window.buffer]!;
        const place: Place = { buffer, offset: offset + port.window.offset };
        return [port.name, new GpuTensor(this.gpu, port, place, { owner: this })];
      }),
    );
  }

  get disposed(): boolean {
    return this.#disposed;
  }

  get inputs(): readonly PortSpec[] {
    return this.manifest.inputs;
  }

  /** What a run gives. An output that is the new value of a state is not among them: read it from `state`. */
  get outputs(): readonly PortSpec[] {
    return this.#loaded.results;
  }

  /** @internal */
  get loaded(): Loaded {
    if (this.#disposed) fail("disposed", "the session was disposed", { hint: "load the program again" });
    return this.#loaded;
  }

  /**
   * Runs the program once. Resolves as soon as the work is submitted; overlapping runs take effect in the order of the
   * calls. Arrays are read before the call returns.
   * @param inputs one value for each input, by name
   * @returns one tensor for each of {@link outputs}, by name
   */
  async run(
    inputs: Readonly<Record<string, InputValue>> = {},
    options: RunOptions = {},
  ): Promise<Record<string, GpuTensor>> {
    checkOptions("run", options, ["signal", "read", "maxSubmitMs"], programOptions);
    this.gpu.check();
    const call = this.#call(inputs);
    const [results] = await startCalls(this.gpu, [call], options);
    return results!;
  }

  #call(inputs: object): Call {
    const loaded = this.loaded;
    const bound = bindInputs(this.gpu, "input", this.manifest.inputs, inputs, loaded.storage.rebindable);
    return makeCall(this, bound);
  }

  /** Replaces state between runs. Names left out keep their value. */
  async setState(values: Readonly<Record<string, InputValue>>): Promise<void> {
    this.gpu.check();
    const ports = this.manifest.state.filter((p) => Object.hasOwn(values, p.name));
    const { loaded } = this;
    await upload(loaded, "state", bindInputs(this.gpu, "state", ports, values, new Set()));
  }

  /** Gives the memory back to the device's pool. Results stay valid; pending runs fail with `disposed`. */
  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    this.#endStrict?.();
    this.#loaded.checks?.dispose();
    this.#loaded.storage.release();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}

/**
 * Loads a program: checks the manifest, compiles and primes its kernels, allocates its buffers, uploads constants,
 * weights and state, and runs once what depends on these alone. Whatever fails, nothing is held.
 */
export async function loadManifest(
  gpu: Gpu,
  manifest: Manifest | ManifestSet,
  options: LoadOptions = {},
  /** @internal */
  inner: Partial<PrepareOptions> = {},
): Promise<Session> {
  checkGpu("loadManifest", gpu);
  checkOptions("load", options, ["weights", "state", "strict", "dims", ...warmupOptions]);
  gpu.check();
  const first = manifestFor(manifest, options.dims);
  const { warm = options.strict === true || !gpu.pipelines.strict, test = () => requireSums(gpu, [first]) } = inner;
  const bind = (m: Manifest) => ({
    weights: bindInputs(gpu, "weight", m.weights, options.weights ?? {}, replaceable(m)),
    state: bindInputs(gpu, "state", m.state, options.state ?? {}, new Set()),
  });
  let { weights, state } = bind(first);
  const given = (m: Manifest): ReadonlyMap<number, Place> => {
    if (m !== first) ({ weights, state } = bind(m));
    return new Map(
      weights.inputs.flatMap((w) =>
        w.kind === "gpu" && w.bind ? [[w.port.window.buffer, w.source.place] as const] : [],
      ),
    );
  };
  const { storage, programs } = await prepare(gpu, [first], { ...options, warm, given, test }).catch((e: unknown) => {
    throw aboutBuffers(e, weights.foreign);
  });
  const m = programs[0]!;
  const checks = gpu.checkMemory ? new MemoryChecks(gpu, m, storage) : undefined;
  try {
    const loaded: Loaded = { gpu, manifest: m, storage, stateMoves: stateMoves(m), checks, results: resultsOf(m) };
    await gpu.inOrder(() => gpu.guard("write constants", () => writeConstants(loaded)));
    await upload(loaded, "weights", weights, options);
    await upload(loaded, "state", state, options);
    if (storage.setup.length > 0) await setUp(loaded, options);
    if (m.weights.length + m.state.length > 0) await settle(gpu, options);
    gpu.check();
    void addUsage(
      options.store,
      m.kernels.map((k) => k.key),
    );
    return new Session(loaded, options.strict ? gpu.pipelines.forbidLate() : undefined);
  } catch (e) {
    checks?.dispose();
    storage.release();
    throw aboutBuffers(e, [...weights.foreign, ...state.foreign]);
  }
}

function manifestFor(manifest: Manifest | ManifestSet, dims: SizesByName | undefined): Manifest {
  if (isManifestSet(manifest)) return manifestAt(checkManifestSet(manifest), dims);
  if (dims === undefined) return checkManifest(manifest);
  return fail("bad-option", "load: dims were given with a manifest of one size", {
    cause: "its sizes are part of it",
    hint: "leave dims out, or build the manifest with a list of sizes: program.manifest({ dims: [{ … }, { … }] })",
  });
}

function writeConstants({ gpu, manifest, storage }: Loaded): void {
  const cleared = manifest.buffers.flatMap(({ clear }, i) => (clear ? [storage.places[i]!] : []));
  if (cleared.length > 0) {
    const encoder = gpu.device.createCommandEncoder();
    cleared.forEach(({ buffer, offset }) => {
      encoder.clearBuffer(buffer, offset);
    });
    gpu.submit([encoder.finish()]);
  }
  manifest.buffers.forEach(({ init }, i) => {
    if (!init?.length) return;
    gpu.write(storage.places[i]!.buffer, 0, new Uint8Array(init.buffer, init.byteOffset, init.byteLength));
  });
}

async function setUp({ gpu, storage, checks }: Loaded, options: WaitOptions): Promise<void> {
  const checked = checks?.setup();
  const run = (): void => {
    const encoder = gpu.device.createCommandEncoder();
    gpu.counters.setupDispatches += (checked?.passes ?? onePass)(encoder, storage.setup, (s) => s.group);
    gpu.submit([encoder.finish()]);
  };
  await gpu.inOrder(() => gpu.scoped("run setup", run, options));
  await checked?.verify(options);
}

/** Waits until uploads are done, and for one submit more: what they went through is freed then, which should not be in the first run. */
async function settle(gpu: Gpu, { signal }: WaitOptions): Promise<void> {
  await gpu.idle({ signal });
  gpu.guard("finish the uploads", () => gpu.submit([]));
  await gpu.idle({ signal });
}

/** Writes values into the windows of their ports. Buffers that were bound in place need nothing. */
async function upload(
  { gpu, storage }: Loaded,
  what: string,
  { inputs }: BoundInputs,
  options: WaitOptions = {},
): Promise<void> {
  const write = (): void => {
    const encoder = gpu.device.createCommandEncoder();
    let copies = 0;
    for (const input of inputs) {
      const { window, name } = input.port;
      const to = storage.places[window.buffer]!;
      if (input.kind === "bytes") {
        if (input.bytes.length > 0) gpu.write(to.buffer, to.offset + window.offset, input.bytes);
      } else if (!input.bind) {
        const from = input.source.place;
        if (from.buffer === to.buffer)
          fail("wrong-value", `${JSON.stringify(name)} cannot be set to itself`, {
            hint: "leave it out: state that is not given keeps its value",
          });
        encoder.copyBufferToBuffer(from.buffer, from.offset, to.buffer, to.offset + window.offset, bytesOf(input.port));
        copies++;
      }
    }
    if (copies > 0) gpu.submit([encoder.finish()]);
  };
  if (inputs.length > 0) await gpu.inOrder(() => gpu.scoped(`write the ${what}`, write, options));
}

function resultsOf(m: Manifest): readonly PortSpec[] {
  const states = new Set(m.state.map((s) => s.name));
  return m.outputs.filter((o) => !states.has(o.name));
}

/**
 * A state whose new value was computed in place needs nothing. The others are copied, by way of temporary memory where
 * the source lies in a buffer that holds states: the copies of one step must not see each other, and WebGPU copies
 * between different buffers only.
 */
function stateMoves(m: Manifest): StateMove[] {
  const holders = new Set(m.state.map((s) => s.window.buffer));
  return m.state
    .filter((s) => s.next.buffer !== s.window.buffer || s.next.offset !== s.window.offset)
    .map((port) => ({ port, temporary: holders.has(port.next.buffer) }));
}
