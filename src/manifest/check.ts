import { fail } from "../base/diagnostic.ts";
import { dtypes, tensorBytes } from "../base/dtype.ts";
import type {
  Access,
  BufferSpec,
  Capabilities,
  DispatchSpec,
  KernelSpec,
  Manifest,
  PortSpec,
  Requirements,
  SpanSpec,
  Window,
} from "./manifest.ts";

/** What is wrong with a manifest, at which path of it. */
export function wrong(path: string, problem: string): never {
  return fail("bad-manifest", `the manifest is broken: ${path} ${problem}`, {
    hint: "build the program again; a manifest is never edited by hand",
  });
}

/** Reads one value at a path, or fails with `bad-manifest`. Readers build fresh objects: unknown fields do not survive. */
export type Reader<T> = (value: unknown, path: string) => T;

export const text: Reader<string> = (v, p) => (typeof v === "string" ? v : wrong(p, "is not a string"));
const flag: Reader<boolean> = (v, p) => (typeof v === "boolean" ? v : wrong(p, "is not true or false"));

export const integer =
  (low: number, high = Number.MAX_SAFE_INTEGER, multiple = 1): Reader<number> =>
  (v, p) => {
    if (typeof v !== "number" || !Number.isSafeInteger(v) || v < low || v > high || v % multiple !== 0) {
      const step = multiple === 1 ? "" : ` that is a multiple of ${multiple}`;
      wrong(p, `is ${show(v)}, not an integer from ${low} to ${high}${step}`);
    }
    return v as number;
  };

const oneOf =
  <T extends string>(...allowed: readonly T[]): Reader<T> =>
  (v, p) =>
    allowed.includes(v as T) ? (v as T) : wrong(p, `is ${show(v)}, not one of ${allowed.join(", ")}`);

export const list =
  <T>(item: Reader<T>, count?: number): Reader<T[]> =>
  (v, p) => {
    if (!Array.isArray(v)) return wrong(p, "is not a list");
    if (count !== undefined && v.length !== count) wrong(p, `has ${v.length} entries, not ${count}`);
    return Array.from(v, (x, i) => item(x, `${p}[${i}]`));
  };

export const record =
  <T>(fields: { readonly [K in keyof T]-?: Reader<T[K]> }): Reader<T> =>
  (v, p) => {
    if (typeof v !== "object" || v === null || Array.isArray(v)) return wrong(p, "is not an object");
    const out: Record<string, unknown> = {};
    for (const [name, read] of Object.entries(fields) as [string, Reader<unknown>][]) {
      const value = read(Object.hasOwn(v, name) ? (v as Record<string, unknown>)[name] : undefined, `${p}.${name}`);
      if (value !== undefined) out[name] = value;
    }
    return out as T;
  };

const optional =
  <T>(read: Reader<T>): Reader<T | undefined> =>
  (v, p) =>
    v === undefined ? undefined : read(v, p);

const show = (v: unknown): string =>
  typeof v === "number" ? String(v) : (JSON.stringify(v) ?? "missing").slice(0, 40);

const limit = integer(1);
const capabilities = record<Capabilities>({
  name: text,
  features: record<Capabilities["features"]>({
    f16: flag,
    subgroups: flag,
    subgroupMatrix: optional(flag) as Reader<boolean>,
  }),
  subgroupMinSize: integer(1, 1024),
  subgroupMaxSize: integer(1, 1024),
  software: flag,
  limits: record({
    maxStorageBuffersPerShaderStage: limit,
    maxStorageBufferBindingSize: limit,
    maxBufferSize: limit,
    maxComputeWorkgroupStorageSize: limit,
    maxComputeInvocationsPerWorkgroup: limit,
    maxComputeWorkgroupSizeX: limit,
    maxComputeWorkgroupSizeY: limit,
    maxComputeWorkgroupSizeZ: limit,
    maxComputeWorkgroupsPerDimension: limit,
    minStorageBufferOffsetAlignment: limit,
  }),
});

const matching =
  (pattern: RegExp, what: string): Reader<string> =>
  (v, p) =>
    typeof v === "string" && pattern.test(v) ? v : wrong(p, `is not ${what}`);

const triple = (low: number): Reader<readonly [number, number, number]> =>
  list(integer(low, 2 ** 32 - 1), 3) as Reader<number[]> as unknown as Reader<readonly [number, number, number]>;

export const kernel: Reader<KernelSpec> = record<KernelSpec>({
  key: matching(/^[0-9a-f]{64}$/, "a SHA-256 key"),
  label: text,
  place: optional(text) as Reader<string>,
  // biome-ignore lint/suspicious/noControlCharactersInRegex: WGSL may not contain NUL
  wgsl: matching(/^[^\x00]+$/, "kernel text"),
  entryPoint: matching(/^[A-Za-z][A-Za-z0-9_]*$/, "an identifier"),
  bindings: list(oneOf<Access>("read", "read_write")),
  workgroupSize: triple(1),
  requires: record<Requirements>({
    f16: flag,
    subgroups: flag,
    subgroupMatrix: optional(flag) as Reader<boolean>,
    workgroupBytes: integer(0),
  }),
  own: optional(flag) as Reader<boolean>,
});

