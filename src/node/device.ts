import { type OpenDeviceOptions, openDevice as open, setAdapterOpener } from "../runtime/device.ts";
import type { Gpu } from "../runtime/gpu.ts";
import { openAdapter } from "./adapters.ts";

/** `SINTER_CHECK_MEMORY=1` checks memory on every device. */
export const fromEnvironment = (options: OpenDeviceOptions): OpenDeviceOptions =>
  process.env.SINTER_CHECK_MEMORY === "1" ? { checkMemory: true, ...options } : options;

/** `openDevice` as in browsers, on adapters that Dawn opens in Node: see {@link openAdapter} for their names. */
export function openDevice(options: OpenDeviceOptions = {}): Promise<Gpu> {
  // Here and not when the module is loaded: bundlers drop modules that are imported for their effects alone.
  setAdapterOpener(openAdapter);
  return open(fromEnvironment(options));
}
