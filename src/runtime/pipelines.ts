import { fail, SinterError } from "../base/diagnostic.ts";
import type { KernelSpec } from "../manifest/manifest.ts";
import { descriptorOf, type KnownLayouts, layoutKey, layoutsFor } from "./compiling.ts";
import type { Gpu, WaitOptions } from "./gpu.ts";
import { pace } from "./pace.ts";

/** A kernel ready to dispatch. */
export interface Pipeline {
  readonly kernel: KernelSpec;
  readonly pipeline: GPUComputePipeline;
  readonly layout: GPUBindGroupLayout;
}

export interface CompileOptions extends WaitOptions {
  /** Part of a warm-up: allowed although a strict session is alive, and not counted as late. */
  readonly warmup?: boolean;
}

/** Compute pipelines of one device by {@link KernelSpec.key}: each is compiled once, however many ask for it. */
export class PipelineCache {
  readonly #gpu: Gpu;
  readonly #compiled = new Map<string, Promise<Pipeline>>();
  readonly #ready = new Map<string, Pipeline>();
  readonly #layouts: KnownLayouts = new Map();
  #strict = 0;

  constructor(gpu: Gpu) {
    this.#gpu = gpu;
  }

  /** Number of pipelines ready for use. */
  get size(): number {
    return this.#ready.size;
  }

  has(kernel: KernelSpec): boolean {
    return this.#ready.has(kernel.key);
  }

  /** Whether a strict session is alive: pipelines may then be created by a warm-up only. */
  get strict(): boolean {
    return this.#strict > 0;
  }

  /** @internal Until the returned function is called, a late pipeline is an error. */
  forbidLate(): () => void {
    this.#strict++;
    let done = false;
    return () => {
      if (!done) this.#strict--;
      done = true;
    };
  }

  /**
   * The pipeline of a kernel, compiled now if it never was. Fails with `late-pipeline`, `feature-missing`,
   * `device-too-small` or `kernel-compile-failed`, each naming the kernel. An abort ends the wait, not the compilation,
   * which others may be waiting for.
   */
  get(kernel: KernelSpec, options: CompileOptions = {}): Promise<Pipeline> {
    let found = this.#compiled.get(kernel.key);
    if (!found) {
      try {
        this.#gpu.check();
        if (!options.warmup && this.strict) late(kernel);
        checkKernel(this.#gpu, kernel);
      } catch (e) {
        return Promise.reject(e);
      }
      if (!options.warmup) this.#gpu.counters.latePipelines++;
      const compile = (here: boolean) => this.#compile(kernel, here);
      const { compilers } = this.#gpu;
      found = options.warmup && compilers ? compilers.compile(kernel, compile) : compile(false);
      this.#compiled.set(kernel.key, found);
      found.then(
        (p) => this.#ready.set(kernel.key, p),
        () => this.#compiled.delete(kernel.key),
      );
    }
    return this.#gpu.wait(`compiling ${kernel.label}`, found, options);
  }

  /** `here`: by the calling thread, which can do nothing else meanwhile. */
  async #compile(kernel: KernelSpec, here: boolean): Promise<Pipeline> {
    const gpu = this.#gpu;
    gpu.counters.pipelines++;
    let module: GPUShaderModule | undefined;
    try {
      const [layouts, pending] = await gpu.scoped(`compile ${kernel.label}`, () => {
        module = gpu.device.createShaderModule({ code: kernel.wgsl, label: kernel.label });
        const made = layoutsFor(gpu.device, kernel.bindings, this.#layouts);
        const descriptor = descriptorOf(kernel, module, made);
        const compiling = here
          ? Promise.resolve(gpu.device.createComputePipeline(descriptor))
          : pace(() => gpu.device.createComputePipelineAsync(descriptor));
        compiling.catch(() => undefined);
        // Inside a list: an async function would wait for a bare promise.
        return [made, [compiling]] as const;
      });
      const pipeline = await gpu.wait(`compiling ${kernel.label}`, pending[0]!);
      return { kernel, pipeline, layout: layouts.group };
    } catch (e) {
      // The layouts may be what the device refused.
      this.#layouts.delete(layoutKey(kernel.bindings));
      if (gpu.ended || (e instanceof SinterError && (e.code === "timeout" || e.code === "out-of-memory"))) throw e;
      throw await this.#compileError(kernel, module, e);
    }
  }

  async #compileError(kernel: KernelSpec, module: GPUShaderModule | undefined, error: unknown): Promise<SinterError> {
    let messages: string[] = [];
    try {
      const info =
        module &&
        (await this.#gpu.wait(
          "reading compiler messages",
          pace(() => module.getCompilationInfo()),
        ));
      messages = (info?.messages ?? [])
        .filter((m) => m.type === "error")
        .map((m) => `${m.lineNum}:${m.linePos} ${m.message}`);
    } catch {
      // The error itself is reported all the same.
    }
    const reason = error instanceof SinterError ? (error.diagnostic.cause ?? error.message) : (error as Error).message;
    return new SinterError(
      {
        code: "kernel-compile-failed",
        message: `kernel ${kernel.label}${kernel.place ? ` (${kernel.place})` : ""} does not compile`,
        cause: messages.length ? messages.join("; ") : reason,
        hint: kernel.own
          ? "the kernel is your own WGSL: correct it there; line and column count from the beginning of its text"
          : "this is a fault of the compiler, not of your program: please report it with explain()'s output",
      },
      { cause: error },
    );
  }
}

function late(kernel: KernelSpec): never {
  return fail(
    "late-pipeline",
    `kernel ${kernel.label}${kernel.place ? ` (${kernel.place})` : ""} would be compiled late, while a strict session is running`,
    {
      cause: "strict sessions allow kernels that a warm-up compiled, and no others",
      hint: "load its program before the strict one or with { strict: true }; of a manifest, call warmup(gpu, manifest) first",
    },
  );
}

const featureNames = { f16: "shader-f16", subgroups: "subgroups", subgroupMatrix: "subgroup matrices" } as const;

/** Whether this device can run a kernel at all; said before the shader compiler says it less clearly. */
export function checkKernel(gpu: Gpu, k: KernelSpec): void {
  const { features, limits } = gpu.capabilities;
  for (const f of ["f16", "subgroups", "subgroupMatrix"] as const) {
    if (k.requires[f] && !features[f]) {
      fail("feature-missing", `kernel ${k.label} needs ${featureNames[f]}, which this device lacks`, {
        hint: "compile the program for this device's capabilities",
      });
    }
  }
  const [x, y, z] = k.workgroupSize;
  const needs: readonly (readonly [string, number, number])[] = [
    ["storage buffers", k.bindings.length, limits.maxStorageBuffersPerShaderStage],
    ["bytes of workgroup memory", k.requires.workgroupBytes, limits.maxComputeWorkgroupStorageSize],
    ["invocations in a workgroup", x * y * z, limits.maxComputeInvocationsPerWorkgroup],
    ["invocations along x", x, limits.maxComputeWorkgroupSizeX],
    ["invocations along y", y, limits.maxComputeWorkgroupSizeY],
    ["invocations along z", z, limits.maxComputeWorkgroupSizeZ],
  ];
  for (const [what, needed, offered] of needs) {
    if (needed > offered) {
      fail("device-too-small", `kernel ${k.label} needs ${needed} ${what}, and this device has ${offered}`, {
        hint: "compile the program for this device's capabilities",
      });
    }
  }
}
