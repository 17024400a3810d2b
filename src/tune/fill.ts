import type { DType } from "../base/dtype.ts";
import type { Gpu } from "../runtime/gpu.ts";
import { usage } from "../runtime/usage.ts";

/** A word of random data of a dtype, from the random word `h`: floats from 0.1 to 1.1, so that logarithms, roots and quotients are numbers. */
const words: Readonly<Record<DType, string>> = {
  f32: "bitcast<u32>(unit(h))",
  f16: "pack2x16float(vec2<f32>(unit(h), unit(mix(h))))",
  i32: "h % 61u",
  u32: "h % 61u",
  bool: "h & 1u",
};

const text = (dtype: DType): string => `@group(0) @binding(0) var<storage, read_write> data: array<u32>;
@group(0) @binding(1) var<storage, read> seed: array<u32>;
fn mix(x: u32) -> u32 {
  let a = (x ^ (x >> 16u)) * 0x7feb352du;
  let b = (a ^ (a >> 15u)) * 0x846ca68bu;
  return b ^ (b >> 16u);
}
fn unit(h: u32) -> f32 { return 0.1 + f32(h >> 8u) / 16777216.0; }
@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  for (var i = id.x; i < arrayLength(&data); i += groups.x * 64u) {
    let h = mix(i ^ mix(seed[0]));
    data[i] = ${words[dtype]};
  }
}
`;

/** Part of a buffer: offset a multiple of 256 bytes, size one of 4. */
export interface Range {
  readonly buffer: GPUBuffer;
  readonly offset: number;
  readonly size: number;
}

const seeds = 64;
const apart = 256;

/** Fills memory with random data on the GPU, the same for the same seed. */
export class Filler {
  readonly #gpu: Gpu;
  readonly #seeds: GPUBuffer;
  readonly #pipelines = new Map<DType, GPUComputePipeline>();

  constructor(gpu: Gpu) {
    this.#gpu = gpu;
    this.#seeds = gpu.device.createBuffer({ size: seeds * apart, usage: usage.storage | usage.copyDst });
    const words = Uint32Array.from({ length: (seeds * apart) / 4 }, (_, i) => 1 + Math.floor((4 * i) / apart));
    gpu.write(this.#seeds, 0, new Uint8Array(words.buffer));
  }

  fill(pass: GPUComputePassEncoder, range: Range, dtype: DType, seed: number): void {
    const most = Math.floor(this.#gpu.capabilities.limits.maxStorageBufferBindingSize / apart) * apart;
    for (let at = 0; at < range.size; at += most) {
      const size = Math.min(most, range.size - at);
      this.#fill(pass, { buffer: range.buffer, offset: range.offset + at, size }, dtype, seed);
    }
  }

  #fill(pass: GPUComputePassEncoder, range: Range, dtype: DType, seed: number): void {
    const { device } = this.#gpu;
    const pipeline = this.#pipelines.get(dtype) ?? this.#make(dtype);
    this.#pipelines.set(dtype, pipeline);
    const own = { buffer: this.#seeds, offset: (seed % seeds) * apart, size: 4 };
    const entries = [range, own].map(({ buffer, offset, size }, binding) => ({
      ...{ binding, resource: { buffer, offset, size } },
    }));
    pass.setPipeline(pipeline);
    pass.setBindGroup(0, device.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries }));
    pass.dispatchWorkgroups(Math.max(1, Math.min(1024, Math.ceil(range.size / 256))));
  }

  #make(dtype: DType): GPUComputePipeline {
    const { device } = this.#gpu;
    const module = device.createShaderModule({ code: text(dtype) });
    return device.createComputePipeline({ layout: "auto", compute: { module, entryPoint: "main" } });
  }

  dispose(): void {
    this.#seeds.destroy();
  }
}
