import { rmSync } from "node:fs";
import { join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import { findConfig, loadConfig } from "../../../codegen/config/load.ts";
import { folderOf } from "./command.ts";

const folders: string[] = [];
const project = (files: Readonly<Record<string, string>>): string => {
  const folder = folderOf(files);
  folders.push(folder);
  return folder;
};
afterEach(() => {
  for (const f of folders.splice(0)) rmSync(f, { recursive: true, force: true });
});

/** What is wrong with a config of this text, its place as line and column. */
async function refusal(text: string): Promise<object> {
  const folder = project({ "sinter.config.ts": text });
  const { diagnostic } = await loadConfig(folder).then(
    () => ({ diagnostic: { code: "none" } }),
    (e) => e as { diagnostic: { place?: { file: string; line: number; column: number } } },
  );
  const { place, ...rest } = diagnostic as { place?: { file: string; line: number; column: number } };
  expect(place?.file).toBe(join(folder, "sinter.config.ts"));
  return { ...rest, at: `${place?.line}:${place?.column}` };
}

describe("a config", () => {
  test("is TypeScript, may import files, and needs no installed package for defineConfig", async () => {
    const folder = project({
      "sinter.config.ts": [
        'import { sep } from "node:path";',
        'import { defineConfig } from "sinter/build";',
        'import { dtypes } from "./dtypes.ts";',
        "const minify: boolean = sep.length === 1;",
        'export default defineConfig({ include: ["a/*.kernel.ts"], outDir: "out", dtypes, minify });',
      ].join("\n"),
      "dtypes.ts": 'export const dtypes = ["f32"] as const;',
    });
    expect(await loadConfig(folder)).toEqual({
      config: { include: ["a/*.kernel.ts"], outDir: "out", dtypes: ["f32"], minify: true },
      folder,
      file: join(folder, "sinter.config.ts"),
      inputs: expect.arrayContaining([join(folder, "sinter.config.ts"), join(folder, "dtypes.ts")]),
    });
  });

  test("belongs to the folders below it, up to that of the package", async () => {
    const folder = project({ "sinter.config.mjs": "export default {}", "a/b/x.txt": "", "c/package.json": "{}" });
    expect(findConfig(join(folder, "a/b"))).toBe(join(folder, "sinter.config.mjs"));
    expect(findConfig(join(folder, "c"))).toBeUndefined();
    expect(await loadConfig(join(folder, "c"))).toEqual({ config: {}, folder: join(folder, "c"), inputs: [] });
  });

  test("that is named must be there", async () => {
    await expect(loadConfig(project({}), "other.config.ts")).rejects.toMatchObject({ code: "bad-config" });
  });

  test("is read again when it has changed", async () => {
    const folder = project({ "sinter.config.mjs": 'export default { outDir: "a" }' });
    const other = project({ "sinter.config.mjs": 'export default { outDir: "b" }' });
    expect([(await loadConfig(folder)).config.outDir, (await loadConfig(other)).config.outDir]).toEqual(["a", "b"]);
  });
});

describe("a broken config is a diagnostic at its place", () => {
  test("an unknown key", async () => {
    expect(
      await refusal(
        '// inclde: no\nconst glob = "inclde: /* x";\nexport default {\n  outDir: "x",\n  inclde: glob,\n};',
      ),
    ).toEqual({
      code: "unknown-option",
      message: 'sinter.config.ts has the key "inclde", which nobody reads',
      hint: 'did you mean "include"?',
      at: "5:3",
    });
  });

  test.each([
    ["include: 3", /include is 3/, "a glob"],
    ["include: []", undefined, undefined],
    ["exclude: ['a', 1]", /exclude is \["a",1\]/, "a glob"],
    ["dtypes: ['f64']", /dtypes is \["f64"\]/, '"f32" and "f16"'],
    ["dtypes: []", /dtypes is \[\]/, '"f32" and "f16"'],
    ["minify: 'yes'", /minify is "yes"/, "true or false"],
    ["root: ''", /root is ""/, "path of a folder"],
    ["outDir: () => 1", /outDir is a function/, "path of a folder"],
    ["importExtension: '.mjs'", /importExtension/, '".js" or ".ts"'],
  ])("%s", async (entry, message, hint) => {
    const text = `export default {\n  ${entry},\n};\n`;
    if (!message) await loadConfig(project({ "sinter.config.ts": text }));
    else {
      expect(await refusal(text)).toMatchObject({
        code: "bad-option",
        message: expect.stringMatching(message),
        hint: expect.stringContaining(hint as string),
        at: "2:3",
      });
    }
  });

  test.each([
    ["a syntax error", "export default {\n  outDir: \n};", "bad-config", "3:1"],
    ["an import that is not there", 'import "./gone.ts";\nexport default {};', "bad-config", "1:8"],
    ["a package that is not there", '\nimport "left-pad-none";\nexport default {};', "bad-config", "2:8"],
    ["a promise", "export default Promise.resolve({});", "bad-config", "1:1"],
    ["a throw", "const x = undefined as any;\n\nexport default { outDir: x.y };", "bad-config", "3:28"],
    ["no default", "export const config = {};", "bad-config", "1:1"],
    ["a default that is no object", "const a = 1;\nexport default [a];", "bad-config", "2:1"],
  ])("%s", async (_, text, code, at) => {
    expect(await refusal(text)).toMatchObject({ code, at, hint: expect.any(String) });
  });
});
