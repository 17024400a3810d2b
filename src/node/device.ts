import { readFileSync } from "node:fs";
import { fail } from "../base/diagnostic.ts";
import type { TuningTable } from "../manifest/tuning.ts";
import { type OpenDeviceOptions, openDevice as open, setAdapterOpener } from "../runtime/device.ts";
import type { Gpu } from "../runtime/gpu.ts";
import { setPacer } from "../runtime/pace.ts";
import { openAdapter } from "./adapters.ts";
import { paced } from "./pace.ts";

/** `SINTER_CHECK_MEMORY=1` checks memory on every device, `SINTER_TUNING` is `off` or the file of a tuning table for it. */
function fromEnvironment(options: OpenDeviceOptions): OpenDeviceOptions {
  const { SINTER_CHECK_MEMORY: check, SINTER_TUNING: tuning } = process.env;
  return {
    ...(check === "1" ? { checkMemory: true } : {}),
    ...(tuning ? { tuning: tuning === "off" || tuning === "auto" ? tuning : tableOf(tuning) } : {}),
    ...options,
  };
}

function tableOf(file: string): TuningTable {
  try {
    const table: unknown = JSON.parse(readFileSync(file, "utf8"));
    if (typeof table !== "object" || table === null || Array.isArray(table)) throw new Error("it is no object");
    return table as TuningTable;
  } catch (e) {
    return fail("bad-tuning-table", `SINTER_TUNING names ${file}, which is no tuning table`, {
      cause: (e as Error).message,
      hint: 'name a file that sinter tune wrote, or write "off"',
    });
  }
}

/**
 * Opens a WebGPU device, in Node on an adapter that Dawn opens: what `adapter` or the environment variable
 * `SINTER_ADAPTER` names (`gpu`, `lavapipe`, `swiftshader` or `null`), else a real GPU, else the software adapter.
 * Fails with `no-adapter`, `unknown-adapter`, `unknown-profile`, `profile-unavailable` or `no-device`.
 */
export function openDevice(options: OpenDeviceOptions = {}): Promise<Gpu> {
  // Here and not when the module is loaded: bundlers drop modules that are imported for their effects alone.
  setAdapterOpener(openAdapter);
  setPacer(paced);
  return open(fromEnvironment(options));
}
