import { softmax } from "sinter/kernels";
import { softmax as alone } from "sinter/kernels/softmax";
import { openDevice } from "sinter/node";
import { createRuntime } from "sinter/runtime";
import { negated } from "./generated/negated.js";
import { scaledSoftmax } from "./generated/scaledSoftmax.js";
import { squash } from "./generated/squash.js";

function check(what: string, got: ArrayLike<number>, wanted: ArrayLike<number>): void {
  if (Array.from(got).some((v, i) => !(Math.abs(v - wanted[i]!) < 1e-5))) {
    throw new Error(`${what}: ${Array.from(got)}, not ${Array.from(wanted)}`);
  }
}

if (softmax !== alone) throw new Error("two copies of a kernel");
const gpu = await openDevice();
const { device } = gpu;
const runtime = await createRuntime({ device, strict: true });
await runtime.warmup([negated, scaledSoftmax, softmax, squash]);

const [mapRead, copySrc, copyDst, storage] = [1, 4, 8, 128];
function tensor(values: Float32Array<ArrayBuffer>): GPUBuffer {
  const buffer = device.createBuffer({ size: values.byteLength, usage: storage | copySrc | copyDst });
  device.queue.writeBuffer(buffer, 0, values);
  return buffer;
}
async function read(from: GPUBuffer): Promise<Float32Array> {
  const to = device.createBuffer({ size: from.size, usage: mapRead | copyDst });
  const encoder = device.createCommandEncoder();
  encoder.copyBufferToBuffer(from, 0, to, 0, from.size);
  device.queue.submit([encoder.finish()]);
  await to.mapAsync(1);
  return new Float32Array(to.getMappedRange());
}

const [rows, cols] = [3, 63];
const values = Float32Array.from({ length: rows * cols }, (_, i) => 2 * Math.sin(i));
const x = tensor(values);
const row = (r: number): Float32Array => values.slice(r * cols, (r + 1) * cols);
const softmaxOf = (by: number): number[] =>
  [...Array(rows).keys()].flatMap((r) => {
    const e = [...row(r)].map((v) => Math.exp(v * by));
    return e.map((v) => v / e.reduce((a, b) => a + b));
  });
const squashOf = (v: number): number => v / (1 + Math.abs(v));

// A results' buffer may be larger than the result: what lies behind it stays.
const [y, z, s, n, top] = Array.from({ length: 5 }, () => tensor(new Float32Array(rows * cols + 4).fill(7)));
runtime.run(scaledSoftmax, { x, y: y! }, { rows, cols, by: 2 });
runtime.run(softmax, { x, y: z! }, { rows, cols });
runtime.run(squash, { x, y: s! }, { n: rows * cols });
runtime.run(negated, { x, y: n!, top: top! }, { rows, cols });
const behind = [7, 7, 7, 7];
check("scaledSoftmax", await read(y!), [...softmaxOf(2), ...behind]);
check("softmax", await read(z!), [...softmaxOf(1), ...behind]);
check("squash", await read(s!), [...[...values].map(squashOf), ...behind]);
check("negated", await read(n!), [...[...values].map((v) => -squashOf(v)), ...behind]);
const tops = [...Array(rows).keys()].map((r) => Math.max(...row(r).map(Math.abs)));
check("top", (await read(top!)).slice(0, rows + 1), [...tops, 7]);

// @ts-expect-error -- sizes are checked by name
const misnamed = (): void => runtime.run(softmax, { x, y: y! }, { rows, columns: cols });
// @ts-expect-error -- and so are tensors
const mistaken = (): void => runtime.run(softmax, { x, out: y! }, { rows, cols });
if ([misnamed, mistaken].length !== 2) throw new Error("unused");

runtime.dispose();
gpu.dispose();
console.log("ran");
