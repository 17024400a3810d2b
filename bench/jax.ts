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

const devices: GPUDevice[] = [];

/** Resolves once its devices are done with what they were given: `blockUntilReady` waits for submitting alone. */
export const jaxIdle = (): Promise<unknown> => Promise.all(devices.map((d) => d.queue.onSubmittedWorkDone()));

/** jax-js looks for WebGPU where browsers have it: gives it `navigator.gpu` on the adapter that is measured. */
async function lendWebGpu(adapter: string): Promise<void> {
  const { globals } = (await import("webgpu")) as unknown as { globals: object };
  Object.assign(globalThis, globals);
  const gpu = {
    async requestAdapter() {
      const { adapter: opened } = await openAdapter(adapter);
      const request = opened.requestDevice.bind(opened);
      opened.requestDevice = async (descriptor) => {
        const device = await request(descriptor);
        devices.push(device);
        return device;
      };
      return opened;
    },
  };
  const own = (globalThis as { navigator?: object }).navigator;
  const navigator = { userAgent: "Node", hardwareConcurrency: 1, ...own, gpu };
  Object.defineProperty(globalThis, "navigator", { value: navigator, configurable: true });
}
