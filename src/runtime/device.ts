import { fail } from "../base/diagnostic.ts";
import type { Capabilities } from "../manifest/manifest.ts";
import type { Tuning } from "../manifest/tuning.ts";
import { capabilitiesOf, checkCapabilities, deviceDescriptor } from "./capabilities.ts";
import type { CompileQueue } from "./compiling.ts";
import { describe } from "./describe.ts";
import { thrownError } from "./errors.ts";
import { Gpu } from "./gpu.ts";
import { checkOptions } from "./options.ts";
import { type ProfileName, profiles } from "./profiles.ts";
import { programOptions } from "./program-options.ts";

/** Options of {@link openDevice}. */
export interface OpenDeviceOptions {
  /** Which adapter, in Node: `gpu`, `lavapipe`, `swiftshader` or `null`. Browsers choose themselves. */
  readonly adapter?: string | undefined;
  /** Ask for exactly these features and limits, however much more the adapter has. */
  readonly profile?: ProfileName | Capabilities | undefined;
  /** A device that the caller opened and goes on owning; no adapter is asked for. */
  readonly device?: GPUDevice | undefined;
  /** Longest time any one wait for the device may take, in milliseconds. Default 300,000. */
  readonly timeoutMs?: number | undefined;
  readonly powerPreference?: GPUPowerPreference | undefined;
  /**
   * For debugging: freed memory is filled with NaN, and writes outside of a tensor make the run fail with
   * `memory-damaged`. Slow.
   */
  readonly checkMemory?: boolean | undefined;
  /**
   * The measurements that `load` chooses variants of kernels and fusions by: the table that is shipped for the adapter, where
   * there is one (`auto`, default), none (`off`), or a table that `tune` made.
   */
  readonly tuning?: Tuning | undefined;
}

const known = ["adapter", "profile", "device", "timeoutMs", "powerPreference", "checkMemory", "tuning"];

interface OpenedAdapter {
  readonly name: string;
  readonly adapter: GPUAdapter;
  /** Where WebGPU has few threads of its own to compile pipelines: who else compiles what. `descriptor` is the device's. */
  readonly compilers?: ((descriptor: GPUDeviceDescriptor, ended: () => boolean) => CompileQueue) | undefined;
}

/** Opens an adapter where there is no `navigator.gpu`. */
export type AdapterOpener = (name: string | undefined) => Promise<OpenedAdapter>;

let openAdapter: AdapterOpener | undefined;

/** Installs what `openDevice` asks for adapters instead of the browser. */
export function setAdapterOpener(opener: AdapterOpener): void {
  openAdapter = opener;
}

/**
 * Opens a WebGPU device with the features and limits that kernels can use. Fails with `no-adapter`, `unknown-adapter`,
 * `unknown-profile`, `profile-unavailable` or `no-device`.
 */
export async function openDevice(options: OpenDeviceOptions = {}): Promise<Gpu> {
  checkOptions("openDevice", options, known, programOptions);
  const profile = profileOf(options.profile);
  const { device: given, timeoutMs, checkMemory, tuning } = options;
  if (given) {
    if (!("createBuffer" in Object(given))) {
      const hint =
        "pipelines" in Object(given)
          ? "it is open: use it as it is"
          : "give the device that an adapter's requestDevice gave";
      fail("bad-option", `openDevice: device cannot be ${describe(given)}`, { hint });
    }
    const info = given.adapterInfo as GPUAdapterInfo | undefined;
    const capabilities = profile ?? capabilitiesOf(given, info, "own");
    return new Gpu(given, capabilities, { adapterName: "own", info, timeoutMs, checkMemory, tuning, borrowed: true });
  }
  const { name, adapter, compilers } = await (openAdapter ?? openInBrowser)(options.adapter, options);
  const descriptor = deviceDescriptor(adapter, profile);
  const device = await adapter.requestDevice(descriptor).catch((e: unknown) => {
    throw thrownError(`open a device on ${name}`, e);
  });
  const info = adapter.info as GPUAdapterInfo | undefined;
  const actual = capabilitiesOf(device, info, name);
  const capabilities = profile ? { ...profile, software: actual.software } : actual;
  return new Gpu(device, capabilities, {
    ...{ adapterName: name, info, timeoutMs, checkMemory, tuning },
    compilers: compilers && ((ended) => compilers(descriptor, ended)),
  });
}

function profileOf(profile: OpenDeviceOptions["profile"]): Capabilities | undefined {
  if (profile === undefined || profile === null) return undefined;
  if (typeof profile !== "string") return checkCapabilities("openDevice", "profile", profile);
  if (Object.hasOwn(profiles, profile)) return profiles[profile];
  return fail("unknown-profile", `there is no capability profile named ${JSON.stringify(profile)}`, {
    hint: `choose one of ${Object.keys(profiles).join(", ")}`,
  });
}

async function openInBrowser(_: string | undefined, options: OpenDeviceOptions = {}): Promise<OpenedAdapter> {
  const gpu = (globalThis.navigator as Navigator | undefined)?.gpu;
  if (!gpu) {
    return fail("no-adapter", "this browser has no WebGPU (navigator.gpu is missing)", {
      cause:
        globalThis.isSecureContext === false
          ? "the page is not served over https or from localhost"
          : "the browser is too old or has it switched off",
      hint: 'use a current Chrome, Edge, Safari or Firefox over https; in Node import from "sinter", which brings Dawn',
    });
  }
  const adapter = await gpu.requestAdapter({ powerPreference: options.powerPreference ?? "high-performance" });
  if (!adapter) {
    return fail("no-adapter", "the browser offers no WebGPU adapter", {
      hint: "look at chrome://gpu, update the graphics driver, or allow the software adapter with --enable-unsafe-swiftshader",
    });
  }
  return { name: "browser", adapter };
}
