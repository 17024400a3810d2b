import type { DocumentedKernel } from "./kernel-page.ts";

/** What the kernels of a source file are called together. */
const titles: Readonly<Record<string, string>> = {
  "linear.kernel.ts": "Linear layers and products",
  "quantised.kernel.ts": "Products with quantised weights",
  "norm.kernel.ts": "Normalisation",
  "softmax.kernel.ts": "Softmax",
  "cross-entropy.kernel.ts": "Losses",
  "attention.kernel.ts": "Attention",
  "rope.kernel.ts": "Rotary position embedding",
  "activation.kernel.ts": "Activations",
  "swiglu.kernel.ts": "Gated units",
  "embedding.kernel.ts": "Embeddings",
  "optimiser.kernel.ts": "Optimisers and gradients",
  "reduction.kernel.ts": "Reductions",
};

const intro = `# Kernels

\`sinter/kernels\` are fused kernels for programs that have a GPUDevice and GPUBuffers of their own: generated ahead, without a
compiler in the bundle, each tree-shaken away when unused. Sizes are data: a pipeline serves all of them. Tensors are
row-major and may begin at any element of a buffer.

\`\`\`ts
import { layerNorm, linearGelu } from "sinter/kernels";
import { createRuntime } from "sinter/runtime";

declare const device: GPUDevice;
declare const x: GPUBuffer, gamma: GPUBuffer, beta: GPUBuffer, y: GPUBuffer, w: GPUBuffer, bias: GPUBuffer, z: GPUBuffer;

const runtime = await createRuntime({ device });
await runtime.warmup([layerNorm, linearGelu, { kernel: linearGelu, dtype: "f16" }]);
runtime.run(layerNorm, { x, gamma, beta, y }, { rows: 512, cols: 768, eps: 1e-5 });
runtime.run(linearGelu, { x: { buffer: y, offset: 768 }, w, bias, y: z }, { rows: 511, inner: 768, cols: 3072 });
\`\`\`

f16 is an option of \`run\` where the device has \`shader-f16\`; a kernel that rounds f32 to f16 (\`…Cast\`) has that dtype alone.
\`{ encoder }\` records into the caller's command encoder, \`{ pass }\` into a pass.

## Beside WebGPU code of one's own

Three kernels in one pass with a hand-written shader, each dispatch seeing what the one before it wrote:

\`\`\`ts run
import { openDevice } from "sinter";
import { linear, rmsNorm, swigluPacked } from "sinter/kernels";
import { createRuntime } from "sinter/runtime";

const gpu = await openDevice(); // in a browser: await (await navigator.gpu.requestAdapter()).requestDevice()
const { device } = gpu;
const runtime = await createRuntime({ device });
await runtime.warmup([rmsNorm, linear, swigluPacked]);

const [rows, cols] = [4, 8];
const storage = 0x80 | 0x8 | 0x4; // STORAGE | COPY_DST | COPY_SRC
const filled = (n: number, value: (i: number) => number): GPUBuffer => {
  const buffer = device.createBuffer({ size: 4 * n, usage: storage });
  device.queue.writeBuffer(buffer, 0, Float32Array.from({ length: n }, (_, i) => value(i)));
  return buffer;
};
const x = filled(rows * cols, (i) => (i % 5) - 2);
const gamma = filled(cols, () => 1);
const w = filled(cols * 2 * cols, (i) => ((i % 7) - 3) / 8);
const bias = filled(2 * cols, () => 0.5);
const [normal, both, y] = [filled(rows * cols, () => 0), filled(rows * 2 * cols, () => 0), filled(rows * cols, () => 0)];

// The program's own shader: doubles every element in place.
const doubled = device.createComputePipeline({
  layout: "auto",
  compute: {
    module: device.createShaderModule({
      code: \`@group(0) @binding(0) var<storage, read_write> data: array<f32>;
        @compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3<u32>) {
          if (id.x < arrayLength(&data)) { data[id.x] *= 2; }
        }\`,
    }),
  },
});
const group = device.createBindGroup({
  layout: doubled.getBindGroupLayout(0),
  entries: [{ binding: 0, resource: { buffer: both } }],
});

const encoder = device.createCommandEncoder();
const pass = encoder.beginComputePass();
runtime.run(rmsNorm, { x, gamma, y: normal }, { rows, cols, eps: 1e-6 }, { pass });
runtime.run(linear, { x: normal, w, bias, y: both }, { rows, inner: cols, cols: 2 * cols }, { pass });
pass.setPipeline(doubled);
pass.setBindGroup(0, group);
pass.dispatchWorkgroups(Math.ceil((rows * 2 * cols) / 64));
runtime.run(swigluPacked, { x: both, y }, { rows, cols }, { pass });
pass.end();

const result = device.createBuffer({ size: 4 * rows * cols, usage: 0x1 | 0x8 }); // MAP_READ | COPY_DST
encoder.copyBufferToBuffer(y, 0, result, 0, result.size);
device.queue.submit([encoder.finish()]);
await result.mapAsync(1);
const numbers = [...new Float32Array(result.getMappedRange())].slice(0, 4);
console.log(numbers.map((v) => v.toFixed(3)).join(" "), runtime.counters.dispatches);
runtime.dispose();
gpu.dispose();
\`\`\`
`;

/** The first sentence or two of a kernel's documentation, on one line. */
const summary = (doc: string): string =>
  doc
    .split(/\n\s*\n/)[0]!
    .replace(/\s+/g, " ")
    .replace(/\|/g, "\\|");

/** The page that lists the kernels. */
export function indexPage(kernels: readonly DocumentedKernel[], output: string): string {
  const sections = Object.entries(titles).flatMap(([source, title]) => {
    const own = kernels.filter((k) => k.source === source);
    return [
      "",
      `## ${title}`,
      "",
      "| kernel | |",
      "|---|---|",
      ...own.map((k) => `| [${k.kernel.name}](${k.kernel.name}.md) | ${summary(k.doc)} |`),
    ];
  });
  return `${intro}\n\`\`\`text output\n${output}\`\`\`\n${sections.join("\n")}\n`;
}
