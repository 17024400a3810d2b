// As long as one of its promises is pending Dawn's module for Node asks for news in a loop that takes a core, of the two or so that
// software drivers compile and compute on. The package paces its own waits in Node (src/node/pace.ts); here also those of the tests,
// and of kernels as pages run them, wait so.
import { paced } from "../../src/node/pace.ts";

type Method = (this: unknown, ...args: unknown[]) => unknown;
type Classes = Readonly<Record<string, { readonly prototype: Record<string, Method> }>>;

const methods: Readonly<Record<string, readonly string[]>> = {
  GPUAdapter: ["requestDevice"],
  GPUDevice: ["createComputePipelineAsync", "popErrorScope"],
  GPUShaderModule: ["getCompilationInfo"],
  GPUQueue: ["onSubmittedWorkDone"],
  GPUBuffer: ["mapAsync"],
};

const usual = globalThis.setImmediate;
const done = Symbol.for("sinter.test.paced");
const state = globalThis as unknown as Record<symbol, boolean>;

if (!state[done]) {
  state[done] = true;
  const { globals } = (await import("webgpu")) as unknown as { readonly globals: Classes };
  for (const [name, list] of Object.entries(methods)) {
    const { prototype } = globals[name] as Classes[string];
    for (const key of list) {
      const method = prototype[key] as Method;
      prototype[key] = function (...args) {
        const call = (): unknown => method.apply(this, args);
        // Unless whoever calls paces already.
        return globalThis.setImmediate === usual ? paced(call) : call();
      };
    }
  }
}
