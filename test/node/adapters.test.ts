import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, expect, test, vi } from "vitest";
import { adapterNames, openAdapter } from "../../src/node/adapters.ts";
import { swiftshaderFiles, unpack } from "../../src/node/swiftshader.ts";

afterEach(() => {
  vi.unstubAllEnvs();
});

/** A tar archive of one file. */
function tarOf(name: string, content: string): Uint8Array {
  const tar = new Uint8Array(512 * 3);
  const put = (at: number, text: string): void => tar.set(new TextEncoder().encode(text), at);
  put(0, name);
  put(124, `${content.length.toString(8).padStart(11, "0")}\0`);
  put(156, "0");
  put(512, content);
  return tar;
}

test("SINTER_ADAPTER chooses; an unknown name is refused with the choices", async () => {
  vi.stubEnv("SINTER_ADAPTER", "null");
  expect((await openAdapter()).name).toBe("null");
  vi.stubEnv("SINTER_ADAPTER", "voodoo");
  await expect(openAdapter()).rejects.toThrow(
    new RegExp(`"voodoo"[\\s\\S]*${adapterNames.join(", ")} for SINTER_ADAPTER`),
  );
  for (const name of ["", "GPU", "constructor", "__proto__"]) {
    await expect(openAdapter(name)).rejects.toMatchObject({ code: "unknown-adapter" });
  }
});

test("an adapter is fresh every time, and choosing one leaves the environment as it was", async () => {
  const before = { ...process.env };
  const first = await openAdapter("swiftshader");
  const second = await openAdapter("swiftshader");
  expect(first.adapter.info.architecture).toBe("swiftshader");
  expect(process.env).toEqual(before);
  for (const { adapter } of [first, second]) (await adapter.requestDevice()).destroy();
});

test("SwiftShader is unpacked once, into a folder that nobody else can write to", () => {
  const files = swiftshaderFiles();
  if (typeof files === "string") throw new Error(files);
  const folder = dirname(files.loader);
  expect(statSync(folder).mode & 0o022).toBe(0);
  const time = statSync(files.loader).mtimeMs;
  expect(swiftshaderFiles()).toEqual(files);
  expect(statSync(files.loader).mtimeMs).toBe(time);
  expect(existsSync(files.icd)).toBe(true);
});

test.each(["../outside", "/absolute", "a/../../b", "./c", "plain"])(
  "an archive's %s lands inside the folder",
  (name) => {
    const parent = mkdtempSync(join(tmpdir(), "sinter-tar-"));
    const folder = join(parent, "into");
    unpack(tarOf(name, "text"), folder);
    expect(readdirSync(parent)).toEqual(["into"]);
    const [file] = readdirSync(folder, { recursive: true, encoding: "utf8" }).filter((f) =>
      statSync(join(folder, f)).isFile(),
    );
    expect(readFileSync(join(folder, file!), "utf8")).toBe("text");
    rmSync(parent, { recursive: true });
  },
);
