import { expect, test } from "vitest";
import { SinterError } from "../../src/base/diagnostic.ts";
import { sha256 } from "../../src/base/sha256.ts";
import { manifestFromJson, manifestToJson } from "../../src/manifest/json.ts";
import { kernelKey } from "../../src/manifest/key.ts";
import type { Manifest } from "../../src/manifest/manifest.ts";
import { accumulator, affine, chain, identity } from "../runtime/programs.ts";

const programs: readonly Manifest[] = [affine(8), accumulator(8, false), chain(64, 4), identity("f16", [3, 0])];

test("SHA-256 gives the digests of FIPS 180-4's examples and of other lengths", () => {
  expect(sha256("abc")).toBe("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  expect(sha256("")).toBe("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  expect(sha256("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq")).toBe(
    "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1",
  );
  expect(sha256(new Uint8Array(1e6).fill(97))).toBe("cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
});

test("a manifest survives the way to JSON and back", () => {
  for (const m of programs) {
    const json = manifestToJson(m);
    expect(manifestFromJson(json)).toEqual(m);
    expect(manifestToJson(manifestFromJson(json))).toBe(json);
  }
});

/** Whatever the text is, reading it gives the very manifest, or a typed error. */
function sameOrRefused(text: string, original: Manifest): "same" | "refused" {
  let read: Manifest;
  try {
    read = manifestFromJson(text);
  } catch (e) {
    expect(e).toBeInstanceOf(SinterError);
    expect((e as SinterError).code).toBe("bad-manifest");
    return "refused";
  }
  expect(read).toEqual(original);
  return "same";
}

test("any flipped byte is refused or harmless", () => {
  const m = affine(8);
  const bytes = new TextEncoder().encode(manifestToJson(m));
  let refused = 0;
  for (let i = 0; i < bytes.length; i++) {
    for (const flip of [1, 0x20]) {
      const changed = bytes.slice();
      changed[i] = changed[i]! ^ flip;
      if (sameOrRefused(new TextDecoder().decode(changed), m) === "refused") refused++;
    }
  }
  expect(refused).toBeGreaterThan(bytes.length * 1.9);
});

test("a text cut short at any place is refused", () => {
  const m = accumulator(4, true);
  const json = manifestToJson(m);
  for (let n = 0; n < json.length; n++) expect(sameOrRefused(json.slice(0, n), m)).toBe("refused");
});

/** As a liar would write it: the hash over the whole is right. */
function signed(change: (m: Record<string, never>) => void, base: Manifest = affine(8)): string {
  const file = JSON.parse(manifestToJson(base)) as { manifest: Record<string, never> };
  change(file.manifest);
  const body = JSON.stringify(file.manifest);
  return `{"format":"sinter-manifest","sha256":"${sha256(body)}","manifest":${body}}`;
}

const set = (path: string, value: unknown) => (m: object) => {
  const keys = path.split(".");
  const last = keys.pop() as string;
  const at = keys.reduce<Record<string, never>>((o, k) => o[k]!, m as Record<string, never>);
  (at as Record<string, unknown>)[last] = value;
};

const lies: readonly (readonly [string, string, unknown])[] = [
  ["another version", "version", 2],
  ["a fraction for a size", "buffers.0.size", 32.5],
  ["a negative size", "buffers.0.size", -4],
  ["an infinite size", "buffers.0.size", Number.POSITIVE_INFINITY],
  ["a size beyond 2^53", "buffers.0.size", 2 ** 53],
  ["a size as text", "buffers.0.size", "32"],
  ["an unknown role", "buffers.0.role", "loot"],
  ["constants that do not fit", "buffers.0.init", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"],
  ["constants that are not base64", "buffers.0.init", "%%%"],
  ["a missing buffer", "inputs.0.window.buffer", 99],
  ["a window past the end", "inputs.0.window.offset", 256],
  ["an odd offset", "inputs.0.window.offset", 4],
  ["a window too small for its tensor", "inputs.0.window.size", 28],
  ["a huge shape", "inputs.0.shape", [2 ** 30, 2 ** 30]],
  ["a negative dim", "inputs.0.shape", [-8]],
  ["a null dim", "inputs.0.shape", [null]],
  ["an unknown dtype", "inputs.0.dtype", "f64"],
  ["an inherited name for a dtype", "inputs.0.dtype", "constructor"],
  ["a name twice", "inputs.1.name", "x"],
  ["an input in a weight buffer", "inputs.0.window.buffer", 2],
  ["a missing kernel", "dispatches.0.kernel", 1],
  ["a missing binding", "dispatches.0.bindings", []],
  ["aliasing of a written buffer", "dispatches.0.bindings.3.buffer", 0],
  ["negative workgroups", "dispatches.0.workgroups", [-1, 1, 1]],
  ["two workgroup dimensions", "dispatches.0.workgroups", [1, 1]],
  ["another text under the old key", "kernels.0.wgsl", "@compute @workgroup_size(1) fn main() {}"],
  ["another interface under the old key", "kernels.0.workgroupSize", [32, 1, 1]],
  ["NUL in the text", "kernels.0.wgsl", "a\0b"],
  ["code for an entry point", "kernels.0.entryPoint", "main() {} fn x"],
  ["a list for a kernel", "kernels.0", []],
  ["null for a kernel", "kernels.0", null],
  ["no kernels", "kernels", undefined],
  ["an unknown access", "kernels.0.bindings.0", "write"],
  ["a limit of zero", "capabilities.limits.maxBufferSize", 0],
  ["text for a feature", "capabilities.features.f16", "yes"],
];
test.each(lies)("%s is refused although the hash is right", (_, path, value) => {
  expect(() => manifestFromJson(signed(set(path, value)))).toThrow(expect.objectContaining({ code: "bad-manifest" }));
});

test("not JSON, other JSON, and JSON meant to do harm", () => {
  const deep = "[".repeat(100_000);
  const texts = [
    "",
    "null",
    "[]",
    "0",
    '"x"',
    "{}",
    deep,
    deep + "]".repeat(100_000),
    '{"format":"other","sha256":"","manifest":{}}',
  ];
  for (const t of texts) expect(() => manifestFromJson(t)).toThrow(expect.objectContaining({ code: "bad-manifest" }));
  const nested = `{"format":"sinter-manifest","sha256":"","manifest":${deep}${"]".repeat(100_000)}}`;
  expect(() => manifestFromJson(nested)).toThrow(expect.objectContaining({ code: "bad-manifest" }));
});

test("names that objects inherit are names as any other", () => {
  const base = affine(8);
  for (const name of ["__proto__", "constructor", "toString", "hasOwnProperty"]) {
    const m = { ...base, inputs: base.inputs.map((p, i) => (i === 0 ? { ...p, name } : p)) };
    expect(manifestFromJson(manifestToJson(m)).inputs[0]!.name).toBe(name);
  }
  const polluted = signed((m) => Object.defineProperty(m, "__proto__", { value: { polluted: 1 }, enumerable: true }));
  expect(manifestFromJson(polluted)).toEqual(base);
  expect(({} as Record<string, unknown>).polluted).toBeUndefined();
});

test("a kernel's key covers all that the device sees, and nothing for people", () => {
  const k = affine(8).kernels[0]!;
  const others = [
    { ...k, wgsl: `${k.wgsl} ` },
    { ...k, entryPoint: "main2" },
    { ...k, bindings: [...k.bindings, "read" as const] },
    { ...k, workgroupSize: [64, 1, 2] as const },
    { ...k, requires: { ...k.requires, f16: true } },
    { ...k, requires: { ...k.requires, subgroups: true } },
    { ...k, requires: { ...k.requires, workgroupBytes: 16 } },
  ];
  expect(new Set([k, ...others].map(kernelKey)).size).toBe(others.length + 1);
  expect(kernelKey({ ...k, label: "other", place: "x:1" } as typeof k)).toBe(k.key);
});
