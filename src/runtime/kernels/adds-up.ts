import { SinterError } from "../../base/diagnostic.ts";
import { mapModeRead, usage } from "../usage.ts";

const count = 256;

/** A sum over a workgroup as kernels with subgroups make it: each subgroup's own, and those added up in workgroup memory. */
const wgsl = `enable subgroups;
@group(0) @binding(0) var<storage, read_write> b: array<f32>;
var<workgroup> sh: array<f32, ${count}>;
@compute @workgroup_size(${count})
fn main(@builtin(local_invocation_index) lid: u32, @builtin(subgroup_size) sg_size: u32, @builtin(subgroup_invocation_id) sg_lane: u32) {
  let part = subgroupAdd(b[lid]);
  if (sg_lane == 0u) { sh[lid / sg_size] = part; }
  workgroupBarrier();
  var total = sh[0];
  for (var k = 1u; k < ${count}u / sg_size; k++) { total += sh[k]; }
  b[lid] = total;
}`;

const known = new WeakMap<GPUDevice, Promise<void>>();

/**
 * Tests, once a device, whether it adds up rightly with subgroups: kernels whose texts use them come with it, and are run by
 * their other texts where it rejects. Fails with `feature-faulty`.
 */
export function addsUp(device: GPUDevice): Promise<void> {
  const found = known.get(device) ?? test(device);
  known.set(device, found);
  return found;
}

async function test(device: GPUDevice): Promise<void> {
  const size = 4 * count;
  const numbers = Float32Array.from({ length: count }, (_, i) => 1 + ((i * 37) % 64));
  const right = numbers.reduce((a, b) => a + b, 0);
  const own = device.createBuffer({ size, usage: usage.storage | usage.copySrc | usage.copyDst });
  const read = device.createBuffer({ size, usage: usage.copyDst | usage.mapRead });
  try {
    const pipeline = await device.createComputePipelineAsync({
      layout: "auto",
      compute: { module: device.createShaderModule({ label: "self-test of subgroups", code: wgsl }) },
    });
    device.queue.writeBuffer(own, 0, numbers);
    const encoder = device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    pass.setPipeline(pipeline);
    const entries = [{ binding: 0, resource: { buffer: own } }];
    pass.setBindGroup(0, device.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries }));
    pass.dispatchWorkgroups(1);
    pass.end();
    encoder.copyBufferToBuffer(own, 0, read, 0, size);
    device.queue.submit([encoder.finish()]);
    await read.mapAsync(mapModeRead);
    const wrong = new Float32Array(read.getMappedRange()).find((x) => x !== right);
    if (wrong === undefined) return;
    const error = new SinterError({
      code: "feature-faulty",
      message: "this device computes sums by subgroups wrongly: kernels do without subgroups here",
      cause: `a self-test gave ${wrong} where ${right} is right`,
      hint: "update the graphics driver or the browser; results are right all the same, and slower",
    });
    console.warn(error.message);
    throw error;
  } finally {
    own.destroy();
    read.destroy();
  }
}
