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

/** Fills buffers with random data on the GPU, the same for the same seed. */
export class Filler {
  readonly #gpu: Gpu;
  readonly #seed: GPUBuffer;
  readonly #pipelines = new Map<DType, GPUComputePipeline>();

  constructor(gpu: Gpu) {
    this.#gpu = gpu;
    this.#seed = gpu.device.createBuffer({ size: 4, usage: usage.storage | usage.copyDst });
  }

  fill(buffer: GPUBuffer, dtype: DType, seed: number): void {
    const { device } = this.#gpu;
    const pipeline = this.#pipelines.get(dtype) ?? this.#make(dtype);
    this.#pipelines.set(dtype, pipeline);
    this.#gpu.write(this.#seed, 0, new Uint8Array(Uint32Array.of(seed).buffer));
    const encoder = device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    pass.setPipeline(pipeline);
    const entries = [buffer, this.#seed].map((b, binding) => ({ binding, resource: { buffer: b } }));
    pass.setBindGroup(0, device.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries }));
    pass.dispatchWorkgroups(Math.min(1024, Math.ceil(buffer.size / 256)));
    pass.end();
    this.#gpu.submit([encoder.finish()]);
  }

  #make(dtype: DType): GPUComputePipeline {
    const { device } = this.#gpu;
    const module = device.createShaderModule({ code: text(dtype) });
    return device.createComputePipeline({ layout: "auto", compute: { module, entryPoint: "main" } });
  }

  dispose(): void {
    this.#seed.destroy();
  }
}
