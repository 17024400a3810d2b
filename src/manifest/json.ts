import { SinterError } from "../base/diagnostic.ts";
import { sha256 } from "../base/sha256.ts";
import { checkManifest, list, record, text, wrong } from "./check.ts";
import { kernelKey } from "./key.ts";
import type { Manifest } from "./manifest.ts";

const format = "sinter-manifest";

/**
 * A manifest as JSON: the words of `const` buffers in base64 (little-endian), and a SHA-256 over the whole, so that a
 * damaged file is refused instead of running a wrong program. Fails with `bad-manifest` as {@link checkManifest} does.
 */
export function manifestToJson(manifest: Manifest): string {
  // Fields in the order of the schema: equal manifests have equal texts.
  const m = checkManifest(manifest);
  const buffers = m.buffers.map((b) => (b.init ? { ...b, init: encodeWords(b.init) } : b));
  const body = JSON.stringify({ ...m, buffers });
  return `{"format":${JSON.stringify(format)},"sha256":"${sha256(body)}","manifest":${body}}`;
}

/**
 * Reads what {@link manifestToJson} wrote. The text is not trusted: it must carry its own hash, every field is checked,
 * and every kernel's key must be the hash of its text. Fails with `bad-manifest`.
 */
export function manifestFromJson(json: string): Manifest {
  let body: unknown;
  try {
    body = unwrap(JSON.parse(json));
  } catch (e) {
    if (e instanceof SinterError) throw e;
    return wrong("the text", `is not JSON (${(e as Error).message.slice(0, 80)})`);
  }
  const manifest = checkManifest(body);
  manifest.kernels.forEach((k, i) => {
    if (kernelKey(k) !== k.key) {
      wrong(`manifest.kernels[${i}].key`, "is not the hash of the kernel: it was written by another version of Sinter");
    }
  });
  return manifest;
}

const envelope = record<{ format: string; sha256: string; manifest: unknown }>({
  format: text,
  sha256: text,
  manifest: (v) => v,
});
const bufferList = record<{ buffers: readonly unknown[] }>({ buffers: list((v) => v) });

function unwrap(value: unknown): unknown {
  const file = envelope(value, "the file");
  if (file.format !== format)
    wrong("the file", `has format ${JSON.stringify(file.format.slice(0, 40))}, not ${format}`);
  if (sha256(JSON.stringify(file.manifest) ?? "") !== file.sha256)
    wrong("the file", "was changed after it was written");
  const { buffers } = bufferList(file.manifest, "manifest");
  return {
    ...(file.manifest as object),
    buffers: buffers.map((b, i) => {
      const init = (b as { init?: unknown } | null)?.init;
      return init === undefined ? b : { ...(b as object), init: decodeWords(init, `manifest.buffers[${i}].init`) };
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
