import type { Gpu, WaitOptions } from "./gpu.ts";
import { Stopwatch } from "./timestamps.ts";
import { shaderStageCompute, usage } from "./usage.ts";

const workgroup = 256;
const wgsl = `@group(0) @binding(0) var<storage, read> source: array<vec4<u32>>;
@group(0) @binding(1) var<storage, read_write> result: array<vec4<u32>>;
@compute @workgroup_size(${workgroup})
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  let i = id.x + id.y * groups.x * ${workgroup}u;
  if (i < arrayLength(&result)) { result[i] = source[i]; }
}
`;

/** Bytes copied at a time: more than a GPU's caches hold; what takes a CPU no second. */
const sizeOn = (gpu: Gpu): number => {
  const { limits, software } = gpu.capabilities;
  return Math.min(software ? 2 ** 25 : 2 ** 28, limits.maxStorageBufferBindingSize, limits.maxBufferSize) & ~0xff;
};

/**
 * Bytes a second that a plain copy kernel moves on this device, those it reads and those it writes counted: what a kernel
 * can reach that computes nothing. The median of several copies of up to 256 MiB, timed on the GPU.
 * @throws SinterError `no-timestamps`, `out-of-memory`
 */
export async function copySpeed(gpu: Gpu, options: WaitOptions = {}): Promise<number> {
  const { device } = gpu;
  const runs = gpu.capabilities.software ? 5 : 15;
  const watch = await Stopwatch.open(gpu, runs, options);
  const size = sizeOn(gpu);
  let buffers: GPUBuffer[] = [];
  try {
    // Not by way of the pipeline cache: a strict session allows no pipeline there that no warm-up made.
    const [group, pipeline] = await gpu.scoped(
      "measure the speed of a copy",
      () => {
        const entry = (binding: number, type: GPUBufferBindingType) => ({
          binding,
          visibility: shaderStageCompute,
          buffer: { type },
        });
        const layout = device.createBindGroupLayout({ entries: [entry(0, "read-only-storage"), entry(1, "storage")] });
        buffers = [0, 1].map(() => device.createBuffer({ size, usage: usage.storage }));
        return [
          device.createBindGroup({
            layout,
            entries: buffers.map((buffer, binding) => ({ binding, resource: { buffer } })),
          }),
          device.createComputePipeline({
            layout: device.createPipelineLayout({ bindGroupLayouts: [layout] }),
            compute: { module: device.createShaderModule({ code: wgsl }), entryPoint: "main" },
          }),
        ] as const;
      },
      options,
    );
    const groups = Math.ceil(size / 16 / workgroup);
    // As even as it goes: workgroups past the end take time too.
    const y = Math.ceil(groups / gpu.capabilities.limits.maxComputeWorkgroupsPerDimension);
    const x = Math.ceil(groups / y);
    const encoder = device.createCommandEncoder();
    watch.start();
    for (let i = 0; i < runs; i++) {
      const pass = watch.beginPass(encoder);
      pass.setPipeline(pipeline);
      pass.setBindGroup(0, group);
      pass.dispatchWorkgroups(x, y);
      pass.end();
    }
    watch.finish(encoder);
    gpu.submit([encoder.finish()]);
    const times = (await watch.read(options)).map((s) => s.end - s.begin).sort((a, b) => a - b);
    return (2 * size) / ((times[runs >> 1] as number) * 1e-9);
  } finally {
    watch.dispose();
    for (const b of buffers) b.destroy();
  }
}
