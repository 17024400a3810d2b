import { readdirSync } from "node:fs";
import { availableParallelism, constants } from "node:os";
import { join } from "node:path";
import { isMainThread } from "node:worker_threads";
import { fail, SinterError } from "../base/diagnostic.ts";
import { isSoftware } from "../runtime/capabilities.ts";
import { Compilers } from "./compilers.ts";
import { swiftshaderFiles } from "./swiftshader.ts";

/** Adapters that `openAdapter` knows: any real GPU, the two software Vulkan drivers, and Dawn's backend that runs nothing. */
export type AdapterName = "gpu" | "lavapipe" | "swiftshader" | "null";
export const adapterNames: readonly AdapterName[] = ["gpu", "lavapipe", "swiftshader", "null"];

export interface OpenedAdapter {
  readonly name: AdapterName;
  /** Fresh: `requestDevice` may be called on it once. */
  readonly adapter: GPUAdapter;
  /** Dawn in Node compiles by two threads, however many cores there are. Software adapters compile on the cores that run everything. */
  readonly compilers?: ((descriptor: GPUDeviceDescriptor, ended: () => boolean) => Compilers) | undefined;
}

interface Dawn {
  create(options: readonly string[]): GPU;
}

/** One way of getting an adapter. `prepare` gives the environment the Vulkan loader reads, or why this way is closed. */
interface Source {
  prepare(): Promise<{ readonly env?: Readonly<Record<string, string>>; readonly loader?: string } | string>;
  readonly options: readonly string[];
  accepts(info: GPUAdapterInfo): boolean;
  readonly install: string;
}

/**
 * NVIDIA's shader-f16 and the subgroup matrices are hidden without the first two; without the third, timestamps are
 * rounded to 100 µs.
 */
const toggles = [
  "enable-dawn-features=allow_unsafe_apis,vulkan_enable_f16_on_nvidia",
  "disable-dawn-features=timestamp_quantization",
];

const driver = (icd: string): Record<string, string> => ({ VK_ICD_FILENAMES: icd, VK_DRIVER_FILES: icd });

const sources: Readonly<Record<AdapterName, Source>> = {
  gpu: {
    prepare: async () => ({}),
    options: toggles,
    accepts: (info) => !isSoftware(info),
    install: "a GPU driver with Vulkan, Metal or Direct3D 12",
  },
  lavapipe: {
    prepare: async () => {
      const icd = lavapipeDriver();
      return icd ? { env: driver(icd) } : `no lvp_icd*.json in ${icdFolders.join(", ")}`;
    },
    options: toggles,
    accepts: (info) => /llvmpipe/i.test(info.description),
    install: "Mesa 24 or newer (on Debian 12: mesa-vulkan-drivers of bookworm-backports)",
  },
  swiftshader: {
    prepare: async () => {
      const files = swiftshaderFiles();
      return typeof files === "string" ? files : { env: driver(files.icd), loader: files.loader };
    },
    options: toggles,
    accepts: (info) => /swiftshader/i.test(`${info.description} ${info.architecture}`),
    install: "the npm package @sparticuz/chromium, which carries SwiftShader for Linux x64",
  },
  null: {
    prepare: async () => ({}),
    options: ["backend=null", ...toggles],
    accepts: () => true,
    install: "",
  },
};

const icdFolders = ["/usr/share/vulkan/icd.d", "/usr/local/share/vulkan/icd.d", "/etc/vulkan/icd.d"];
const machine: Readonly<Record<string, string>> = { x64: "x86_64", arm64: "aarch64" };

function lavapipeDriver(): string | undefined {
  for (const folder of icdFolders) {
    const names = listFolder(folder).filter((n) => /^lvp_icd.*\.json$/.test(n));
    const own = names.find((n) => n === "lvp_icd.json" || n.includes(machine[process.arch] ?? process.arch));
    if (own) return join(folder, own);
  }
  return undefined;
}

