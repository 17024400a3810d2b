import { fail } from "../../base/diagnostic.ts";
import type { Kernel } from "../../manifest/kernel-module.ts";
import { describe } from "../describe.ts";
import { checkOptions } from "../options.ts";
import type { UsageStore } from "../usage-store.ts";
import { type KernelCounters, makeCore } from "./core.ts";
import { makeGroups } from "./groups.ts";
import type { Entry } from "./library.ts";
import type { KernelTensor } from "./operands.ts";
import { type KernelRunOptions, makeRunner } from "./run.ts";
import { makeSlots } from "./slots.ts";
import { makeTexts } from "./texts.ts";
import { type KernelRequest, type KernelWarmupOptions, type KernelWarmupReport, warmKernels } from "./warmup.ts";

/** Options of {@link createRuntime}. */
export interface KernelRuntimeOptions {
  /** The caller's device; it stays the caller's. */
  readonly device: GPUDevice;
  /** Where it is kept, from one visit to the next, which texts were used: those are warmed first. */
  readonly store?: UsageStore | undefined;
  /** The features that kernels may use; default all that the device was opened with. */
  readonly features?: Iterable<string> | undefined;
  /** A `run` whose kernel no warm-up compiled is the error `late-pipeline`, instead of compiling it then. */
  readonly strict?: boolean | undefined;
  /**
   * Argument blocks kept, 256 bytes each; default 4096. An encoder must be submitted before that many other distinct
   * combinations of kernel, sizes, scalars and offsets have been run.
   */
  readonly maxSlots?: number | undefined;
}

/** Generated kernels on one device. */
export interface KernelRuntime {
  readonly device: GPUDevice;
  readonly counters: Readonly<KernelCounters>;
  /**
   * Loads the richest texts that the device takes, compiles each distinct one once, and submits it with no workgroups,
   * since some drivers compile at the first dispatch. Fails with `not-built`, `wrong-dtype`, `feature-missing`,
   * `kernel-compile-failed`, `kernel-load-failed`, `aborted`, `device-lost` or `disposed`.
   */
  warmup(kernels: readonly KernelRequest[], options?: KernelWarmupOptions): Promise<KernelWarmupReport>;
  /**
   * Runs a kernel on the caller's buffers: in the given pass, in a pass of its own in the given encoder, or in a submit
   * of its own. Calls take effect in their order, each with its own sizes. A call that is refused records nothing.
   * @param sizes sizes and scalars by name
   */
  run<T extends string, S extends string>(
    kernel: Kernel<T, S>,
    tensors: Readonly<Record<T, KernelTensor>>,
    sizes: Readonly<Record<S, number>>,
    options?: KernelRunOptions,
  ): void;
  /** Destroys what the runtime allocated; commands recorded with it must have been submitted. The device lives on. */
  dispose(): void;
  [Symbol.dispose](): void;
}

/**
 * Makes a runtime for generated kernels on a device that the caller has opened, in a browser or through Dawn in Node.
 * Fails with `bad-arguments`, `bad-option`, `unknown-option` or `device-lost`.
 */
export async function createRuntime(options: KernelRuntimeOptions): Promise<KernelRuntime> {
  const device = options?.device;
  if (typeof device?.createComputePipelineAsync !== "function") {
    fail("bad-arguments", `createRuntime takes { device } with a GPUDevice, not ${describe(device ?? options)}`, {
      hint: "open one: await (await navigator.gpu.requestAdapter()).requestDevice(); of a Gpu, give its .device",
    });
  }
  checkOptions("createRuntime", options, ["device", "store", "features", "strict", "maxSlots"]);
  const { store, features = device.features, strict = false, maxSlots = 4096 } = options;
  if (!(Number.isInteger(maxSlots) && maxSlots >= 16 && maxSlots <= 2 ** 20)) {
    fail("bad-option", `createRuntime: maxSlots cannot be ${describe(maxSlots)}`, {
      hint: "give a whole number from 16 to 1048576, or leave it out",
    });
  }
  const core = makeCore(device, features);
  // A device that is lost already says so in the next turn.
  await Promise.resolve();
  core.check();
  const slots = makeSlots(core, maxSlots);
  const groups = makeGroups(core, slots.buffer);
  const texts = makeTexts(core, groups);
  const entries = new WeakMap<Kernel, Entry>();
  const runner = makeRunner({ core, entries, texts, groups, slots, store, strict });
  const dispose = (): void => {
    core.end("disposed", "the runtime was disposed", "make one that lives as long as the calls to it");
    runner.dispose();
    for (const b of [groups.zeros, groups.sink, slots.buffer]) b.destroy();
  };
  return {
    device,
    counters: core.counters,
    warmup: (kernels, o = {}) => warmKernels({ core, entries, texts, store }, kernels, o),
    run: (kernel, tensors, sizes, o) => runner.run(kernel, tensors, sizes, o),
    dispose,
    [Symbol.dispose]: dispose,
  };
}
