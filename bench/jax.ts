import { openAdapter } from "../src/node/adapters.ts";

export type Jax = typeof import("@jax-js/jax");

/** `@jax-js/jax` on a device of its own on the adapter of that name. Its operations run on WebGPU by default. */
export async function openJax(adapter: string): Promise<Jax> {
  await lendWebGpu(adapter);
  const jax = await import("@jax-js/jax");
  await jax.init("webgpu");
  jax.defaultDevice("webgpu");
  return jax;
}

/** jax-js looks for WebGPU where browsers have it: gives it `navigator.gpu` on the adapter that is measured. */
async function lendWebGpu(adapter: string): Promise<void> {
  const { globals } = (await import("webgpu")) as unknown as { globals: object };
  Object.assign(globalThis, globals);
  const gpu = { requestAdapter: async () => (await openAdapter(adapter)).adapter };
  const own = (globalThis as { navigator?: object }).navigator;
  const navigator = { userAgent: "Node", hardwareConcurrency: 1, ...own, gpu };
  Object.defineProperty(globalThis, "navigator", { value: navigator, configurable: true });
}
