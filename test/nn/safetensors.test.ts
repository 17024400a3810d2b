import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { SinterError } from "../../src/base/diagnostic.ts";
import { type HostTensor, tensor } from "../../src/index.ts";
import {
  loadSafetensors,
  readSafetensors,
  type SafetensorsSource,
  saveSafetensors,
  writeSafetensors,
} from "../../src/nn/index.ts";
import { projectRoot } from "../support/shared.ts";

const fixture = (name: string): Uint8Array<ArrayBuffer> =>
  new Uint8Array(readFileSync(join(projectRoot, "fixtures/oracle", name)));

/** A file of this header and data; `length` lies about the header's size. */
function file(header: string | Uint8Array, data: ArrayLike<number> = [], length?: bigint): Uint8Array<ArrayBuffer> {
  const text = typeof header === "string" ? new TextEncoder().encode(header) : header;
  const out = new Uint8Array(8 + text.length + data.length);
  new DataView(out.buffer).setBigUint64(0, length ?? BigInt(text.length), true);
  out.set(text, 8);
  out.set(data, 8 + text.length);
  return out;
}

const streamOf = (bytes: Uint8Array, piece: number): ReadableStream<Uint8Array> =>
  new ReadableStream({
    start(c) {
      for (let i = 0; i < bytes.length; i += piece) c.enqueue(bytes.subarray(i, i + piece));
      c.close();
    },
  });

/** The same bytes as every kind of source. */
const sources = (bytes: Uint8Array<ArrayBuffer>, piece = 7): Record<string, SafetensorsSource> => ({
  "an ArrayBuffer": bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength),
  "a typed array inside a larger buffer": new Uint8Array([0, ...bytes, 0]).subarray(1, 1 + bytes.length),
  "a Blob": new Blob([bytes]),
  "a stream": streamOf(bytes, piece),
  ranges: { size: bytes.length, read: async (offset, length) => bytes.slice(offset, offset + length) },
});

const one = (info: string, data: ArrayLike<number> = []): Uint8Array<ArrayBuffer> => file(`{"a":${info}}`, data);
const f32 = (shape: string, offsets: string): string => `{"dtype":"F32","shape":${shape},"data_offsets":${offsets}}`;
const zeros = (n: number): number[] => new Array(n).fill(0);

