import { SinterError } from "../../base/diagnostic.ts";
import type { Kernel, KernelProfile, KernelStep } from "../../manifest/kernel-module.ts";
import type { Core } from "./core.ts";
import type { Groups, Layout } from "./groups.ts";

/** One text with its pipeline, whichever kernels it belongs to. */
export interface Text {
  readonly key: string;
  /** For people. */
  readonly label: string;
  readonly step: KernelStep;
  /** From when the pipeline is created. */
  layout?: Layout;
  module?: GPUShaderModule;
  pipeline?: GPUComputePipeline;
  compiling?: Promise<void> | undefined;
  priming?: Promise<void> | undefined;
  used: boolean;
}

/** The texts of a runtime by key: each is compiled once, however many ask for it. */
export interface Texts {
  of(step: KernelStep, kernel: Kernel, profile: KernelProfile): Text;
  /** Fails with `kernel-compile-failed`, or with why nothing can be done any more. */
  compile(text: Text): Promise<void>;
  /** Submits a compiled text with no workgroups: some drivers compile at the first dispatch. Fails as `compile` does. */
  prime(text: Text): Promise<void>;
  /** Creates the pipeline at once, which may take long. An error comes as the device's `uncapturederror`. */
  compileNow(text: Text): void;
}

export function makeTexts(core: Core, groups: Groups): Texts {
  const { device, counters } = core;
  const byKey = new Map<string, Text>();
  const byStep = new WeakMap<KernelStep, Text>();

  const descriptor = (text: Text): GPUComputePipelineDescriptor => {
    const { label, step } = text;
    counters.pipelines++;
    const module = (text.module = device.createShaderModule({ label, code: step.wgsl }));
    text.layout = groups.layout(step.bindings.length, step.writes);
    return { label, layout: text.layout.pipeline, compute: { module } };
  };

  /** What the device refuses of `body` is an error of the text, and none that the device's owner hears of. */
  const attempt = async <T>(text: Text, body: () => Promise<T>): Promise<T> => {
    try {
      let answer: Promise<GPUError | null>;
      let done: Promise<T>;
      device.pushErrorScope("validation");
      try {
        done = body();
      } finally {
        answer = device.popErrorScope();
        answer.catch(() => undefined);
      }
      const value = await core.wait(done);
      const error = await core.wait(answer);
      if (error) throw error;
      return value;
    } catch (error) {
      core.check();
      const info = text.module && (await core.wait(text.module.getCompilationInfo()));
      const errors = (info?.messages ?? [])
        .filter((m) => m.type === "error")
        .map((m) => `${m.lineNum}:${m.linePos} ${m.message}`);
      throw new SinterError(
        {
          code: "kernel-compile-failed",
          message: `kernel ${text.label} does not compile on this device`,
          cause: errors.join("; ") || (error as Error).message,
          hint: "build it with the version of Sinter that the page has, or please report it",
        },
        { cause: error },
      );
    }
  };

  /** One promise for all who ask, until it fails. */
  const once = (text: Text, name: "compiling" | "priming", start: () => Promise<void>): Promise<void> =>
    (text[name] ??= start().catch((e) => {
      text[name] = undefined;
      throw e;
    }));

  const primer = (text: Text): Promise<undefined> => {
    const encoder = device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    pass.setPipeline(text.pipeline!);
    pass.setBindGroup(0, text.layout!.idle, [0]);
    // The counts come from zeroed memory: Dawn prints a warning on standard output for a direct count of 0.
    pass.dispatchWorkgroupsIndirect(groups.zeros, 0);
    pass.end();
    core.submit(encoder);
    return device.queue.onSubmittedWorkDone();
  };

  return {
    of(step, kernel, profile) {
      let text = byStep.get(step);
      if (!text) {
        const { key } = step;
        text = byKey.get(key) ?? { key, label: `${kernel.name} (${profile})`, step, used: false };
        byKey.set(key, text);
        byStep.set(step, text);
      }
      return text;
    },
    compile: (text) =>
      once(text, "compiling", async () => {
        text.pipeline ??= await attempt(text, () => device.createComputePipelineAsync(descriptor(text)));
      }),
    prime: (text) => once(text, "priming", () => attempt(text, () => primer(text))),
    compileNow(text) {
      counters.latePipelines++;
      text.pipeline = device.createComputePipeline(descriptor(text));
    },
  };
}
