import { SinterError } from "../base/diagnostic.ts";
import { sha256 } from "../base/sha256.ts";
import { checkManifest, list, record, text, wrong } from "./check.ts";
import { kernelKey } from "./key.ts";
import type { BufferSpec, KernelSpec, Manifest } from "./manifest.ts";
import { checkManifestSet, isManifestSet, type ManifestSet } from "./set.ts";

/** Formats by what the text holds, with what reads each. */
const formats = {
  "sinter-manifest": "manifestFromJson",
  "sinter-manifest-set": "manifestSetFromJson",
} as const;
type Format = keyof typeof formats;

/**
 * A manifest as JSON: the words of `const` buffers in base64 (little-endian), and a SHA-256 over the whole, so that a
 * damaged file is refused instead of running a wrong program. Fails with `bad-manifest` as {@link checkManifest} does.
 */
export function manifestToJson(manifest: Manifest | ManifestSet): string {
  // Checked, fields are in the order of the schema: equal manifests have equal texts.
  if (!isManifestSet(manifest)) return wrap("sinter-manifest", encodeConstants(checkManifest(manifest)));
  const set = checkManifestSet(manifest);
  const programs = set.programs.map((p) => ({ ...p, plan: encodeConstants(p.plan) }));
  return wrap("sinter-manifest-set", { ...set, programs });
}

function wrap(format: Format, value: object): string {
  const body = JSON.stringify(value);
  return `{"format":${JSON.stringify(format)},"sha256":"${sha256(body)}","manifest":${body}}`;
}

const encodeConstants = <M extends { readonly buffers: readonly BufferSpec[] }>(m: M): object => ({
  ...m,
  buffers: m.buffers.map((b) => (b.init ? { ...b, init: encodeWords(b.init) } : b)),
});

/**
 * Reads what {@link manifestToJson} wrote of one manifest. The text is not trusted: it must carry its own hash, every
 * field is checked, and every kernel's key must be the hash of its text. Fails with `bad-manifest`.
 */
export function manifestFromJson(json: string): Manifest {
  const manifest = checkManifest(read(json, "sinter-manifest", decodeConstants));
  checkKeys(manifest.kernels);
  return manifest;
}

/** Reads what {@link manifestToJson} wrote of a program at several sizes, as strictly as {@link manifestFromJson}. */
export function manifestSetFromJson(json: string): ManifestSet {
  const set = checkManifestSet(
    read(json, "sinter-manifest-set", (body) => {
      const { programs } = programList(body, "manifest");
      return {
        ...(body as object),
        programs: programs.map((p, i) => {
          const path = `manifest.programs[${i}]`;
          return { ...(p as object), plan: decodeConstants(planOf(p, path).plan, `${path}.plan`) };
        }),
      };
    }),
  );
  checkKeys(set.kernels);
  return set;
}

function checkKeys(kernels: readonly KernelSpec[]): void {
  kernels.forEach((k, i) => {
    if (kernelKey(k) !== k.key) {
      wrong(`manifest.kernels[${i}].key`, "is not the hash of the kernel: it was written by another version of Sinter");
    }
  });
}

const envelope = record<{ format: string; sha256: string; manifest: unknown }>({
  format: text,
  sha256: text,
  manifest: (v) => v,
});
const bufferList = record<{ buffers: readonly unknown[] }>({ buffers: list((v) => v) });
const programList = record<{ programs: readonly unknown[] }>({ programs: list((v) => v) });
const planOf = record<{ plan: unknown }>({ plan: (v) => v });

/** What a text of a format holds, once its hash is right, decoded. */
function read(json: string, format: Format, decode: (body: unknown, path: string) => unknown): unknown {
  try {
    const file = envelope(JSON.parse(json), "the file");
    if (file.format !== format) wrongFormat(file.format, format);
    if (sha256(JSON.stringify(file.manifest) ?? "") !== file.sha256)
      wrong("the file", "was changed after it was written");
    return decode(file.manifest, "manifest");
  } catch (e) {
    if (e instanceof SinterError) throw e;
    return wrong("the text", `is not JSON (${(e as Error).message.slice(0, 80)})`);
  }
}

function wrongFormat(found: string, format: Format): never {
  const reader = Object.hasOwn(formats, found) ? `; ${formats[found as Format]} reads it` : "";
  return wrong("the file", `has format ${JSON.stringify(found.slice(0, 40))}, not ${format}${reader}`);
}

function decodeConstants(value: unknown, path: string): object {
  const { buffers } = bufferList(value, path);
  return {
    ...(value as object),
    buffers: buffers.map((b, i) => {
      const init = (b as { init?: unknown } | null)?.init;
      return init === undefined ? b : { ...(b as object), init: decodeWords(init, `${path}.buffers[${i}].init`) };
    }),
  };
}

function encodeWords(words: Uint32Array): string {
  const bytes = new Uint8Array(words.length * 4);
  const view = new DataView(bytes.buffer);
  words.forEach((w, i) => {
    view.setUint32(i * 4, w, true);
  });
  let binary = "";
  for (let i = 0; i < bytes.length; i += 8192) binary += String.fromCharCode(...bytes.subarray(i, i + 8192));
  return btoa(binary);
}

function decodeWords(value: unknown, path: string): Uint32Array {
  let binary = "";
  try {
    binary = atob(text(value, path));
  } catch (e) {
    if (e instanceof SinterError) throw e;
    return wrong(path, "is not base64");
  }
  if (binary.length % 4 !== 0) return wrong(path, "is not a list of 32-bit words");
  const view = new DataView(Uint8Array.from(binary, (c) => c.charCodeAt(0)).buffer);
  return Uint32Array.from({ length: view.byteLength / 4 }, (_, i) => view.getUint32(i * 4, true));
}