function listFolder(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

/**
 * Opens the adapter `name`, by default what the environment variable `SINTER_ADAPTER` names, else a real GPU, else
 * SwiftShader. Fails with `unknown-adapter` or `no-adapter`; the latter says what was tried and what to install.
 */
export async function openAdapter(name?: string): Promise<OpenedAdapter> {
  const wanted = name ?? (process.env.SINTER_ADAPTER || undefined);
  if (wanted !== undefined && !adapterNames.includes(wanted as AdapterName)) {
    fail("unknown-adapter", `there is no adapter named ${JSON.stringify(wanted)}`, {
      hint: `choose one of ${adapterNames.join(", ")}${name === undefined ? " for SINTER_ADAPTER" : ""}`,
    });
  }
  const order = wanted === undefined ? (["gpu", "swiftshader"] as const) : [wanted as AdapterName];
  const tried: string[] = [];
  for (const n of order) {
    const opened = wanted === undefined && n === "gpu" && !hasGpuNode() ? "no GPU among the devices" : await tryOpen(n);
    if (typeof opened !== "string") return { name: n, adapter: opened, compilers: n === "gpu" ? compilers : undefined };
    tried.push(`${n}: ${opened}`);
  }
  return fail("no-adapter", `no WebGPU adapter could be opened (tried ${tried.join("; ")})`, {
    hint: `install ${order.map((n) => sources[n].install).join(", or ")}`,
  });
}

/** Each takes a core, 30 MiB of memory, and 17 of the GPU's. Fewer than the least gain too little. */
const helpers = { least: 2, most: 8 } as const;

function compilers(descriptor: GPUDeviceDescriptor, ended: () => boolean): Compilers {
  const { __GL_SHADER_DISK_CACHE: nvidia, MESA_SHADER_CACHE_DISABLE: mesa } = process.env;
  const cached = nvidia !== "0" && !/^(1|true)$/i.test(mesa ?? "");
  const most = Math.min(helpers.most, availableParallelism() >> 1);
  const open = async (): Promise<GPUDevice> => {
    const adapter = await tryOpen("gpu");
    return typeof adapter === "string" ? Promise.reject(new Error(adapter)) : adapter.requestDevice(descriptor);
  };
  return new Compilers(cached && most >= helpers.least ? { most, open } : undefined, ended);
}

/** Asking Vulkan where there is no device takes half a second and makes Mesa's software driver print warnings. */
const hasGpuNode = (): boolean =>
  process.platform !== "linux" ||
  listFolder("/dev/dri").length > 0 ||
  listFolder("/dev").some((n) => /^(nvidia\d+|dxg|kgsl-3d0|mali0)$/.test(n));

/**
 * Dawn aborts the process when the object of `create()` is collected, and its drivers stay loaded, so there is one
 * object for each name as long as the process lives, shared by every copy of this module.
 */
interface Kept {
  readonly open: Map<AdapterName, GPU>;
  queue: Promise<unknown>;
}
const keptKey = Symbol.for("sinter.dawn");
const globals = globalThis as unknown as Record<symbol, Kept | undefined>;
const kept: Kept = (globals[keptKey] ??= { open: new Map(), queue: Promise.resolve() });

/** The adapter, or the reason there is none. One at a time: the drivers are chosen through the process environment. */
function tryOpen(name: AdapterName): Promise<GPUAdapter | string> {
  const next = kept.queue.then(() => request(name));
  kept.queue = next.catch(() => undefined);
  return next;
}

async function request(name: AdapterName): Promise<GPUAdapter | string> {
  const source = sources[name];
  const gpu = kept.open.get(name);
  if (gpu) return (await gpu.requestAdapter({ powerPreference: "high-performance" })) ?? "the adapter is gone";
  const ready = await source.prepare();
  if (typeof ready === "string") return ready;
  if (name !== "null") {
    const missing = loadVulkan(ready.loader);
    if (missing) return missing;
  }
  const dawn = await importDawn();
  return withEnvironment(ready.env ?? {}, async () => {
    const created = dawn.create(source.options);
    const adapter = await created.requestAdapter({ powerPreference: "high-performance" });
    if (!adapter) {
      unused.push(created);
      return "Dawn found no adapter";
    }
    if (!source.accepts(adapter.info)) {
      unused.push(created);
      const found = adapter.info.description || adapter.info.vendor || "an unnamed adapter";
      // The driver is chosen by environment variables, and a worker's own copy of them never reaches the C library.
      return `Dawn offers only ${found}${isMainThread ? "" : " (start the worker thread with { env: SHARE_ENV })"}`;
    }
    kept.open.set(name, created);
    return adapter;
  });
}

const unused: GPU[] = [];

async function importDawn(): Promise<Dawn> {
  try {
    return (await import("webgpu")) as unknown as Dawn;
  } catch (e) {
    throw new SinterError(
      {
        code: "no-webgpu",
        message: "the npm package `webgpu` (Dawn for Node) could not be loaded",
        cause: String((e as Error).message),
        hint: "npm install webgpu",
      },
      { cause: e },
    );
  }
}

async function withEnvironment<T>(env: Readonly<Record<string, string>>, body: () => Promise<T>): Promise<T> {
  const before = Object.keys(env).map((k) => [k, process.env[k]] as const);
  Object.assign(process.env, env);
  try {
    return await body();
  } finally {
    for (const [k, v] of before) {
      if (v === undefined) delete process.env[k];
      else process.env[k] = v;
    }
  }
}

let loaded = false;

/**
 * Dawn asks the C library for `libvulkan.so.1`. Where the system has none, a loader given by its file is taken into the
 * process first, so that asking by name finds it; returns why there is none.
 */
function loadVulkan(fallback: string | undefined): string | undefined {
  if (process.platform !== "linux" || loaded) return undefined;
  const own = fallback ?? bundledLoader();
  for (const file of own ? ["libvulkan.so.1", own] : ["libvulkan.so.1"]) {
    if (keepLibrary(file)) {
      loaded = true;
      return undefined;
    }
  }
  return "there is no Vulkan loader (libvulkan.so.1)";
}

function bundledLoader(): string | undefined {
  const files = swiftshaderFiles();
  return typeof files === "string" ? undefined : files.loader;
}

/** glibc's RTLD_NODELETE: the library stays in the process although Node closes it again for not being an addon. */
const RTLD_NODELETE = 0x1000;

function keepLibrary(file: string): boolean {
  const { RTLD_NOW, RTLD_GLOBAL } = constants.dlopen;
  try {
    process.dlopen({ exports: {} }, file, RTLD_NOW | RTLD_GLOBAL | RTLD_NODELETE);
    return true;
  } catch (e) {
    return /self-register/.test(String((e as Error).message));
  }
}
