/** How the chosen call goes wrong. */
export type Fault = "validation" | "out-of-memory" | "throw" | "never" | "lose";

export interface FaultyDevice {
  readonly device: GPUDevice;
  /** Names of the calls made so far, in order. */
  readonly calls: readonly string[];
  /** Takes error scopes off the real device that a failed call left there. */
  restore(): void;
}

/** Arguments that make the real call invalid; calls that are missing here cannot be. */
const spoil: Readonly<Record<string, (args: unknown[]) => unknown[]>> = {
  createBuffer: ([d]) => [{ ...(d as object), usage: 0x3 }],
  createShaderModule: () => [{ code: "not WGSL" }],
  createBindGroupLayout: ([d]) => [
    { entries: [...(d as GPUBindGroupLayoutDescriptor).entries, ...(d as GPUBindGroupLayoutDescriptor).entries] },
  ],
  createPipelineLayout: ([d]) => [
    { bindGroupLayouts: new Array(9).fill([...(d as GPUPipelineLayoutDescriptor).bindGroupLayouts][0]) },
  ],
  createComputePipelineAsync: ([d]) => [
    {
      ...(d as GPUComputePipelineDescriptor),
      compute: { ...(d as GPUComputePipelineDescriptor).compute, entryPoint: "absent" },
    },
  ],
  createBindGroup: ([d]) => [{ ...(d as GPUBindGroupDescriptor), entries: [] }],
  writeBuffer: ([buffer, , ...rest]) => [buffer, 2 ** 40, ...rest],
  copyBufferToBuffer: ([a, , b, to]) => [a, 2 ** 40, b, to, 4],
  dispatchWorkgroups: () => [2 ** 20],
  dispatchWorkgroupsIndirect: ([buffer]) => [buffer, 2 ** 20],
  setBindGroup: ([, group]) => [99, group],
  mapAsync: () => [0],
};

/** Calls that give a promise. */
export const promising = new Set(["createComputePipelineAsync", "popErrorScope", "mapAsync", "onSubmittedWorkDone"]);
/** Objects whose own methods count too. */
const wrapped = new Set(["createBuffer", "createCommandEncoder", "beginComputePass"]);
const plain = new Set(["addEventListener", "removeEventListener"]);

class GPUOutOfMemoryError {
  readonly message = "no memory (injected)";
}

/**
 * A device whose call number `at` (from 0; device, queue, buffers, encoders and passes counted together) goes wrong.
 * `validation` makes the real call with invalid arguments, so that its consequences are the real ones.
 */
export function faultyDevice(device: GPUDevice, at: number, fault: Fault): FaultyDevice {
  const calls: string[] = [];
  const unwrap = new WeakMap<object, object>();
  const scopes: { filter: string; injected?: object }[] = [];
  const listeners = new Set<(e: unknown) => void>();

  const realOf = (v: unknown): unknown => {
    if (typeof v !== "object" || v === null) return v;
    const known = unwrap.get(v);
    if (known) return known;
    if (Array.isArray(v)) return v.map(realOf);
    if (Object.getPrototypeOf(v) !== Object.prototype) return v;
    return Object.fromEntries(Object.entries(v).map(([k, x]) => [k, realOf(x)]));
  };

  const outOfMemory = (): void => {
    const error = new GPUOutOfMemoryError();
    const scope = scopes.findLast((s) => s.filter === "out-of-memory");
    if (scope) scope.injected ??= error;
    else for (const l of listeners) l({ error, preventDefault() {} });
  };

  const call = (name: string, target: object, method: (...a: unknown[]) => unknown, given: unknown[]): unknown => {
    const hit = calls.push(name) - 1 === at;
    const args = given.map(realOf);
    const done = !hit || !(fault === "throw" || (fault === "never" && promising.has(name)));
    if (name === "pushErrorScope" && done) scopes.push({ filter: args[0] as string });
    const scope = name === "popErrorScope" && done ? scopes.pop() : undefined;
    if (!hit) {
      const result = method.apply(target, args);
      return scope?.injected ? (result as Promise<unknown>).then((e) => e ?? scope.injected) : result;
    }
    if (fault === "lose") device.destroy();
    if (fault === "throw") {
      const error = new Error(`${name} failed (injected)`);
      if (promising.has(name)) return Promise.reject(error);
      throw error;
    }
    if (fault === "never" && promising.has(name)) return new Promise(() => {});
    if (fault === "validation" && name === "submit") {
      const encoder = device.createCommandEncoder();
      encoder.popDebugGroup();
      device.pushErrorScope("validation");
      const broken = encoder.finish();
      void device.popErrorScope();
      return method.apply(target, [[broken]]);
    }
    if (fault === "validation" && spoil[name]) return method.apply(target, spoil[name](args));
    if (fault === "out-of-memory" && (name === "createBuffer" || name === "submit")) {
      outOfMemory();
      if (name === "submit") return undefined;
      const buffer = method.apply(target, args) as GPUBuffer;
      buffer.destroy();
      return buffer;
    }
    return method.apply(target, args);
  };

  const wrap = (target: object): object => {
    const methods = new Map<string, unknown>();
    const proxy = new Proxy(target, {
      get(_, key) {
        const value = Reflect.get(target, key, target) as unknown;
        if (key === "queue") return queue;
        if (typeof value !== "function" || typeof key !== "string" || key === "constructor") return value;
        if (!methods.has(key)) {
          methods.set(key, (...args: unknown[]): unknown => {
            const f = value as (...a: unknown[]) => unknown;
            if (plain.has(key)) {
              const listener = args[1] as (e: unknown) => void;
              if (key === "addEventListener") listeners.add(listener);
              else listeners.delete(listener);
              return f.apply(target, args);
            }
            const result = call(key, target, f, args);
            return wrapped.has(key) ? wrap(result as object) : result;
          });
        }
        return methods.get(key);
      },
    });
    unwrap.set(proxy, target);
    return proxy;
  };
  const queue = wrap(device.queue);
  const restore = (): void => {
    for (const _ of scopes.splice(0)) device.popErrorScope().catch(() => undefined);
  };
  return { device: wrap(device) as GPUDevice, calls, restore };
}

/** A device whose buffers may take `budget` bytes together; more is out of memory. Destroyed buffers do not count. */
export function limitedDevice(device: GPUDevice, budget: number): GPUDevice {
  let used = 0;
  const pending: (object | null)[] = [];
  const createBuffer = (d: GPUBufferDescriptor): GPUBuffer => {
    const buffer = device.createBuffer(d);
    const destroy = buffer.destroy.bind(buffer);
    used += d.size;
    let alive = true;
    buffer.destroy = () => {
      if (alive) used -= d.size;
      alive = false;
      destroy();
    };
    if (used > budget) pending[pending.length - 1] = new GPUOutOfMemoryError();
    return buffer;
  };
  const filters: GPUErrorFilter[] = [];
  return new Proxy(device, {
    get(_, key) {
      if (key === "pushErrorScope") {
        return (filter: GPUErrorFilter): void => {
          filters.push(filter);
          if (filter === "out-of-memory") pending.push(null);
          device.pushErrorScope(filter);
        };
      }
      if (key === "popErrorScope") {
        return async (): Promise<unknown> => {
          const injected = filters.pop() === "out-of-memory" ? pending.pop() : null;
          return (await device.popErrorScope()) ?? injected ?? null;
        };
      }
      if (key === "createBuffer") return createBuffer;
      const value = Reflect.get(device, key, device) as unknown;
      return typeof value === "function" ? value.bind(device) : value;
    },
  });
}