const words: Reader<Uint32Array> = (v, p) => (v instanceof Uint32Array ? v : wrong(p, "is not a list of words"));

const buffer = record<BufferSpec>({
  role: oneOf("input", "weight", "const", "state", "scratch", "output"),
  size: integer(4, undefined, 4),
  init: optional(words) as Reader<Uint32Array>,
  clear: optional(flag) as Reader<boolean>,
});

const window = record<Window>({
  buffer: integer(0),
  offset: integer(0, undefined, 256),
  size: integer(4, undefined, 4),
});

const dispatch = record<DispatchSpec>({ kernel: integer(0), bindings: list(window), workgroups: triple(0) });

const portFields = { name: text, dtype: oneOf(...dtypes), shape: list(integer(0)), window };
const port = record<PortSpec>(portFields);

const manifest = record<Manifest>({
  version: (v, p) => (v === 1 ? 1 : wrong(p, `is ${show(v)}, and this runtime reads version 1`)),
  capabilities,
  kernels: list(kernel),
  buffers: list(buffer),
  spans: list(record<SpanSpec>({ label: text, window, first: integer(0), last: integer(0) })),
  leastBytes: integer(0),
  guard: integer(0, undefined, 256),
  inputs: list(port),
  weights: list(port),
  state: list(record<PortSpec & { next: Window }>({ ...portFields, next: window })),
  outputs: list(port),
  setup: list(dispatch),
  dispatches: list(dispatch),
});

/**
 * Checks everything about a manifest that can be checked without a device: field types, indices, windows inside their
 * buffers, ports that fit their windows, and WebGPU's rules on aliasing. Fails with `bad-manifest` and the path.
 */
export function checkManifest(value: unknown, path = "manifest"): Manifest {
  const m = manifest(value, path);
  m.buffers.forEach((b, i) => {
    if (b.init && (b.role !== "const" || b.init.length * 4 > b.size)) {
      wrong(`${path}.buffers[${i}].init`, `does not fit a ${b.role} buffer of ${b.size} bytes`);
    }
  });
  m.spans.forEach((s, i) => {
    inside(m, s.window, `${path}.spans[${i}].window`);
    const steps = m.setup.length + m.dispatches.length;
    if (s.first > s.last || s.last > steps)
      wrong(`${path}.spans[${i}]`, `lasts from ${s.first} to ${s.last} of ${steps} steps`);
  });
  checkPorts(m, path, "inputs", "input");
  checkPorts(m, path, "weights", "weight");
  checkPorts(m, path, "state", "state");
  checkPorts(m, path, "outputs");
  m.state.forEach((s, i) => {
    inside(m, s.next, `${path}.state[${i}].next`);
    if (s.next.size !== s.window.size) wrong(`${path}.state[${i}].next`, "has another size than the state's window");
  });
  for (const phase of ["setup", "dispatches"] as const) {
    m[phase].forEach((d, i) => {
      checkDispatch(m, d, `${path}.${phase}[${i}]`);
    });
  }
  return m;
}

function inside(m: Manifest, w: Window, path: string): void {
  const b = m.buffers[w.buffer] ?? wrong(path, `names buffer ${w.buffer} of ${m.buffers.length}`);
  if (w.offset + w.size > b.size) wrong(path, `ends at ${w.offset + w.size} in a buffer of ${b.size} bytes`);
}

function checkPorts(
  m: Manifest,
  root: string,
  side: "inputs" | "weights" | "state" | "outputs",
  role?: BufferSpec["role"],
): void {
  const seen = new Set<string>();
  m[side].forEach((p, i) => {
    const path = `${root}.${side}[${i}]`;
    if (seen.has(p.name)) wrong(path, `repeats the name ${JSON.stringify(p.name)}`);
    seen.add(p.name);
    inside(m, p.window, `${path}.window`);
    const bytes = tensorBytes(
      p.dtype,
      p.shape.reduce((n, d) => n * d, 1),
    );
    if (!(p.window.size >= bytes)) wrong(`${path}.window`, `has ${p.window.size} bytes for a tensor of ${bytes}`);
    const actual = m.buffers[p.window.buffer]?.role;
    if (role && actual !== role) wrong(`${path}.window`, `lies in a ${actual} buffer`);
  });
}

function checkDispatch(m: Manifest, d: DispatchSpec, path: string): void {
  const k = m.kernels[d.kernel] ?? wrong(`${path}.kernel`, `is ${d.kernel} of ${m.kernels.length}`);
  if (d.bindings.length !== k.bindings.length) {
    wrong(`${path}.bindings`, `has ${d.bindings.length} windows for a kernel of ${k.bindings.length} bindings`);
  }
  d.bindings.forEach((w, i) => {
    inside(m, w, `${path}.bindings[${i}]`);
    for (let j = 0; j < i; j++) {
      const other = d.bindings[j]!;
      if (other.buffer !== w.buffer || (k.bindings[i] === "read" && k.bindings[j] === "read")) continue;
      const apart = w.offset >= other.offset + other.size || other.offset >= w.offset + w.size;
      if (k.bindings[i] !== k.bindings[j] || !apart) {
        wrong(
          `${path}.bindings[${i}]`,
          `aliases binding ${j}: a buffer is read-only or read-write in a dispatch, without overlap`,
        );
      }
    }
  });
}
