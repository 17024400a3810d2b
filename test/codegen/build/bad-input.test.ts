import { mkdirSync, rmSync, symlinkSync } from "node:fs";
import { expect, test } from "vitest";
import { manifestText, readManifest } from "../../../codegen/emit/index.ts";
import { type BuildDiagnostic, type BuildOptions, type BuildResult, build, check } from "../../../codegen/index.ts";
import { kernelFile, kernelText, project, type TestProject } from "./project.ts";

const cache = false;
const head = 'import { defineKernel, dim, f32, i32 } from "sinter";\n';

/** The errors of a build, which must not touch a file. */
async function refused(p: TestProject, options: BuildOptions = {}, what = ""): Promise<readonly BuildDiagnostic[]> {
  const before = p.files();
  for (const run of [build, check]) {
    const r: BuildResult = await run({ root: p.root, cache, ...options });
    expect(r.ok, what).toBe(false);
    expect(r.files).toEqual([]);
    expect(r.diagnostics[0]?.severity).toBe("error");
    for (const d of r.diagnostics) {
      expect(d.hint ?? "").not.toBe("");
      expect(d.message.length).toBeLessThan(400);
      expect(d.message).not.toMatch(/\n/);
    }
    expect(p.files()).toEqual(before);
    if (run === check) return r.diagnostics;
  }
  throw new Error("not reached");
}

const sources: Readonly<Record<string, readonly [text: string, code: string, line: number]>> = {
  "a syntax error": ["const a = 1;\nexport const b = (;\n", "", 2],
  "an import of nothing": ['import { x } from "./nothing.ts";\nexport const y = x;\n', "kernel-import", 1],
  "a module of Node": [
    '\nimport { readFileSync } from "node:fs";\nexport const x = readFileSync("x");\n',
    "kernel-import",
    2,
  ],
  "the runtime": [
    'import { createRuntime } from "sinter/runtime";\nexport const x = createRuntime;\n',
    "kernel-import",
    1,
  ],
  "the end of the process": ["const a = 1;\nprocess.exit(a - 1);\n", "kernel-threw", 2],
  "a throw": ["const a = 1;\n\nfunction f(): never {\n  throw new TypeError(String(a));\n}\nf();\n", "kernel-threw", 4],
  "an error of Sinter at the top": [`${head}\nexport const a = ${kernelText("1a")};\n`, "bad-kernel-name", 3],
  "an error of Sinter in a body": [
    `${head}\nexport const a = defineKernel({ name: "a", inputs: { x: f32(2, 3) } }, ({ x }) => {\n  const y = x.add(1);\n  return y.matmul(y);\n});\n`,
    "",
    5,
  ],
};

test.for(Object.entries(sources))("%s is an error at its place", async ([, [text, code, line]]) => {
  const p = project({ "k.kernel.ts": text, "generated/keep.txt": "kept" });
  const [d] = await refused(p);
  if (code) expect(d?.code).toBe(code);
  expect(d?.place).toMatchObject({ file: p.path("k.kernel.ts"), line });
});

test("an error in an imported file is at its place there", async () => {
  const p = project({
    "k.kernel.ts": 'import { twice } from "./lib/helper.ts";\nexport const a = twice;\n',
    "lib/helper.ts": `${head}\n\nexport const twice = ${kernelText("not a name")};\n`,
  });
  const [d] = await refused(p);
  expect(d?.place).toMatchObject({ file: p.path("lib/helper.ts"), line: 4, column: 22 });
});

const long = "x".repeat(10_000);
const nasty = [
  "a`b",
  "*/",
  "</script>",
  "a\nb",
  long,
  "",
  "../up",
  "a/b",
  "a\\b",
  "..",
  "é",
  "a b",
  "\u2028",
  "1",
  "a.b",
  "fn-main",
];

test("kernels, exports, inputs and variants are named so that names can be identifiers and parts of files", async () => {
  for (const name of nasty) {
    const text = JSON.stringify(name);
    const kernel = (o: string): string =>
      `${head}export const k = defineKernel({ ${o} }, ({ x }) => ({ y: x.mul(2) }));`;
    const files: Record<string, string> = {
      kernel: kernel(`name: ${text}, inputs: { x: f32(dim("n")) }`),
      export: `${head}const k = ${kernelText("k")};\nexport { k as ${text} };`,
      input: `${head}export const k = defineKernel({ name: "k", inputs: { [${text}]: f32(dim("n")) } }, (all) => ({ y: Object.values(all)[0].mul(2) }));`,
      variant: kernel(`name: "k", inputs: { x: f32(dim("n")) }, variants: [{ name: ${text}, multiples: { n: 4 } }]`),
    };
    for (const [what, source] of Object.entries(files)) {
      if (what === "variant" && ["1", "fn-main"].includes(name)) continue;
      // Nested inputs have points in their names; one without a name gets one.
      if (what === "input" && ["a.b", ""].includes(name)) continue;
      const [d] = await refused(project({ "k.kernel.ts": source }), {}, `${what} ${text.slice(0, 20)}`);
      expect([what, name.slice(0, 20), d?.code]).toEqual([
        what,
        name.slice(0, 20),
        expect.stringMatching(/^bad-|-name$/),
      ]);
    }
  }
});

