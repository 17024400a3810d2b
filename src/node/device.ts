import { type OpenDeviceOptions, openDevice as open, setAdapterOpener } from "../runtime/device.ts";
import type { Gpu } from "../runtime/gpu.ts";
import { openAdapter } from "./adapters.ts";

/** `SINTER_CHECK_MEMORY=1` checks memory on every device. */
const fromEnvironment = (options: OpenDeviceOptions): OpenDeviceOptions =>
  process.env.SINTER_CHECK_MEMORY === "1" ? { checkMemory: true, ...options } : options;

/**
 * Opens a WebGPU device, in Node on an adapter that Dawn opens: what `adapter` or the environment variable
 * `SINTER_ADAPTER` names (`gpu`, `lavapipe`, `swiftshader` or `null`), else a real GPU, else the software adapter.
 * Fails with `no-adapter`, `unknown-adapter`, `unknown-profile`, `profile-unavailable` or `no-device`.
 */
export function openDevice(options: OpenDeviceOptions = {}): Promise<Gpu> {
  // Here and not when the module is loaded: bundlers drop modules that are imported for their effects alone.
  setAdapterOpener(openAdapter);
  return open(fromEnvironment(options));
}
