import type { DType } from "../../src/base/dtype.ts";
import { tensorBytes } from "../../src/base/dtype.ts";
import { kernelKey } from "../../src/manifest/key.ts";
import type {
  Access,
  BufferSpec,
  DispatchSpec,
  KernelSpec,
  Manifest,
  PortSpec,
  Window,
} from "../../src/manifest/manifest.ts";
import { profiles } from "../../src/runtime/profiles.ts";

/** A kernel of one invocation an element; `body` computes at index `i` over `b0`, `b1`, … of element type f32 or u32. */
export function kernel(label: string, bindings: readonly Access[], body: string, element = "f32"): KernelSpec {
  const declarations = bindings.map(
    (access, i) => `@group(0) @binding(${i}) var<storage, ${access}> b${i}: array<${element}>;`,
  );
  const wgsl = `${declarations.join("\n")}
@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  let i = id.x;
  if (i >= arrayLength(&b${bindings.length - 1})) { return; }
  ${body}
}
`;
  const rest = {
    wgsl,
    entryPoint: "main",
    bindings,
    workgroupSize: [64, 1, 1] as const,
    requires: { f16: false, subgroups: false, workgroupBytes: 0 },
  };
  return { ...rest, key: kernelKey(rest), label };
}

/** Collects buffers, ports and dispatches of a manifest written by hand. */
export class ManifestBuilder {
  readonly kernels: KernelSpec[] = [];
  readonly buffers: BufferSpec[] = [];
  readonly inputs: PortSpec[] = [];
  readonly weights: PortSpec[] = [];
  readonly state: (PortSpec & { next: Window })[] = [];
  readonly outputs: PortSpec[] = [];
  readonly setup: DispatchSpec[] = [];
  readonly dispatches: DispatchSpec[] = [];

  window(role: BufferSpec["role"], size: number, init?: Uint32Array): Window {
    this.buffers.push({ role, size, ...(init && { init }) });
    return { buffer: this.buffers.length - 1, offset: 0, size };
  }

  port(
    side: "inputs" | "weights" | "outputs",
    name: string,
    dtype: DType,
    shape: readonly number[],
    window?: Window,
  ): Window {
    const role = ({ inputs: "input", weights: "weight", outputs: "output" } as const)[side];
    const bytes = tensorBytes(
      dtype,
      shape.reduce((n, d) => n * d, 1),
    );
    const w = window ?? this.window(role, bytes);
    this[side].push({ name, dtype, shape, window: w });
    return w;
  }

  dispatch(
    k: KernelSpec,
    bindings: readonly Window[],
    elements: number,
    phase: "setup" | "dispatches" = "dispatches",
  ): void {
    let index = this.kernels.findIndex((x) => x.key === k.key);
    if (index < 0) index = this.kernels.push(k) - 1;
    this[phase].push({ kernel: index, bindings, workgroups: [Math.ceil(elements / 64), 1, 1] });
  }

  build(): Manifest {
    const { kernels, buffers, inputs, weights, state, outputs, setup, dispatches } = this;
    return {
      version: 1,
      capabilities: profiles.base,
      kernels,
      buffers,
      spans: [],
      leastBytes: 0,
      guard: 0,
      inputs,
      weights,
      state,
      outputs,
      setup,
      dispatches,
    };
  }
}

const scaleKernel = kernel("scale and shift", ["read", "read", "read", "read_write"], "b3[i] = b0[i] * b1[i] + b2[0];");

/** y = x * w + s: x f32[n] and s f32[] each run, w f32[n] at load. */
export function affine(n: number): Manifest {
  const m = new ManifestBuilder();
  const x = m.port("inputs", "x", "f32", [n]);
  const s = m.port("inputs", "s", "f32", []);
  const w = m.port("weights", "w", "f32", [n]);
  const y = m.port("outputs", "y", "f32", [n]);
  m.dispatch(scaleKernel, [x, w, s, y], n);
  return m.build();
}

export const affineOf = (x: ArrayLike<number>, w: ArrayLike<number>, s: number): number[] =>
  Array.from(x, (v, i) => v * w[i]! + s);

/** total' = total + x, in place or by way of another buffer; gives `sum` too. */
export function accumulator(n: number, inPlace: boolean): Manifest {
  const m = new ManifestBuilder();
  const x = m.port("inputs", "x", "f32", [n]);
  const bytes = n * 4;
  const total = m.window("state", bytes);
  const next = inPlace ? total : m.window("scratch", bytes);
  const body = inPlace ? "b1[i] = b1[i] + b0[i];" : "b2[i] = b0[i] + b1[i];";
  const k = kernel(
    inPlace ? "add in place" : "add",
    inPlace ? ["read", "read_write"] : ["read", "read", "read_write"],
    body,
  );
  m.dispatch(k, inPlace ? [x, total] : [x, total, next], n);
  m.state.push({ name: "total", dtype: "f32", shape: [n], window: total, next });
  m.port("outputs", "sum", "f32", [n], next);
  return m.build();
}

/** n' = n + 1, where the only output is the state itself, computed elsewhere. */
export function counter(): Manifest {
  const m = new ManifestBuilder();
  const n = m.window("state", 4);
  const next = m.window("output", 4);
  m.dispatch(kernel("count", ["read", "read_write"], "b1[i] = b0[i] + 1;", "u32"), [n, next], 1);
  m.state.push({ name: "n", dtype: "u32", shape: [], window: n, next });
  m.port("outputs", "n", "u32", [], next);
  return m.build();
}

/** Two states that exchange their values at every run, without a kernel. */
export function exchange(n: number): Manifest {
  const m = new ManifestBuilder();
  const a = m.window("state", n * 4);
  const b = m.window("state", n * 4);
  m.state.push({ name: "a", dtype: "f32", shape: [n], window: a, next: b });
  m.state.push({ name: "b", dtype: "f32", shape: [n], window: b, next: a });
  return m.build();
}

/** `steps` kernels of distinct text one after another: step k adds k. A constant is doubled once at load and added last. */
export function chain(n: number, steps: number): Manifest {
  const m = new ManifestBuilder();
  const x = m.port("inputs", "x", "f32", [n]);
  const ten = m.window("const", 256, new Uint32Array(new Float32Array([10]).buffer));
  const twenty = m.window("scratch", 256);
  m.dispatch(kernel("double", ["read", "read_write"], "b1[i] = b0[i] * 2.0;"), [ten, twenty], 64, "setup");
  const between = [m.window("scratch", n * 4), m.window("scratch", n * 4)] as const;
  let from = x;
  for (let k = 0; k < steps; k++) {
    const to = between[k % 2]!;
    m.dispatch(kernel(`add ${k}`, ["read", "read_write"], `b1[i] = b0[i] + ${k}.0;`), [from, to], n);
    from = to;
  }
  const y = m.port("outputs", "y", "f32", [n]);
  m.dispatch(
    kernel("add the constant", ["read", "read", "read_write"], "b2[i] = b0[i] + b1[0];"),
    [from, twenty, y],
    n,
  );
  return m.build();
}

/** Copies each dtype through unchanged: f16 and bool words as they lie in memory. */
export function identity(dtype: DType, shape: readonly number[]): Manifest {
  const m = new ManifestBuilder();
  const x = m.port("inputs", "x", dtype, shape);
  const y = m.port("outputs", "y", dtype, shape);
  const words = x.size / 4;
  const empty = shape.includes(0);
  m.dispatch(kernel("copy", ["read", "read_write"], "b1[i] = b0[i];", "u32"), [x, y], empty ? 0 : words);
  return m.build();
}
