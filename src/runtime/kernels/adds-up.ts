// Imports nothing: pages load it on demand, as a chunk of its own.

/** WebGPU's numbers for how a buffer is used. */
const usage = { mapRead: 0x1, copySrc: 0x4, copyDst: 0x8, storage: 0x80 } as const;
const mapModeRead = 0x1;
const count = 256;

/** Sum, maximum and minimum of a workgroup as kernels with subgroups make them: each subgroup's own, which meet in workgroup memory. */
const wgsl = `enable subgroups;
@group(0) @binding(0) var<storage, read_write> b: array<f32>;
var<workgroup> sh: array<vec3<f32>, ${count}>;
@compute @workgroup_size(${count})
fn main(@builtin(local_invocation_index) lid: u32, @builtin(subgroup_size) sg_size: u32, @builtin(subgroup_invocation_id) sg_lane: u32) {
  let x = b[lid];
  let part = vec3(subgroupAdd(x), subgroupMax(x), subgroupMin(x));
  if (sg_lane == 0u) { sh[lid / sg_size] = part; }
  workgroupBarrier();
  var total = sh[0];
  for (var k = 1u; k < ${count}u / sg_size; k++) {
    total = vec3(total.x + sh[k].x, max(total.y, sh[k].y), min(total.z, sh[k].z));
  }
  b[lid] = total.x + 3.0 * total.y + 5.0 * total.z;
}`;

/** The error that tells of a device that computes wrongly with subgroups. */
const faulty = {
  code: "feature-faulty",
  message: "this device computes sums by subgroups wrongly: kernels do without subgroups here",
  hint: "update the graphics driver or the browser; results are right all the same, and slower",
} as const;

type WrongSums = typeof faulty & { readonly cause: string };

const known = new WeakMap<GPUDevice, Promise<WrongSums | undefined>>();

/**
 * Tests, once a device, whether it adds up rightly with subgroups, and finds extremes. Where it does not, the console is warned, and kernels
 * whose texts use them are to be run by their other texts: resolves to the error that says so.
 */
export function addsUp(device: GPUDevice): Promise<WrongSums | undefined> {
  const found = known.get(device) ?? test(device);
  known.set(device, found);
  return found;
}

async function test(device: GPUDevice): Promise<WrongSums | undefined> {
  const size = 4 * count;
  const numbers = Float32Array.from({ length: count }, (_, i) => 1 + ((i * 37) % 64));
  const right = numbers.reduce((a, b) => a + b, 0) + 3 * Math.max(...numbers) + 5 * Math.min(...numbers);
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
    if (wrong === undefined) return undefined;
    console.warn(`${faulty.message} [${faulty.code}]`);
    return { ...faulty, cause: `a self-test gave ${wrong} where ${right} is right` };
  } finally {
    own.destroy();
    read.destroy();
  }
}