test("words of WGSL, and of JavaScript where they cannot be exported", async () => {
  const p = project({
    "k.kernel.ts": `${head}export const fn = ${kernelText("fn")};\nexport const vec4 = ${kernelText("array")};`,
  });
  expect((await build({ root: p.root, cache })).ok).toBe(true);
  for (const name of ["class", "await", "let"]) {
    const [d] = await refused(
      project({ "k.kernel.ts": `${head}const k = ${kernelText("k")};\nexport { k as ${name} };` }),
    );
    expect(d).toMatchObject({ code: "bad-kernel-name", message: expect.stringContaining(name) });
  }
  const [device] = await refused(project({ "k.kernel.ts": `${head}export const k = ${kernelText("Con")};` }));
  expect(device?.cause).toMatch(/Windows/);
});

test("names that clash are told with both places", async () => {
  const p = project({ "a.kernel.ts": kernelFile("twice", "thrice"), "b.kernel.ts": `\n${kernelFile("Thrice")}` });
  const [d] = await refused(p);
  expect(d).toMatchObject({ code: "name-clash", place: { file: p.path("b.kernel.ts"), line: 3 } });
  expect(d?.cause).toContain("a.kernel.ts:3");
  const within = project({
    "k.kernel.ts": `${head}export const a = ${kernelText("k")};\nexport const b = ${kernelText("k")};`,
  });
  expect((await refused(within))[0]?.code).toBe("name-clash");
  const elsewhere = project({ "a/k.kernel.ts": kernelFile("k"), "b/k.kernel.ts": kernelFile("k") });
  expect((await build({ root: elsewhere.root, cache })).ok).toBe(true);
  const variants = project({
    "k.kernel.ts": `${head}export const k = defineKernel({ name: "k", inputs: { x: f32(dim("n")) }, variants: [{ name: "any", multiples: { n: 4 } }] }, ({ x }) => ({ y: x.mul(2) }));`,
  });
  expect((await refused(variants))[0]).toMatchObject({ code: "name-clash" });
});

test("a name that a kernel file has which is not being built is taken too", async () => {
  const p = project({ "a.kernel.ts": kernelFile("a"), "b.kernel.ts": kernelFile("b") });
  await build({ root: p.root, cache });
  p.write("b.kernel.ts", kernelFile("b", "A"));
  const [d] = await refused(p, { only: ["b.kernel.ts"] });
  expect(d).toMatchObject({ code: "name-clash", cause: expect.stringContaining("a.kernel.ts") });
});

test("generated files stay in the root", async () => {
  const p = project({ "in/k.kernel.ts": kernelFile("k"), "out/keep.txt": "kept" });
  const root = p.path("in");
  for (const outDir of ["../out", "a/../../out", "/tmp", p.path("out"), "C:\\out", "\\out", "..", "..\\out"]) {
    const r = await build({ root, cache, outDir });
    expect([outDir, r.diagnostics.map((d) => d.code)]).toEqual([outDir, ["outside-root"]]);
  }
  for (const outDir of [".", "./", "a\nb", "x".repeat(10_000)]) {
    expect((await build({ root, cache, outDir })).diagnostics.map((d) => d.code)).toEqual(["bad-option"]);
  }
  symlinkSync(p.path("out"), p.path("in/generated"));
  expect((await build({ root, cache })).diagnostics.map((d) => d.code)).toEqual(["outside-root"]);
  rmSync(p.path("in/generated"));
  symlinkSync(p.path("nowhere"), p.path("in/generated"));
  expect((await build({ root, cache })).diagnostics.map((d) => d.code)).toEqual(["outside-root"]);
  rmSync(p.path("in/generated"));
  symlinkSync(p.path("out"), p.path("in/linked"));
  expect((await build({ root, cache, outDir: "linked/deep" })).diagnostics.map((d) => d.code)).toEqual([
    "outside-root",
  ]);
  rmSync(p.path("in/linked"));
  expect((await build({ root, cache, include: ["../in/*.kernel.ts"] })).ok).toBe(true);
  p.write("other.kernel.ts", kernelFile("other"));
  expect((await build({ root, cache, include: ["../*.kernel.ts"] })).diagnostics.map((d) => d.code)).toEqual([
    "outside-root",
  ]);
  expect(Object.keys(p.files("out"))).toEqual(["keep.txt"]);
  expect((await build({ root: p.path("nowhere"), cache })).diagnostics.map((d) => d.code)).toEqual(["no-such-folder"]);
});

test("symbolic links of kernel files and folders are not followed", async () => {
  const p = project({ "in/k.kernel.ts": kernelFile("k"), "out/o.kernel.ts": kernelFile("o") });
  symlinkSync(p.path("out"), p.path("in/out"));
  const r = await build({ root: p.path("in"), cache });
  expect([r.ok, r.kernels.map((k) => k.kernel.name)]).toEqual([true, ["k"]]);
  expect(Object.keys(p.files("out"))).toEqual(["o.kernel.ts"]);
});

