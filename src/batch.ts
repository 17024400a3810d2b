import { fail } from "./base/diagnostic.ts";
import { BatchTensor } from "./batch-tensor.ts";
import { checkDims, type Dims, inferDims, requireDims } from "./frontend/dims.ts";
import { flattenSpecs, type Trace } from "./frontend/trace.ts";
import { measure } from "./frontend/values.ts";
import type { Manifest } from "./manifest/manifest.ts";
import { plainValue, resultTree, rolesOf, valuesFor } from "./ports.ts";
import type { Program } from "./program.ts";
import { Batch as RuntimeBatch, type BatchInput as RuntimeInput } from "./runtime/batch.ts";
import type { Gpu, WaitOptions } from "./runtime/gpu.ts";
import { loadManifest, type Session as RuntimeSession } from "./runtime/session.ts";
import type { Session, SessionInput } from "./session.ts";
import type { Results, RunInputs, StateName } from "./types.ts";

interface Run {
  readonly manifest: Manifest;
  /** The session that runs it; undefined for a program that the batch loads itself. */
  readonly session: RuntimeSession | undefined;
  readonly inputs: ReadonlyMap<string, unknown>;
  readonly handles: ReadonlyMap<string, BatchTensor>;
}

/**
 * Runs that are recorded one by one and go to the GPU together in one submit. Every run sees its own inputs: arrays are
 * copied when they are given.
 */
export class Batch {
  readonly gpu: Gpu;
  readonly #runs: Run[] = [];
  #submitted = false;

  /** @internal Use {@link Session.batch}. */
  constructor(gpu: Gpu) {
    this.gpu = gpu;
  }

  /**
   * Records a run of a session, or of a program without weights and state, whose named dims follow from the shapes of
   * its inputs. Inputs may be results of earlier runs of this batch.
   * @returns the tree of results: their shapes are known now, their content after {@link submit}
   */
  run<S, R, W extends string, N extends string>(
    program: Session<S, R, W, N>,
    inputs: RunInputs<S, W | N, SessionInput>,
  ): Results<R, BatchTensor>;
  run<S, R, W extends string, D extends string>(
    program: Program<S, R, W, D>,
    inputs: RunInputs<S, W | StateName<D, R>, SessionInput>,
    options?: { readonly dims?: Dims },
  ): Results<R, BatchTensor>;
  run(what: unknown, inputs: unknown, options: { readonly dims?: Dims } = {}): unknown {
    if (this.#submitted) fail("already-submitted", "the batch was already submitted", { hint: "start a new batch" });
    this.gpu.check();
    const target = what as Session | Program;
    const { traced } = target;
    const values = valuesFor(traced, rolesOf(traced.graph), "data", inputs);
    for (const [path, v] of values) this.#checkHandle(path, v);
    const { manifest, session } =
      "inner" in target ? ofSession(this.gpu, target) : this.#ofProgram(target, values, options.dims);
    const handles = new Map(manifest.outputs.map((port) => [port.name, new BatchTensor(this, port)]));
    const own = new Map(manifest.inputs.map((port) => [port.name, snapshot(port, values.get(port.name))]));
    this.#runs.push({ manifest, session, inputs: own, handles });
    return resultTree(traced, (name) => handles.get(name));
  }

  #ofProgram(program: Program, values: ReadonlyMap<string, unknown>, known: Dims = {}) {
    const { traced } = program;
    const held = program.graph.inputs.find((n) => n.attrs.role !== "data");
    if (held) {
      fail(
        "not-loaded",
        `the program has the ${held.attrs.role} ${JSON.stringify(held.attrs.name)} and was not loaded`,
        {
          cause: "weights and state live in a session",
          hint: "pass the session that program.load(gpu, …) gives",
        },
      );
    }
    return {
      session: undefined,
      manifest: program.compiled(dimsFrom(traced, program, values, known), this.gpu.capabilities).manifest,
    };
  }

