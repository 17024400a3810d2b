import type { Kernel, KernelRuntime, KernelTensor } from "sinter/runtime";
import { fromHalfBits, toHalfBits } from "../../src/base/half.ts";
import type { DType, KernelDType } from "../../src/index.ts";
import { mapModeRead, usage } from "../../src/runtime/usage.ts";
import { type KernelCase, roundingOf, type Sizes, type Values } from "./cases/case.ts";
import { drawn, firstMismatch, randomFor } from "./inputs.ts";

/** NaN as f32 and as two f16: what lies between tensors. Reading it shows in the results, writing to it in the bytes. */
const guardWord = 0x7fe17fe1;
const guardBytes = 64;

interface Placed {
  readonly name: string;
  readonly dtype: DType;
  readonly access: "read" | "write" | "update";
  /** Elements from the start of the buffer that the tensors of this name share. */
  readonly offset: number;
  readonly count: number;
}

/** One call: where its tensors lie and what must come out. */
interface Call {
  readonly sizes: Sizes;
  readonly placed: readonly Placed[];
  readonly inputs: Values;
  readonly expected: Values;
}

const bytesOf = (dtype: DType): number => (dtype === "f16" ? 2 : 4);

/**
 * Runs a kernel for each of the sizes, all in one encoder, on tensors that begin at other places of buffers that the calls
 * share: a multiple of four elements past a multiple of 256 bytes, any number up to seven, or once so and once so.
 * Undefined where everything is as it must be.
 */
export async function differenceOnGpu(
  runtime: KernelRuntime,
  kernel: Kernel,
  c: KernelCase,
  dtype: KernelDType,
  sizes: readonly Sizes[],
  places: Places,
): Promise<string | undefined> {
  const ends = new Map<string, number>();
  const calls = sizes.flatMap((s, i): Call[] =>
    placesOf[places].map((place) => plan(kernel, c, dtype, { ...s, ...c.scalars }, i, place, ends)),
  );
  const { device } = runtime;
  const hosts = new Map([...ends].map(([name, end]) => [name, new Uint32Array(Math.ceil(end / 4)).fill(guardWord)]));
  for (const call of calls) {
    for (const p of call.placed) {
      const data = call.inputs[p.name];
      if (data) put(hosts.get(p.name) as Uint32Array, p, data);
    }
  }
  const buffers = new Map(
    [...hosts].map(([name, host]) => {
      const buffer = device.createBuffer({
        label: name,
        size: host.byteLength,
        usage: usage.storage | usage.copyDst | usage.copySrc,
      });
      device.queue.writeBuffer(buffer, 0, host);
      return [name, buffer] as const;
    }),
  );
  const encoder = device.createCommandEncoder();
  for (const { placed, sizes: d } of calls) {
    const tensors = Object.fromEntries(
      placed.map((p): [string, KernelTensor] => [
        p.name,
        { buffer: buffers.get(p.name) as GPUBuffer, offset: p.offset },
      ]),
    );
    runtime.run(kernel, tensors, d, { dtype, encoder });
  }
  device.queue.submit([encoder.finish()]);
  const results = new Map<string, Uint32Array>();
  for (const [name, buffer] of buffers) results.set(name, await readBack(device, buffer));
  for (const buffer of buffers.values()) buffer.destroy();
  for (const call of calls) {
    const outputs = call.placed
      .filter((p) => p.access !== "read")
      .map((p) => ({ name: p.name, dtype: p.dtype, data: take(results.get(p.name) as Uint32Array, p) }));
    const wrong = firstMismatch(c, outputs, call.expected, call.sizes);
    if (wrong) return `${dtype} ${JSON.stringify(call.sizes)}: ${wrong}`;
  }
  return strayWrites(calls, hosts, results);
}

/** Elements past a multiple of 256 bytes at which a tensor of a call begins: each tensor has another number, each call others. */
type Place = (call: number, tensor: number) => number;
const aligned: Place = (call, tensor) => ((call + tensor) % 2) * 4;
const anywhere: Place = (call, tensor) => (call + 3 * tensor + 1) % 8;

export type Places = "aligned" | "anywhere" | "both";
const placesOf: Readonly<Record<Places, readonly Place[]>> = {
  aligned: [aligned],
  anywhere: [anywhere],
  both: [aligned, anywhere],
};

/** Draws the inputs of a call and finds room for its tensors. `ends` holds how many bytes of each buffer are taken. */
function plan(
  kernel: Kernel,
  c: KernelCase,
  dtype: KernelDType,
  d: Sizes,
  index: number,
  place: Place,
  ends: Map<string, number>,
): Call {
  const random = randomFor(kernel.name, index);
  const inputs: Record<string, Float64Array> = {};
  const placed = kernel.tensors.map((t, i): Placed => {
    const own: DType = t.dtype === "float" ? dtype : t.dtype;
    const count = kernel.count(d, i);
    if (t.access !== "write") inputs[t.name] = drawn(c.draw?.[t.name], own, count, d, random);
    const size = bytesOf(own);
    const start = Math.ceil((ends.get(t.name) ?? 0) / 256) * 256 + 256 + place(index, i) * size;
    ends.set(t.name, start + count * size + guardBytes);
    return { name: t.name, dtype: own, access: t.access, offset: start / size, count };
  });
  return { sizes: d, placed, inputs, expected: c.reference(inputs, d, roundingOf(dtype)) };
}

const views = (words: Uint32Array, dtype: DType): Uint16Array | Float32Array | Int32Array | Uint32Array =>
  dtype === "f16"
    ? new Uint16Array(words.buffer)
    : dtype === "f32"
      ? new Float32Array(words.buffer)
      : dtype === "i32"
        ? new Int32Array(words.buffer)
        : words;

function put(words: Uint32Array, { dtype, offset }: Placed, data: Float64Array): void {
  views(words, dtype).set(dtype === "f16" ? Array.from(data, toHalfBits) : data, offset);
}

function take(words: Uint32Array, { dtype, offset, count }: Placed): ArrayLike<number> {
  const part = views(words, dtype).subarray(offset, offset + count);
  return dtype === "f16" ? Float64Array.from(part, fromHalfBits) : part;
}

async function readBack(device: GPUDevice, buffer: GPUBuffer): Promise<Uint32Array> {
  const staging = device.createBuffer({ size: buffer.size, usage: usage.copyDst | usage.mapRead });
  const encoder = device.createCommandEncoder();
  encoder.copyBufferToBuffer(buffer, 0, staging, 0, buffer.size);
  device.queue.submit([encoder.finish()]);
  await staging.mapAsync(mapModeRead);
  const copy = new Uint32Array(staging.getMappedRange().slice(0));
  staging.destroy();
  return copy;
}

/** Bytes that changed outside of what was to be written. */
function strayWrites(
  calls: readonly Call[],
  before: ReadonlyMap<string, Uint32Array>,
  after: ReadonlyMap<string, Uint32Array>,
): string | undefined {
  for (const [name, was] of before) {
    const [a, b] = [new Uint8Array(was.buffer), new Uint8Array((after.get(name) as Uint32Array).buffer)];
    const written = calls.flatMap((c) => c.placed.filter((p) => p.name === name && p.access !== "read"));
    for (const { dtype, offset, count } of written)
      b.set(a.subarray(offset * bytesOf(dtype), (offset + count) * bytesOf(dtype)), offset * bytesOf(dtype));
    const at = a.findIndex((v, i) => v !== b[i]);
    if (at >= 0) return `${name}: byte ${at}, outside of every tensor that is written, was changed`;
  }
  return undefined;
}
