import { readFileSync } from "node:fs";
import { setSourceReader } from "../base/diagnostic.ts";
import { openDevice as open, setAdapterOpener } from "../runtime/device.ts";
import type { Gpu } from "../runtime/gpu.ts";
import type { OpenDeviceOptions } from "../runtime/index.ts";
import { openAdapter } from "./adapters.ts";
import { fromEnvironment } from "./device.ts";

// Code frames of errors show the user's own lines.
setSourceReader((file) => {
  try {
    return /^[a-z]+:\/\//i.test(file) ? undefined : readFileSync(file, "utf8");
  } catch {
    return undefined;
  }
});

export * from "../index.ts";
export { type FileSource, openFile, saveFile } from "./files.ts";

/**
 * Opens a WebGPU device, in Node on an adapter that Dawn opens: what `adapter` or the environment variable
 * `SINTER_ADAPTER` names (`gpu`, `lavapipe`, `swiftshader` or `null`), else a real GPU, else the software adapter.
 * Fails with `no-adapter`, `unknown-adapter`, `unknown-profile`, `profile-unavailable` or `no-device`.
 */
export function openDevice(options?: OpenDeviceOptions): Promise<Gpu> {
  // Installed by the call: an import for its effect alone would be dropped by bundlers.
  setAdapterOpener(openAdapter);
  return open(fromEnvironment(options ?? {}));
}
