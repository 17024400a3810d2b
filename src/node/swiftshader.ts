import { randomBytes } from "node:crypto";
import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir, userInfo } from "node:os";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { brotliDecompressSync } from "node:zlib";

export interface SwiftshaderFiles {
  /** The Vulkan loader, `libvulkan.so.1`. */
  readonly loader: string;
  /** The driver's description that the loader reads. */
  readonly icd: string;
}

const loaderName = "libvulkan.so.1";
const icdName = "vk_swiftshader_icd.json";
const archive = join("node_modules", "@sparticuz", "chromium", "bin", "swiftshader.tar.br");

/**
 * SwiftShader as the npm package `@sparticuz/chromium` ships it, unpacked once into the folder for temporary files;
 * or why it is not to be had.
 */
export function swiftshaderFiles(): SwiftshaderFiles | string {
  if (process.platform !== "linux" || process.arch !== "x64") return "SwiftShader comes for Linux x64 only";
  const packed = findUp(archive, [process.cwd(), dirname(fileURLToPath(import.meta.url))]);
  if (!packed) return "the npm package @sparticuz/chromium is not installed";
  const folder = unpackOnce("swiftshader", packed, [loaderName, icdName, "libvk_swiftshader.so"]);
  return { loader: join(folder, loaderName), icd: join(folder, icdName) };
}

function findUp(path: string, from: readonly string[]): string | undefined {
  for (const start of from) {
    for (let folder = start; ; folder = dirname(folder)) {
      const file = join(folder, path);
      if (existsSync(file)) return file;
      if (folder === dirname(folder)) break;
    }
  }
  return undefined;
}

/** Unpacks `name.tar.br` into a folder named after its package's version and returns the folder. */
function unpackOnce(name: string, packed: string, files: readonly string[]): string {
  const manifest = join(dirname(packed), "..", "package.json");
  const { version } = JSON.parse(readFileSync(manifest, "utf8")) as { version: string };
  const { uid } = userInfo();
  const folder = join(tmpdir(), `sinter-${name}-${version}-${uid}`);
  if (isOurs(folder, uid) && files.every((f) => existsSync(join(folder, f)))) return folder;
  const fresh = mkdtempSync(join(tmpdir(), `sinter-${name}-`));
  unpack(brotliDecompressSync(readFileSync(packed)), fresh);
  try {
    renameSync(fresh, folder);
    return folder;
  } catch {
    // Another process was first, or somebody else's folder sits there: theirs only if it is ours to trust.
    if (!isOurs(folder, uid) || !files.every((f) => existsSync(join(folder, f)))) return fresh;
    rmSync(fresh, { recursive: true, force: true });
    return folder;
  }
}

/** Libraries are loaded from it, so nobody else may have made or be able to change it. */
function isOurs(folder: string, uid: number): boolean {
  try {
    const s = lstatSync(folder);
    return s.isDirectory() && s.uid === uid && (s.mode & 0o022) === 0;
  } catch {
    return false;
  }
}

/** Regular files of a tar archive, folders made as needed; names are reduced so that nothing lands outside `into`. */
export function unpack(tar: Uint8Array, into: string): void {
  const text = (at: number, length: number): string => {
    const end = tar.subarray(at, at + length).indexOf(0);
    return new TextDecoder().decode(tar.subarray(at, at + (end < 0 ? length : end)));
  };
  for (let at = 0; at + 512 <= tar.length && tar[at] !== 0; ) {
    const size = Number.parseInt(text(at + 124, 12).trim() || "0", 8);
    const kind = tar[at + 156];
    if (kind === 0 || kind === 48) {
      const parts = text(at, 100)
        .split("/")
        .filter((p) => p && p !== "." && p !== "..");
      const file = join(into, ...parts);
      mkdirSync(dirname(file), { recursive: true });
      const staged = join(dirname(file), `.${basename(file)}.${randomBytes(4).toString("hex")}`);
      writeFileSync(staged, tar.subarray(at + 512, at + 512 + size), { mode: 0o755 });
      renameSync(staged, file);
    }
    at += 512 + Math.ceil(size / 512) * 512;
  }
}
