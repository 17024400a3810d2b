import { fail } from "./base/diagnostic.ts";
import { BatchTensor } from "./batch-tensor.ts";
import { checkDims, type Dims, inferDims, requireDims } from "./frontend/dims.ts";
import { describe } from "./frontend/tensor.ts";
import { flattenSpecs, type Trace } from "./frontend/trace.ts";
import { measure } from "./frontend/values.ts";
import { shapeEqual, sizeOf } from "./ir/dim.ts";
import { typeText } from "./ir/graph.ts";
import { cacheOf, type LoadTest } from "./loaded.ts";
import type { Manifest, PortSpec } from "./manifest/manifest.ts";
import { entryOf, plainValue, resultTree, rolesOf, valuesFor } from "./ports.ts";
import type { Program } from "./program.ts";
import { Batch as RuntimeBatch, type BatchInput as RuntimeInput } from "./runtime/batch.ts";
import type { Gpu, WaitOptions } from "./runtime/gpu.ts";
import { checkOptions } from "./runtime/options.ts";
import type { Session as RuntimeSession } from "./runtime/session.ts";
import { GpuTensor, isGpuBuffer } from "./runtime/tensor.ts";
import { toBytes } from "./runtime/values.ts";
import { testDevice } from "./self-test.ts";
import type { Session, SessionInput } from "./session.ts";
import type { Results, RunInputs, StateName } from "./types.ts";

interface Run {
  readonly manifest: Manifest;
  /** The session that runs it; undefined for a program that the batch loads itself. */
  readonly session: RuntimeSession | undefined;
  /** With the load of such a program: whether the device computes its kernels rightly. */
  readonly test?: LoadTest;
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
    if (typeof target !== "object" || target === null || !("traced" in target)) {
      fail("bad-arguments", `a batch runs a session or a program, not ${describe(target)}`, {
        hint: "write batch.run(session, { x })",
      });
    }
    const { traced } = target;
    const values = valuesFor(traced, rolesOf(traced.graph), "data", inputs);
    for (const [path, v] of values) this.#checkHandle(path, v);
    const { manifest, session, test }: Pick<Run, "manifest" | "session" | "test"> =
      "inner" in target ? ofSession(this.gpu, target) : this.#ofProgram(target, values, options.dims);
    const handles = new Map([...manifest.outputs, ...manifest.state].map((p) => [p.name, new BatchTensor(this, p)]));
    const own = new Map(manifest.inputs.map((port) => [port.name, snapshot(port, values.get(port.name))]));
    this.#runs.push({ manifest, session, inputs: own, handles, ...(test && { test }) });
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
    const dims = dimsFrom(traced, program, values, known);
    const again = () => program.compiled(dims, this.gpu.capabilities);
    const compiled = again();
    return {
      session: undefined,
      manifest: compiled.manifest,
      test: () => testDevice(this.gpu, compiled, again),
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
    if (value.disposed)
      fail("disposed", `the batch result given for ${name} was disposed`, {
        hint: "read or pass it on before disposing it",
      });
  }

  /** Sends every recorded run to the GPU in one submit, after loading programs that were not. A batch is submitted once. */
  async submit(options: WaitOptions = {}): Promise<void> {
    if (this.#submitted) fail("already-submitted", "the batch was already submitted", { hint: "start a new batch" });
    checkOptions("submit", options, ["signal"]);
    this.#submitted = true;
    this.gpu.check();
    const cache = cacheOf(this.gpu);
    const own = this.#runs.filter((r) => !r.session);
    const held = own.map((r) => r.manifest);
    const loads = new Map(own.map((r) => [r.manifest, cache.hold(r.manifest, r.test)]));
    try {
      const batch = new RuntimeBatch(this.gpu);
      for (const run of this.#runs) {
        const load = loads.get(run.manifest) as Promise<RuntimeSession>;
        const session = run.session ?? (await this.gpu.wait("loading a program", load, options));
        const inputs = [...run.inputs].map(([name, v]) => [name, v instanceof BatchTensor ? v.inner : v]);
        const results = batch.run(session, Object.fromEntries(inputs) as Record<string, RuntimeInput>);
        for (const name of Object.keys(session.state)) entryOf(results, name)?.dispose();
        for (const [name, handle] of run.handles) {
          handle.resolve(entryOf(session.state, name) ?? entryOf(results, name));
        }
      }
      await batch.submit(options);
    } finally {
      for (const m of held) cache.release(m);
    }
  }
}

function ofSession(gpu: Gpu, { inner }: Session) {
  if (inner.gpu !== gpu)
    fail("wrong-device", "the session lives on another device than the batch", {
      hint: "load the program on the batch's device, or start a batch of this session",
    });
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

const words = { f32: Float32Array, f16: Uint16Array, i32: Int32Array, u32: Uint32Array, bool: Uint32Array } as const;

/** Checks a value and takes a copy of it: the caller may change its arrays as soon as the run is recorded. */
function snapshot(port: PortSpec, value: unknown): unknown {
  if (value instanceof BatchTensor || value instanceof GpuTensor) return checkType(port, value);
  const plain = plainValue(port, value);
  if (plain instanceof GpuTensor || isGpuBuffer(plain)) return plain;
  const bytes = toBytes(port, plain).slice();
  return new words[port.dtype](bytes.buffer, 0, sizeOf(port.shape));
}

function checkType<T extends BatchTensor | GpuTensor>(port: PortSpec, value: T): T {
  if (value.dtype !== port.dtype || !shapeEqual(value.shape, port.shape)) {
    const code = value.dtype === port.dtype ? "wrong-size" : "wrong-dtype";
    fail(code, `${JSON.stringify(port.name)} is ${typeText(port)}, and the tensor given for it ${typeText(value)}`, {
      hint: "give a tensor of that dtype and shape",
    });
  }
  return value;
}
