import type { DType } from "../base/dtype.ts";
import type { Gpu } from "../runtime/gpu.ts";
import type { Range } from "./fill.ts";

/** Whether two words are further from each other than the limits allow, of bits `a` and `e`. */
const words: Readonly<Record<"float" | "halves" | "exact", string>> = {
  float: "off(a, e, bitcast<f32>(a), bitcast<f32>(e))",
  halves: `off(wide(a & 0xffffu), wide(e & 0xffffu), unpack2x16float(a).x, unpack2x16float(e).x) ||
      off(wide(a >> 16u), wide(e >> 16u), unpack2x16float(a).y, unpack2x16float(e).y)`,
  exact: "a != e",
};

const kindOf: Readonly<Record<DType, keyof typeof words>> = {
  f32: "float",
  f16: "halves",
  i32: "exact",
  u32: "exact",
  bool: "exact",
};

/** NaN and infinities are told by their bits: compilers may take it that there are none. */
const text = (dtype: DType): string => `@group(0) @binding(0) var<storage, read> actual: array<u32>;
@group(0) @binding(1) var<storage, read> expected: array<u32>;
@group(0) @binding(2) var<storage, read> limits: array<f32>;
@group(0) @binding(3) var<storage, read_write> wrong: array<u32>;
fn wide(h: u32) -> u32 { return ((h & 0x8000u) << 16u) | ((h & 0x7fffu) << 13u) | select(0u, 0x7f800000u, (h & 0x7c00u) == 0x7c00u); }
fn special(x: u32) -> bool { return (x & 0x7f800000u) == 0x7f800000u; }
fn nan(x: u32) -> bool { return (x << 1u) > 0xff000000u; }
fn off(a: u32, e: u32, af: f32, ef: f32) -> bool {
  if (a == e || ((a | e) << 1u) == 0u || (nan(a) && nan(e))) { return false; }
  if (special(a) || special(e)) { return true; }
  return !(abs(af - ef) <= limits[0] * (abs(ef) + limits[1]));
}
@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  for (var i = id.x; i < arrayLength(&actual); i += groups.x * 64u) {
    let a = actual[i];
    let e = expected[i];
    if (${words[kindOf[dtype]]}) { wrong[0] = 1u; }
  }
}
`;

/** Compares results on the device, all of them: reading them back would let it idle. */
export class Agreement {
  readonly #gpu: Gpu;
  readonly #pipelines = new Map<string, GPUComputePipeline>();

  constructor(gpu: Gpu) {
    this.#gpu = gpu;
  }

  /**
   * Writes 1 to `wrong` where an element is off by more than `limits[0] · (|expected| + limits[1])`; NaN and infinities must be the
   * same, integers equal.
   */
  encode(pass: GPUComputePassEncoder, dtype: DType, ranges: Readonly<Record<Name, Range>>): void {
    const { device } = this.#gpu;
    const kind = kindOf[dtype];
    let pipeline = this.#pipelines.get(kind);
    if (!pipeline) {
      const module = device.createShaderModule({ code: text(dtype) });
      pipeline = device.createComputePipeline({ layout: "auto", compute: { module, entryPoint: "main" } });
      this.#pipelines.set(kind, pipeline);
    }
    // A layout has only what the text uses.
    const used = kind === "exact" ? [0, 1, 3] : [0, 1, 2, 3];
    const entries = used.map((binding) => {
      const { buffer, offset, size } = ranges[names[binding] as Name];
      return { binding, resource: { buffer, offset, size } };
    });
    pass.setPipeline(pipeline);
    pass.setBindGroup(0, device.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries }));
    pass.dispatchWorkgroups(Math.max(1, Math.min(1024, Math.ceil(ranges.actual.size / 256))));
  }
}

const names = ["actual", "expected", "limits", "wrong"] as const;
type Name = (typeof names)[number];
