import { fail } from "../base/diagnostic.ts";
import type { PortSpec } from "../manifest/manifest.ts";
import { describe } from "./describe.ts";
import type { Gpu } from "./gpu.ts";
import { GpuTensor, isGpuBuffer, type Place } from "./tensor.ts";
import { usage } from "./usage.ts";
import { bytesOf, type HostValue, toBytes } from "./values.ts";

/** What a run takes for one input: host data, a tensor on the GPU, or a GPUBuffer that the caller owns. */
export type InputValue = HostValue | GpuTensor | GPUBuffer;

/** Bytes on the GPU that are known by the time a run is encoded. */
export interface Source {
  readonly place: Place;
}

/** One input of a run, checked. */
export type BoundInput =
  | { readonly kind: "bytes"; readonly port: PortSpec; readonly bytes: Uint8Array }
  /** `bind`: the kernels read the buffer itself; else it is copied into the program's own. */
  | { readonly kind: "gpu"; readonly port: PortSpec; readonly source: Source; readonly bind: boolean };

export interface BoundInputs {
  readonly inputs: readonly BoundInput[];
  /** Inputs given as buffers from outside, which WebGPU alone can judge (their device, whether they were destroyed). */
  readonly foreign: readonly string[];
}

/** Values of other types that a caller may pass, such as results of a batch under way. */
export type Resolver = (
  value: unknown,
  port: PortSpec,
) => { readonly source: Source; readonly bind: boolean } | undefined;

/** Checks that `values` has exactly the names of `ports`. */
function checkNames(side: string, ports: readonly PortSpec[], values: object): void {
  const missing = ports.filter((p) => !Object.hasOwn(values, p.name) || read(values, p.name) === undefined);
  const known = new Set(ports.map((p) => p.name));
  const extra = Object.keys(values).filter((n) => !known.has(n));
  const all = ports.map((p) => p.name).join(", ") || "none";
  if (missing.length > 0) {
    const names = missing.map((p) => `${JSON.stringify(p.name)} (${p.dtype}[${p.shape.join(", ")}])`).join(", ");
    fail("missing-input", `the ${side} ${names} ${missing.length > 1 ? "are" : "is"} missing`, {
      hint: `${side}s: ${all}`,
    });
  }
  if (extra.length > 0) {
    fail("extra-input", `there is no ${side} ${extra.map((n) => JSON.stringify(n)).join(", ")}`, {
      hint: `${side}s: ${all}`,
    });
  }
}

const read = (values: object, name: string): unknown => (values as Record<string, unknown>)[name];

/** Checks one value for each port. `rebindable` are the program's buffers that a caller's buffer may stand in for. */
export function bindInputs(
  gpu: Gpu,
  side: string,
  ports: readonly PortSpec[],
  values: object,
  rebindable: ReadonlySet<number>,
  resolve?: Resolver,
): BoundInputs {
  if (typeof values !== "object" || values === null) {
    fail("wrong-value", `${side}s are given as an object by name, not as ${describe(values)}`, {
      hint: `give { ${ports.map((p) => `${p.name}: …`).join(", ")} }`,
    });
  }
  checkNames(side, ports, values);
  const foreign: string[] = [];
  const inputs = ports.map((port): BoundInput => {
    const value = read(values, port.name);
    const own = rebindable.has(port.window.buffer);
    const resolved = resolve?.(value, port);
    if (resolved) return { kind: "gpu", port, source: resolved.source, bind: resolved.bind && own };
    if (value instanceof GpuTensor) {
      checkTensor(gpu, port, value);
      const { place } = value;
      if (!place.lease) foreign.push(port.name);
      const fits = place.buffer.size >= place.offset + port.window.size;
      return { kind: "gpu", port, source: value, bind: own && fits && !value.shared };
    }
    if (isGpuBuffer(value)) {
      const bind = own && value.size >= port.window.size;
      checkBuffer(port, value, bind);
      foreign.push(port.name);
      return { kind: "gpu", port, source: { place: { buffer: value, offset: 0 } }, bind };
    }
    return { kind: "bytes", port, bytes: toBytes(port, value as HostValue) };
  });
  return { inputs, foreign };
}

function checkTensor(gpu: Gpu, port: PortSpec, tensor: GpuTensor): void {
  const name = JSON.stringify(port.name);
  if (tensor.gpu !== gpu) {
    fail("wrong-device", `the tensor given for ${name} lives on another device`, {
      hint: "read it with data() and pass the array",
    });
  }
  checkType(port, tensor);
}

/** Fails with `wrong-dtype` or `wrong-size` unless a tensor is what the port takes. */
export function checkType(port: PortSpec, given: { readonly dtype: string; readonly shape: readonly number[] }): void {
  const name = JSON.stringify(port.name);
  if (given.dtype !== port.dtype) {
    fail("wrong-dtype", `${name} is ${port.dtype}, and the tensor given for it is ${given.dtype}`, {
      hint: `cast it to ${port.dtype} in the program that makes it, or declare ${name} as ${given.dtype}`,
    });
  }
  if (given.shape.length !== port.shape.length || given.shape.some((d, i) => d !== port.shape[i])) {
    const [wanted, got] = [port.shape, given.shape].map((s) => `[${s.join(", ")}]`);
    fail("wrong-size", `${name} has shape ${wanted}, and the tensor given for it ${got}`, {
      hint: `reshape it in the program that makes it, or load this program for shape ${got}`,
    });
  }
}

function checkBuffer(port: PortSpec, buffer: GPUBuffer, bind: boolean): void {
  const name = JSON.stringify(port.name);
  const bytes = bytesOf(port);
  if (buffer.size < bytes) {
    fail("bad-buffer", `the GPUBuffer given for ${name} has ${buffer.size} bytes, and the tensor needs ${bytes}`, {
      hint: `create it with size ${bytes} or more`,
    });
  }
  const needed = bind ? usage.storage : usage.copySrc;
  if ((buffer.usage & needed) === 0) {
    fail("bad-buffer", `the GPUBuffer given for ${name} lacks usage ${bind ? "STORAGE" : "COPY_SRC"}`, {
      hint: "create it with GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC",
    });
  }
  if (buffer.mapState !== "unmapped") {
    fail("bad-buffer", `the GPUBuffer given for ${name} is mapped`, { hint: "call unmap() on it before the run" });
  }
}
