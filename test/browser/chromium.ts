import { execFileSync } from "node:child_process";
import { chmodSync, existsSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { brotliDecompressSync } from "node:zlib";
import { type Browser, chromium } from "playwright-core";
import { root } from "../../scripts/bundle.mjs";
import { unpack } from "../../src/node/swiftshader.ts";

const bin = join(root, "node_modules/@sparticuz/chromium/bin");
const systemBrowsers = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];

/** Headless Chromium out of the npm package, with the libraries beside it that a bare machine lacks; unpacked once. */
function unpackedChromium(): string {
  const { version } = JSON.parse(readFileSync(join(bin, "../package.json"), "utf8")) as { version: string };
  const folder = join(tmpdir(), `sinter-chromium-${version}-${process.getuid?.() ?? 0}`);
  const executable = join(folder, "chromium");
  if (existsSync(executable)) return executable;
  const fresh = mkdtempSync(join(tmpdir(), "sinter-chromium-"));
  const read = (name: string): Buffer => brotliDecompressSync(readFileSync(join(bin, name)));
  writeFileSync(join(fresh, "chromium"), read("chromium.br"));
  chmodSync(join(fresh, "chromium"), 0o755);
  unpack(read("swiftshader.tar.br"), fresh);
  unpack(read("al2023.tar.br"), join(fresh, "al2023"));
  try {
    renameSync(fresh, folder);
  } catch {
    rmSync(fresh, { recursive: true, force: true });
  }
  return executable;
}

/** Libraries that the browser links to and this machine does not have. */
function isMissingLibraries(executable: string): boolean {
  try {
    return /not found/.test(execFileSync("ldd", [executable], { encoding: "utf8" }));
  } catch {
    return true;
  }
}

export async function launchChromium(): Promise<Browser> {
  const system = systemBrowsers.find((b) => existsSync(b));
  const executablePath = system ?? unpackedChromium();
  const libraries = join(executablePath, "../al2023/lib");
  const bundled = !system && isMissingLibraries(executablePath);
  return chromium.launch({
    executablePath,
    headless: true,
    args: [
      "--no-sandbox",
      "--enable-unsafe-webgpu",
      "--use-webgpu-adapter=swiftshader",
      "--enable-unsafe-swiftshader",
      "--disable-background-networking",
    ],
    env: { ...process.env, ...(bundled && { LD_LIBRARY_PATH: libraries }) } as Record<string, string>,
  });
}
