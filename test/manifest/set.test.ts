import { expect, test } from "vitest";
import { SinterError } from "../../src/base/diagnostic.ts";
import { sha256 } from "../../src/base/sha256.ts";
import { manifestFromJson, manifestSetFromJson, manifestToJson } from "../../src/manifest/json.ts";
import { checkManifestSet, type ManifestSet, makeManifestSet, manifestAt } from "../../src/manifest/set.ts";
import { affine, chain } from "../runtime/programs.ts";

const set = makeManifestSet([
  { dims: { n: 64, b: 1 }, manifest: chain(64, 2) },
  { dims: { b: 2, n: 64 }, manifest: chain(64, 3) },
]);

test("it holds every kernel once, and gives back each manifest as it was", () => {
  expect(set.kernels).toHaveLength(5);
  expect(manifestAt(set, { n: 64, b: 1 })).toEqual(chain(64, 2));
  expect(manifestAt(set, { b: 2, n: 64 })).toEqual(chain(64, 3));
});

test("it survives the way to JSON and back, in one text whatever the order of the dims' names", () => {
  const json = manifestToJson(set);
  expect(manifestSetFromJson(json)).toEqual(set);
  expect(manifestToJson(manifestSetFromJson(json))).toBe(json);
  const other = makeManifestSet([
    { dims: { b: 1, n: 64 }, manifest: chain(64, 2) },
    { dims: { n: 64, b: 2 }, manifest: chain(64, 3) },
  ]);
  expect(manifestToJson(other)).toBe(json);
});

test("each reader refuses the other's text and says which one reads it", () => {
  expect(() => manifestFromJson(manifestToJson(set))).toThrow(/manifestSetFromJson reads it/);
  expect(() => manifestSetFromJson(manifestToJson(affine(8)))).toThrow(/manifestFromJson reads it/);
});

function sameOrRefused(text: string, original: ManifestSet): "same" | "refused" {
  let read: ManifestSet;
  try {
    read = manifestSetFromJson(text);
  } catch (e) {
    expect(e).toBeInstanceOf(SinterError);
    expect((e as SinterError).code).toBe("bad-manifest");
    return "refused";
  }
  expect(read).toEqual(original);
  return "same";
}

const small = makeManifestSet([{ dims: { n: 8 }, manifest: affine(8) }]);

test("any flipped byte is refused or harmless; a text cut short is refused", () => {
  const json = manifestToJson(small);
  const bytes = new TextEncoder().encode(json);
  let refused = 0;
  for (let i = 0; i < bytes.length; i++) {
    const changed = bytes.slice();
    changed[i] = changed[i]! ^ 1;
    if (sameOrRefused(new TextDecoder().decode(changed), small) === "refused") refused++;
  }
  expect(refused).toBeGreaterThan(bytes.length * 0.95);
  for (let n = 0; n < json.length; n += 7) expect(sameOrRefused(json.slice(0, n), small)).toBe("refused");
});

/** As a liar would write it: the hash over the whole is right. */
function signed(change: (m: Record<string, never>) => void): string {
  const file = JSON.parse(manifestToJson(set)) as { manifest: Record<string, never> };
  change(file.manifest);
  const body = JSON.stringify(file.manifest);
  return `{"format":"sinter-manifest-set","sha256":"${sha256(body)}","manifest":${body}}`;
}

const put = (path: string, value: unknown) => (m: object) => {
  const keys = path.split(".");
  const last = keys.pop() as string;
  const at = keys.reduce<Record<string, never>>((o, k) => o[k]!, m as Record<string, never>);
  (at as Record<string, unknown>)[last] = value;
};

test.each([
  ["another version", "version", 2],
  ["no version", "version", undefined],
  ["no programs", "programs", []],
  ["programs that are no list", "programs", { 0: 1 }],
  ["null for a program", "programs.0", null],
  ["a missing kernel", "programs.0.kernels.0", 99],
  ["a negative kernel", "programs.0.kernels.0", -1],
  ["too few kernels", "programs.0.kernels", []],
  ["null for a plan", "programs.0.plan", null],
  ["a plan without buffers", "programs.0.plan.buffers", undefined],
  ["another version of a plan", "programs.1.plan.version", 2],
  ["a window past the end", "programs.1.plan.inputs.0.window.offset", 512],
  ["no dims", "programs.0.dims", undefined],
  ["other dims", "programs.1.dims", { m: 1, n: 2 }],
  ["a fraction for a size", "programs.0.dims.n", 0.5],
  ["text for a size", "programs.0.dims.n", "64"],
  ["sizes twice", "programs.1.dims", { n: 64, b: 1 }],
  ["another text under the old key", "kernels.0.wgsl", "@compute @workgroup_size(1) fn main() {}"],
])("%s is refused although the hash is right", (_, path, value) => {
  expect(() => manifestSetFromJson(signed(put(path, value)))).toThrow(
    expect.objectContaining({ code: "bad-manifest" }),
  );
});

test("kernels in each other's places are refused where they do not fit, and so is a kernel twice", () => {
  const swapped = signed((m) => {
    const kernels = (m as unknown as { kernels: unknown[] }).kernels;
    [kernels[0], kernels[3]] = [kernels[3], kernels[0]];
  });
  expect(() => manifestSetFromJson(swapped)).toThrow(/bindings/);
  const twice = signed((m) => {
    const kernels = (m as unknown as { kernels: unknown[] }).kernels;
    kernels[1] = kernels[0];
  });
  expect(() => manifestSetFromJson(twice)).toThrow(/repeats/);
});

test("names that objects inherit are names as any other", () => {
  const dims = Object.fromEntries([["__proto__", 3]]);
  const odd = makeManifestSet([{ dims, manifest: affine(8) }]);
  const read = manifestSetFromJson(manifestToJson(odd));
  expect(Object.entries(read.programs[0]!.dims)).toEqual([["__proto__", 3]]);
  const polluted = signed((m) =>
    Object.defineProperty(m, "__proto__", { value: { polluted: 1, programs: [] }, enumerable: true }),
  );
  expect(manifestSetFromJson(polluted)).toEqual(set);
  expect(({} as Record<string, unknown>).polluted).toBeUndefined();
  expect(() => checkManifestSet(Object.create(set))).toThrow(expect.objectContaining({ code: "bad-manifest" }));
});