  #checkHandle(path: string, value: unknown): void {
    if (!(value instanceof BatchTensor)) return;
    const name = JSON.stringify(path);
    if (value.batch !== this) {
      fail("foreign-handle", `the value given for ${name} is a result of another batch`, {
        hint: "submit that batch first and pass its result's .tensor",
      });
    }
    if (value.disposed) fail("disposed", `the batch result given for ${name} was disposed`);
  }

  /** Sends every recorded run to the GPU in one submit, after loading programs that were not. A batch is submitted once. */
  async submit(options: WaitOptions = {}): Promise<void> {
    if (this.#submitted) fail("already-submitted", "the batch was already submitted", { hint: "start a new batch" });
    this.#submitted = true;
    this.gpu.check();
    const cache = cacheOf(this.gpu);
    const used = this.#runs.filter((r) => !r.session).map((r) => r.manifest);
    for (const m of used) cache.hold(m, options);
    try {
      const batch = new RuntimeBatch(this.gpu);
      for (const run of this.#runs) {
        const session = run.session ?? (await cache.session(run.manifest));
        const inputs = [...run.inputs].map(([name, v]) => [name, v instanceof BatchTensor ? v.inner : v]);
        const results = batch.run(session, Object.fromEntries(inputs) as Record<string, RuntimeInput>);
        for (const [name, handle] of run.handles) {
          handle.inner = results[name];
          if (handle.disposed) handle.dispose();
        }
      }
      await batch.submit(options);
    } finally {
      for (const m of used) cache.release(m);
    }
  }
}

function ofSession(gpu: Gpu, { inner }: Session) {
  if (inner.gpu !== gpu) fail("wrong-device", "the session lives on another device than the batch");
  inner.loaded;
  return { session: inner, manifest: inner.manifest };
}

/** Sizes of a program's dims by the values given for its inputs. */
function dimsFrom(traced: Trace, program: Program, values: ReadonlyMap<string, unknown>, known: Dims): Dims {
  if (program.dims.size === 0) return checkDims(known, []);
  const given = flattenSpecs(traced.specs).map(({ path, value }) => measure(path, value, values.get(path)));
  const dims = inferDims(given, checkDims(known, program.dims.keys()));
  requireDims(
    dims,
    program.dims.keys(),
    (missing) =>
      `give inputs with shapes, as tensor(data, shape) has, or the sizes: run(program, inputs, { dims: { ${missing} } })`,
  );
  return dims;
}

/** The caller may change its arrays as soon as the run is recorded. */
function snapshot(port: Manifest["inputs"][number], value: unknown): unknown {
  if (value instanceof BatchTensor) return value;
  const plain = plainValue(port, value) as unknown;
  if (ArrayBuffer.isView(plain)) return (plain as Float32Array).slice();
  return Array.isArray(plain) ? structuredClone(plain) : plain;
}

/** Programs that batches loaded stay loaded, so that the next batch finds them. */
interface Entry {
  readonly session: Promise<RuntimeSession>;
  users: number;
}

const kept = 64;

class Cache {
  readonly #gpu: Gpu;
  readonly #entries = new Map<Manifest, Entry>();

  constructor(gpu: Gpu) {
    this.#gpu = gpu;
  }

  hold(manifest: Manifest, options: WaitOptions): void {
    const known = this.#entries.get(manifest);
    this.#entries.delete(manifest);
    const entry = known ?? { session: loadManifest(this.#gpu, manifest, { signal: options.signal }), users: 0 };
    entry.users++;
    this.#entries.set(manifest, entry);
    if (!known) entry.session.catch(() => this.#entries.delete(manifest));
  }

  session(manifest: Manifest): Promise<RuntimeSession> {
    return (this.#entries.get(manifest) as Entry).session;
  }

  release(manifest: Manifest): void {
    const entry = this.#entries.get(manifest);
    if (entry) entry.users--;
    for (const [m, e] of this.#entries) {
      if (this.#entries.size <= kept) return;
      if (e.users > 0) continue;
      this.#entries.delete(m);
      e.session.then((s) => s.dispose());
    }
  }
}

const caches = new WeakMap<Gpu, Cache>();
function cacheOf(gpu: Gpu): Cache {
  const known = caches.get(gpu) ?? new Cache(gpu);
  caches.set(gpu, known);
  return known;
}