test("files that Sinter did not write are not overwritten", async () => {
  const p = project({ "k.kernel.ts": kernelFile("k"), "generated/k.ts": "export const mine = 1;\n" });
  expect((await refused(p))[0]).toMatchObject({ code: "foreign-file", place: { file: p.path("generated/k.ts") } });
  rmSync(p.path("generated/k.ts"));
  mkdirSync(p.path("generated/k.ts"));
  expect((await refused(p))[0]?.code).toBe("foreign-file");
  const file = project({ "k.kernel.ts": kernelFile("k"), generated: "a file" });
  expect((await refused(file))[0]?.code).toBe("foreign-file");
});

test("options are checked", async () => {
  const p = project({ "k.kernel.ts": kernelFile("k") });
  const wrong = [
    { outdir: "x" },
    { include: 3 },
    { include: [""] },
    { minify: "yes" },
    { importExtension: ".mjs" },
    { dtypes: ["f64"] },
  ];
  for (const o of wrong) {
    const r = await build({ root: p.root, cache, ...(o as BuildOptions) });
    expect(r.diagnostics.map((d) => d.code)).toEqual([expect.stringMatching(/^(unknown|bad)-option$/)]);
  }
});

test("a manifest that is not as it was written is refused, and everything stays", async () => {
  const p = project({ "k.kernel.ts": kernelFile("k", "l") });
  await build({ root: p.root, cache });
  const good = p.read("generated/manifest.json");
  const value = JSON.parse(good) as { kernels: unknown[]; files: unknown[]; sha256: string };
  const print = (v: unknown): string => `${JSON.stringify(v, null, 2)}\n`;
  const broken: Record<string, string> = {
    empty: "",
    truncated: good.slice(0, good.length / 2),
    "without its end": good.slice(0, -1),
    "not JSON": "<html>",
    null: "null\n",
    "a list": "[]\n",
    "another format": good.replace("sinter-build", "sinter-other"),
    "another schema": good.replace('"schema": 1', '"schema": 2'),
    "swapped kernels": print({ ...value, kernels: [...value.kernels].reverse() }),
    "swapped files": print({ ...value, files: [...value.files].reverse() }),
    "another hash": good.replace(
      value.sha256,
      value.sha256.replace(/./g, (c) => (c === "0" ? "1" : "0")),
    ),
    __proto__: good.replace("{", '{ "__proto__": { "files": [] },'),
    "a constructor": good.replace("{", '{ "constructor": 1,'),
    "twice the same key": good.replace("{", '{ "format": "sinter-build",'),
    "other blanks": print(value),
    CRLF: good.replaceAll("\n", "\r\n"),
  };
  for (const [what, text] of Object.entries(broken)) {
    p.write("generated/manifest.json", text);
    const [d] = await refused(p);
    expect([what, d?.code, d?.place?.file]).toEqual([what, "bad-manifest", p.path("generated/manifest.json")]);
  }
  p.write("generated/manifest.json", good);
  expect((await check({ root: p.root, cache })).ok).toBe(true);
});

test("any flipped byte of a manifest is found", async () => {
  const p = project({ "k.kernel.ts": kernelFile("k") });
  await build({ root: p.root, cache });
  const good = p.read("generated/manifest.json");
  const bytes = Buffer.from(good);
  for (let i = 0; i < bytes.length; i++) {
    const flipped = Buffer.from(bytes);
    flipped[i] = (flipped[i] as number) ^ (1 << (i % 8));
    expect(() => readManifest(flipped.toString("utf8"), "manifest.json"), `byte ${i}`).toThrow(/manifest/);
  }
});

test("a manifest with a hash of its own that names other files than its folder's is refused", async () => {
  const p = project({ "k.kernel.ts": kernelFile("k"), "precious.txt": "precious" });
  await build({ root: p.root, cache });
  const m = readManifest(p.read("generated/manifest.json"), "manifest.json");
  const hash = "0".repeat(64);
  for (const name of [
    "../precious.txt",
    "/etc/passwd",
    "a/b",
    "..",
    ".hidden",
    "__proto__/x",
    "manifest.json",
    "a\\b",
  ]) {
    const files = [...m.files, { name, sha256: hash }].sort((a, b) => (a.name < b.name ? -1 : 1));
    p.write("generated/manifest.json", manifestText({ ...m, files }));
    expect((await refused(p))[0]?.code).toBe("bad-manifest");
  }
  expect(p.read("precious.txt")).toBe("precious");
});

test("a folder of that name with another's manifest is none of ours", async () => {
  const p = project({
    "k.kernel.ts": kernelFile("k"),
    "other/generated/manifest.json": "{}",
    "other/generated/x.ts": "",
  });
  expect((await build({ root: p.root, cache })).ok).toBe(true);
  expect(p.read("other/generated/manifest.json")).toBe("{}");
});
