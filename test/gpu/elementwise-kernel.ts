import type { DType } from "../../src/base/dtype.ts";
import { HelperSet, wgslType } from "../../src/ir/ops/helpers.ts";
import type { ElementwiseCase } from "./elementwise-cases.ts";

const vector = (width: number): string => (width === 1 ? "u32" : `vec${width}<u32>`);

/** Reads and writes values as 32-bit words, so that no driver changes a NaN or a subnormal on the way. */
const load = (bits: string, dtype: DType, width: number): string =>
  dtype === "bool" ? `(${bits} != ${vector(width)}(0u))` : `bitcast<${wgslType(dtype, width)}>(${bits})`;

function store(value: string, dtype: DType, width: number, helpers: HelperSet): string {
  if (dtype === "bool") return `select(${vector(width)}(0u), ${vector(width)}(1u), ${value})`;
  const rounded = dtype === "f16" ? `${helpers.use("roundHalf", width)}(${value})` : value;
  return `bitcast<${vector(width)}>(${rounded})`;
}

/** A kernel that applies cases of one signature to the same arguments; case k fills the k-th part of `out`. `n` counts vectors. */
export function caseKernel(cases: readonly ElementwiseCase[], width: number, n: number): string {
  const helpers = new HelperSet();
  const args = (cases[0] as ElementwiseCase).args;
  const v = vector(width);
  const loads = args.map((d, k) => `  let x${k} = ${load(`in${k}[i]`, d, width)};`);
  const stores = cases.map((c, k) => {
    const context = helpers.context({ width, args: c.args, result: c.result, attrs: c.attrs });
    const text = c.row.elementwise?.wgsl(
      args.map((_, j) => `x${j}`),
      context,
    ) as string;
    return `  out[${k * n}u + i] = ${store(text, c.result, width, helpers)};`;
  });
  return `
${args.map((_, k) => `@group(0) @binding(${k + 1}) var<storage, read> in${k}: array<${v}>;`).join("\n")}
@group(0) @binding(0) var<storage, read_write> out: array<${v}>;

${helpers.text()}

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  let i = id.x;
  if (i >= ${n}u) {
    return;
  }
${loads.join("\n")}
${stores.join("\n")}
}
`;
}

/** Runs a kernel of {@link caseKernel}; gives the words of each case's part. */
export async function runCaseKernel(
  device: GPUDevice,
  code: string,
  columns: readonly Uint32Array[],
  parts: number,
): Promise<Uint32Array[]> {
  device.pushErrorScope("validation");
  const module = device.createShaderModule({ code });
  const pipeline = await device
    .createComputePipelineAsync({ layout: "auto", compute: { module, entryPoint: "main" } })
    .catch(async (e) => {
      const { messages } = await module.getCompilationInfo();
      const first = messages.find((m) => m.type === "error");
      throw new Error(`${first?.message ?? e}\n${code.split("\n")[(first?.lineNum ?? 1) - 1]}`);
    });
  const n = columns[0]?.length ?? 0;
  const out = device.createBuffer({ size: 4 * n * parts, usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC });
  const back = device.createBuffer({ size: 4 * n * parts, usage: GPUBufferUsage.COPY_DST | GPUBufferUsage.MAP_READ });
  const inputs = columns.map((c) => {
    const b = device.createBuffer({ size: c.byteLength, usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST });
    device.queue.writeBuffer(b, 0, c as Uint32Array<ArrayBuffer>);
    return b;
  });
  const group = device.createBindGroup({
    layout: pipeline.getBindGroupLayout(0),
    entries: [out, ...inputs].map((buffer, binding) => ({ binding, resource: { buffer } })),
  });
  const encoder = device.createCommandEncoder();
  const pass = encoder.beginComputePass();
  pass.setPipeline(pipeline);
  pass.setBindGroup(0, group);
  pass.dispatchWorkgroups(Math.ceil(n / 64));
  pass.end();
  encoder.copyBufferToBuffer(out, 0, back, 0, 4 * n * parts);
  device.queue.submit([encoder.finish()]);
  const error = await device.popErrorScope();
  if (error) throw new Error(error.message);
  await back.mapAsync(GPUMapMode.READ);
  const words = new Uint32Array(back.getMappedRange().slice(0));
  for (const b of [out, back, ...inputs]) b.destroy();
  return Array.from({ length: parts }, (_, k) => words.subarray(k * n, (k + 1) * n));
}