/** What is refused, and what the message must name. */
const bad: Record<string, readonly [Uint8Array<ArrayBuffer>, RegExp]> = {
  "no header at all": [new Uint8Array(7), /7 bytes|7\b/],
  "a header larger than the file": [file("{}", [], 100n), /100 bytes|100/],
  "a header beyond the limit": [file("{}", [], 100_000_001n), /100000001/],
  "a header of 2^64 - 1 bytes": [file("{}", [], 2n ** 64n - 1n), /18446744073709551615/],
  "an empty header": [file(""), /begin with \{/],
  "a header of a list": [file("[]"), /begin with \{/],
  "white space before the header": [file(" {}"), /begin with \{/],
  "a byte order mark": [file("\ufeff{}"), /begin with \{/],
  "a header that is not UTF-8": [file(new Uint8Array([0x7b, 0x22, 0xff, 0x22, 0x7d])), /UTF-8/],
  "a header that is not JSON": [file('{"a":}'), /not JSON/],
  "a header that ends in NULs": [file("{}\0\0"), /not JSON/],
  "a key twice": [file(`{"a":${f32("[1]", "[0,4]")},"\\u0061":${f32("[1]", "[0,4]")}}`, zeros(4)), /"a" twice/],
  "a key of a tensor twice": [
    one('{"dtype":"F32","shape":[1],"shape":[1],"data_offsets":[0,4]}', zeros(4)),
    /"shape" twice/,
  ],
  "metadata that are no strings": [file('{"__metadata__":{"n":1}}'), /"n" of __metadata__ is 1/],
  "metadata that are a list": [file('{"__metadata__":[]}'), /__metadata__ is \[\]/],
  "a tensor that is no object": [one("3"), /"a" is described by 3/],
  "no dtype": [one('{"shape":[1],"data_offsets":[0,4]}', zeros(4)), /the dtype undefined/],
  "a dtype that nobody knows": [one('{"dtype":"F99","shape":[1],"data_offsets":[0,4]}', zeros(4)), /the dtype "F99"/],
  "a dtype that is a property of objects": [one('{"dtype":"toString","shape":[],"data_offsets":[0,0]}'), /"toString"/],
  "no shape": [one('{"dtype":"F32","data_offsets":[0,4]}', zeros(4)), /the shape undefined/],
  "a negative size": [one(f32("[-1]", "[0,4]"), zeros(4)), /the shape \[-1\]/],
  "a fractional size": [one(f32("[0.5]", "[0,2]"), zeros(2)), /the shape \[0.5\]/],
  "sizes beyond 2^53": [one(f32("[2,18446744073709551614]", "[0,4]"), zeros(4)), /the shape/],
  "sizes whose product wraps 64 bits": [one(f32("[4294967296,4294967296]", "[0,0]")), /bytes, but has 0/],
  "one offset": [one(f32("[1]", "[0]"), zeros(4)), /the offsets \[0\]/],
  "offsets as text": [one(f32("[1]", '["0","4"]'), zeros(4)), /the offsets/],
  "a negative offset": [one(f32("[1]", "[-4,0]"), zeros(4)), /the offsets \[-4,0\]/],
  "an end before the beginning": [one(f32("[1]", "[4,0]"), zeros(4)), /ends before, at 0/],
  "a shape of other bytes": [one(f32("[2]", "[0,4]"), zeros(4)), /8 bytes, but has 4/],
  "offsets beyond the file": [one(f32("[2]", "[0,8]"), zeros(4)), /8 bytes/],
  "a tensor that does not begin at 0": [one(f32("[1]", "[4,8]"), zeros(8)), /bytes 0 to 4/],
  "a hole": [
    file(`{"a":${f32("[1]", "[0,4]")},"b":${f32("[1]", "[8,12]")}}`, zeros(12)),
    /bytes 4 to 8 before tensor "b"/,
  ],
  "two tensors on the same bytes": [
    file(`{"a":${f32("[1]", "[0,4]")},"b":${f32("[1]", "[0,4]")}}`, zeros(4)),
    /"b" begins at 0, inside/,
  ],
  "tensors that overlap by a part": [
    file(`{"a":${f32("[2]", "[0,8]")},"b":${f32("[2]", "[4,12]")}}`, zeros(12)),
    /"b" begins at 4, inside/,
  ],
  "bytes after the last tensor": [one(f32("[1]", "[0,4]"), zeros(5)), /5 follow|bytes follow/],
  "bytes without a tensor": [file("{}", [0]), /1 follow|bytes follow/],
  "a dtype of 6 bits that fills no bytes": [
    one('{"dtype":"F6_E2M3","shape":[1],"data_offsets":[0,1]}', [0]),
    /0.75 bytes/,
  ],
};

describe.each(Object.keys(bad))("refused: %s", (name) => {
  const [bytes, message] = bad[name] as (typeof bad)[string];
  test.each(Object.keys(sources(bytes)))("from %s", async (kind) => {
    const error = await loadSafetensors(sources(bytes)[kind] as SafetensorsSource).then(
      () => undefined,
      (e: unknown) => e,
    );
    expect(error).toBeInstanceOf(SinterError);
    expect(error).toMatchObject({ code: "bad-safetensors" });
    // A stream does not know its size: it says that it ended.
    if (kind !== "a stream") expect((error as SinterError).message).toMatch(message);
  });
});

test("a file cut short anywhere is refused", async () => {
  const whole = await saveSafetensors({ a: tensor([1, 2, 3]), b: tensor([[true, false]]) });
  await loadSafetensors(whole);
  for (let n = 0; n < whole.length; n++) {
    await expect(loadSafetensors(whole.slice(0, n)), `${n} bytes`).rejects.toMatchObject({ code: "bad-safetensors" });
    await expect(loadSafetensors(streamOf(whole.slice(0, n), 5)), `${n} bytes`).rejects.toMatchObject({
      code: "bad-safetensors",
    });
  }
});

test("what the format allows: scalars, empty tensors, padding, no tensors, any order, any alignment, unknown keys", async () => {
  const bytes = file(
    `{"b":{"dtype":"F32","shape":[],"data_offsets":[1,5],"note":1},"e":${f32("[2,0]", "[1,1]")},"a":{"dtype":"BOOL","shape":[1],"data_offsets":[0,1]}}   `,
    [1, 0, 0, 0x80, 0x3f],
  );
  for (const source of Object.values(sources(bytes))) {
    const { tensors, metadata } = await loadSafetensors(source);
    expect(tensors.b).toEqual({ dtype: "f32", shape: [], data: new Float32Array([1]) });
    expect(tensors.e).toEqual({ dtype: "f32", shape: [2, 0], data: new Float32Array(0) });
    expect(tensors.a).toEqual({ dtype: "bool", shape: [1], data: new Uint8Array([1]) });
    expect(metadata).toEqual({});
  }
  expect((await loadSafetensors(file("{}"))).tensors).toEqual({});
});

test("names that objects have already are names as any other", async () => {
  const names = ["__proto__", "constructor", "toString", "", "ä€😀", "1"];
  const text = names.map((n, i) => `${JSON.stringify(n)}:${f32("[1]", `[${i * 4},${i * 4 + 4}]`)}`).join(",");
  const { tensors } = await loadSafetensors(file(`{${text}}`, zeros(names.length * 4)));
  expect(Object.keys(tensors).sort()).toEqual([...names].sort());
});

/** The bytes of one element of each dtype, little-endian, and its value. */
const elements: Record<string, readonly [bytes: readonly number[], dtype: string, value: number]> = {
  F64: [[0x18, 0x2d, 0x44, 0x54, 0xfb, 0x21, 0x09, 0x40], "f32", Math.fround(Math.PI)],
  F32: [[0xdb, 0x0f, 0x49, 0x40], "f32", Math.fround(Math.PI)],
  F16: [[0x48, 0x42], "f16", 3.140625],
  BF16: [[0x49, 0x40], "f32", 3.140625],
  I64: [[0xfe, 255, 255, 255, 255, 255, 255, 255], "i32", -2],
  U64: [[0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0], "u32", 2 ** 32 - 1],
  I32: [[0, 0, 0, 0x80], "i32", -(2 ** 31)],
  U32: [[0, 0, 0, 0x80], "u32", 2 ** 31],
  I16: [[0xfe, 0xff], "i32", -2],
  U16: [[0xfe, 0xff], "u32", 65534],
  I8: [[0xfe], "i32", -2],
  U8: [[0xfe], "u32", 254],
  BOOL: [[1], "bool", 1],
};

test.each(Object.entries(elements))("%s", async (name, [bytes, dtype, value]) => {
  // After one odd byte, so that nothing is aligned.
  const header = `{"z":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"x":{"dtype":"${name}","shape":[2],"data_offsets":[1,${1 + 2 * bytes.length}]}}`;
  const { tensors } = await loadSafetensors(file(header, [9, ...bytes, ...bytes]));
  expect(tensors.x?.dtype).toBe(dtype);
  expect([...(tensors.x as HostTensor).data]).toEqual([value, value]);
});

test("infinities and NaN of BF16 stay what they are", async () => {
  const header = '{"x":{"dtype":"BF16","shape":[4],"data_offsets":[0,8]}}';
  const { tensors } = await loadSafetensors(file(header, [0x80, 0x7f, 0x80, 0xff, 0xc0, 0x7f, 0x00, 0x80]));
  expect([...(tensors.x as HostTensor).data]).toEqual([Infinity, -Infinity, NaN, -0]);
});

test("64-bit integers that do not fit and dtypes that we lack are refused when they are loaded, not when they are left out", async () => {
  const big = file('{"x":{"dtype":"I64","shape":[1],"data_offsets":[0,8]}}', [0, 0, 0, 0, 1, 0, 0, 0]);
  await expect(loadSafetensors(big)).rejects.toMatchObject({ code: "bad-number" });
  const eight = file('{"x":{"dtype":"F8_E4M3","shape":[2],"data_offsets":[0,2]}}', [0, 0]);
  await expect(loadSafetensors(eight)).rejects.toMatchObject({ code: "unsupported-dtype" });
  for (const source of Object.values(sources(eight))) {
    expect((await loadSafetensors(source, { select: () => false })).tensors).toEqual({});
  }
});

test("things that are no source are refused", async () => {
  for (const source of ["model.safetensors", undefined, {}, 3]) {
    await expect(loadSafetensors(source as never)).rejects.toMatchObject({ code: "bad-data" });
  }
});

describe("files that Python's safetensors wrote", () => {
  test.each([
    ["gpt2_tiny_float64.safetensors", 57],
    ["llama_tiny.safetensors", 22],
  ])("%s is read alike from every source, and written again to the same bytes of data", async (name, count) => {
    const bytes = fixture(name);
    const { tensors } = await loadSafetensors(bytes);
    expect(Object.keys(tensors)).toHaveLength(count);
    const content = (x: HostTensor | undefined): Buffer => Buffer.from(x?.data.buffer ?? new ArrayBuffer(0));
    for (const [kind, source] of Object.entries(sources(bytes, 10007))) {
      const order: string[] = [];
      for await (const { name, tensor } of readSafetensors(source)) {
        order.push(name);
        expect(content(tensor).equals(content(tensors[name])), `${name} from ${kind}`).toBe(true);
      }
      expect(order).toEqual(Object.keys(tensors));
    }
    const saved = await saveSafetensors(tensors);
    expect(saved.length).toBe(bytes.length);
    expect(Buffer.compare(saved, bytes)).toBe(0);
  });

  test("their sums are those that PyTorch gave", async () => {
    const known = JSON.parse(new TextDecoder().decode(fixture("gpt2_tiny_float64.json"))) as {
      grads: Record<string, { norm: number; first: number[] }>;
    };
    const { tensors } = await loadSafetensors(streamOf(fixture("gpt2_tiny_float64.safetensors"), 65536));
    for (const [name, { norm, first }] of Object.entries(known.grads)) {
      const { data } = tensors[`grad.${name}`] as HostTensor;
      expect(Math.sqrt((data as Float32Array).reduce((s, x) => s + x * x, 0)) / norm).toBeCloseTo(1, 6);
      for (const [i, x] of first.entries()) expect(data[i]).toBeCloseTo(x, 8);
    }
  });
});

describe("writing", () => {
  test("every dtype comes back as it was, under the paths of a tree, with the metadata", async () => {
    const tree = {
      half: tensor([1.5, -0, 65504, 2 ** -24, Infinity], undefined, "f16"),
      layers: [
        {
          weight: tensor([
            [1, 2],
            [3, 4.5],
          ]),
        },
        { weight: tensor(new Int32Array([-1]), [1, 1]) },
      ],
      count: tensor(new Uint32Array([2 ** 32 - 1]), []),
      flags: tensor([true, false]),
      none: tensor(new Float32Array(0), [0, 4]),
    };
    const { tensors, metadata } = await loadSafetensors(
      await saveSafetensors(tree, { metadata: { step: "7", "": "ü" } }),
    );
    expect(metadata).toEqual({ step: "7", "": "ü" });
    expect(tensors).toEqual({
      half: tree.half,
      "layers.0.weight": tree.layers[0]?.weight,
      "layers.1.weight": tree.layers[1]?.weight,
      count: tree.count,
      flags: tree.flags,
      none: tree.none,
    });
  });

  test("data begin at a multiple of 8, larger elements first", async () => {
    const bytes = await saveSafetensors({ a: tensor([true]), b: tensor([1], undefined, "f16"), c: tensor([1]) });
    const length = Number(new DataView(bytes.buffer).getBigUint64(0, true));
    expect(length % 8).toBe(0);
    const header = JSON.parse(new TextDecoder().decode(bytes.subarray(8, 8 + length))) as Record<string, unknown>;
    expect(header).toEqual({
      c: { dtype: "F32", shape: [1], data_offsets: [0, 4] },
      b: { dtype: "F16", shape: [1], data_offsets: [4, 6] },
      a: { dtype: "BOOL", shape: [1], data_offsets: [6, 7] },
    });
  });

  test("tensors elsewhere are fetched when their turn comes", async () => {
    const fetched: string[] = [];
    const remote = (name: string) => ({
      dtype: "f32" as const,
      shape: [1],
      data: async () => {
        fetched.push(name);
        return new Float32Array([1]);
      },
    });
    const pieces = writeSafetensors({ a: remote("a"), b: remote("b") });
    await pieces.next();
    expect(fetched).toEqual([]);
    await pieces.next();
    expect(fetched).toEqual(["a"]);
    await pieces.next();
    expect(fetched).toEqual(["a", "b"]);
  });

  test("what cannot be written is refused", async () => {
    const x = tensor([1]);
    await expect(saveSafetensors({ x: { ...x, shape: [2] } })).rejects.toMatchObject({ code: "wrong-size" });
    await expect(saveSafetensors({ x: [1, 2] })).rejects.toMatchObject({ code: "bad-tree" });
    await expect(saveSafetensors({ __metadata__: x })).rejects.toMatchObject({ code: "bad-tree" });
    await expect(saveSafetensors({ "a.b": x, a: { b: x } })).rejects.toMatchObject({ code: "bad-tree" });
    await expect(saveSafetensors({ x: { ...x, dtype: "f64" } })).rejects.toMatchObject({ code: "bad-tree" });
    await expect(saveSafetensors({ x }, { metadata: { n: 1 as never } })).rejects.toMatchObject({ code: "bad-option" });
  });
});
