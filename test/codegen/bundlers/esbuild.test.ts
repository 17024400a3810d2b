import { readdirSync, readFileSync } from "node:fs";
import { SourceMap } from "node:module";
import { join } from "node:path";
import { type BuildOptions, build, context, type Metafile, type Plugin } from "esbuild";
import { afterEach, expect, test } from "vitest";
import { sinter } from "../../../codegen/esbuild.ts";
import { root, sinterFromSource } from "../../../scripts/bundle.mjs";
import { kernels, makeProject, type Project, scaledLine } from "./project.ts";

let project: Project;
afterEach(() => project.remove());

const options = (more: BuildOptions = {}): BuildOptions & { readonly metafile: true; readonly write: false } => ({
  entryPoints: ["app.ts"],
  absWorkingDir: project.root,
  bundle: true,
  format: "esm",
  outdir: "out",
  logLevel: "silent",
  plugins: [sinter({ cache: false }), sinterFromSource("browser")],
  ...more,
  metafile: true,
  write: false,
});

const bundle = (more?: BuildOptions) => build(options(more));
const textOf = (files: readonly { readonly path: string; readonly text: string }[], end: string): string =>
  files.find((f) => f.path.endsWith(end))?.text ?? "";
const inputsOf = ({ inputs }: Metafile): string[] => Object.keys(inputs).sort();

test("an import of a kernel file gives its kernels, those that are used, without the compiler", async () => {
  project = makeProject({
    "app.ts": `import { scaled } from "./ops.kernel.ts";\nconsole.log(scaled);\n`,
    "ops.kernel.ts": kernels("2.5"),
  });
  const { outputFiles, metafile } = await bundle();
  const text = textOf(outputFiles, "app.js");
  expect(text).toContain('name: "scaled"');
  expect(text).toContain("@compute");
  expect(text).not.toContain('name: "total"');
  expect(inputsOf(metafile).filter((f) => f.includes("/src/") || f.includes("node_modules"))).toEqual([]);
  expect(inputsOf(metafile)).toContain("ops.kernel.ts");
  // Paths that depend on the machine would make outputs differ between machines.
  expect(text).not.toContain(project.root);
  const none = await bundle({
    stdin: { contents: `import "./ops.kernel.ts";`, resolveDir: project.root },
    entryPoints: [],
  });
  expect(none.outputFiles[0]!.text.replace(/\/\/.*|[\s()=>{}]/g, "")).toBe("");
});

test("texts for richer devices are chunks that import() loads", async () => {
  project = makeProject({
    "app.ts": `import { scaled, total } from "./ops.kernel";\nconsole.log(scaled, total);\n`,
    "ops.kernel.ts": kernels("2.5"),
  });
  const { outputFiles, metafile } = await bundle({ splitting: true });
  const names = outputFiles.map((f) => f.path.slice(f.path.lastIndexOf("/") + 1)).sort();
  expect(names[0]).toBe("app.js");
  expect(names.filter((n) => /^scaled\.f16-\w+\.js$/.test(n))).toHaveLength(1);
  expect(names.filter((n) => /^total\.f16-\w+\.js$/.test(n))).toHaveLength(1);
  const app = textOf(outputFiles, "app.js");
  expect(app).toMatch(/import\("\.\/scaled\.f16-\w+\.js"\)/);
  expect(app).not.toContain("enable f16");
  const [f16] = outputFiles.filter((f) => f.path.includes("scaled.f16-"));
  expect(f16!.text).toContain("enable f16");
  expect(f16!.text).toMatch(/export \{\s*code/);
  expect(inputsOf(metafile).some((f) => f.endsWith("ops.kernel.ts/scaled.f16.ts"))).toBe(true);

  project.write("app.ts", `import { scaled } from "./ops.kernel";\nconsole.log(scaled);\n`);
  const one = await bundle({ splitting: true });
  expect(one.outputFiles.map((f) => f.path).filter((p) => p.includes("total"))).toEqual([]);
  await build({ ...options({ splitting: true, sourcemap: true }), write: true });
  const written = readdirSync(project.file("out")).sort();
  expect(written.map((f) => f.replace(/-\w+\.js/, ".js"))).toEqual(
    ["app.js", "app.js.map", "scaled.f16.js", "scaled.f16.js.map"].sort(),
  );
});

test("WGSL is minified when the bundle is, or as the option says", async () => {
  project = makeProject({
    "app.ts": `import { total } from "./ops.kernel.ts";\nconsole.log(total);\n`,
    "ops.kernel.ts": kernels("2.5"),
  });
  const size = async (more: BuildOptions): Promise<number> =>
    /@group\(0\)(?:[^`"\\]|\\.)*/.exec((await bundle(more)).outputFiles[0]!.text)![0].replaceAll("\\n", "\n").length;
  const plain = await size({});
  const short = await size({ minify: true });
  expect(short).toBeLessThan(0.8 * plain);
  const plugins = [sinter({ cache: false, minify: true }), sinterFromSource("browser")];
  expect(await size({ plugins })).toBe(short);
  const kept = [sinter({ cache: false, minify: false }), sinterFromSource("browser")];
  expect(await size({ plugins: kept, minify: true })).toBe(plain);
});

test("the source map leads from a kernel to its definition", async () => {
  project = makeProject({
    "app.ts": `import { scaled } from "./src/ops.kernel.ts";\nconsole.log(scaled);\n`,
    "src/ops.kernel.ts": kernels("2.5"),
  });
  for (const minify of [false, true]) {
    const { outputFiles } = await bundle({ sourcemap: "linked", minify });
    const text = textOf(outputFiles, "app.js");
    const raw = JSON.parse(textOf(outputFiles, "app.js.map"));
    const before = text.slice(0, text.search(/"scaled"/)).split("\n");
    const entry = new SourceMap(raw).findEntry(before.length - 1, before.at(-1)!.length);
    expect(entry).toMatchObject({ originalLine: scaledLine - 1, originalSource: "../src/ops.kernel.ts" });
    const at = raw.sources.indexOf("../src/ops.kernel.ts");
    expect(raw.sourcesContent[at]).toBe(kernels("2.5"));
    expect([...new Set(raw.sources)]).toEqual(["../src/ops.kernel.ts", "../app.ts"]);
  }
});

test("what is wrong with a kernel arrives as a message of esbuild's, at its line", async () => {
  project = makeProject({
    "app.ts": `import { bad } from "./bad.kernel.ts";\nconsole.log(bad);\n`,
    "bad.kernel.ts": `import { defineKernel, f32 } from "sinter";
/* ä */ export const bad = defineKernel({ name: "bad", inputs: { x: f32(2, 3), y: f32(4) } }, ({ x, y }) => x.add(y));
`,
  });
  const failure = await bundle().catch((e: unknown) => e as { errors: import("esbuild").Message[] });
  expect("errors" in failure && failure.errors).toHaveLength(1);
  const [message] = (failure as { errors: import("esbuild").Message[] }).errors;
  const lineText = readFileSync(project.file("bad.kernel.ts"), "utf8").split("\n")[1]!;
  expect(message).toMatchObject({ pluginName: "sinter", detail: { code: "shape-mismatch" } });
  expect(message!.text).toMatch(/\[shape-mismatch\]$/);
  expect(message!.location).toMatchObject({ file: "bad.kernel.ts", line: 2, lineText });
  const { column, length } = message!.location!;
  expect(
    Buffer.from(lineText)
      .subarray(column, column + length)
      .toString(),
  ).toBe("add");
  expect(message!.notes.some((n) => n.text.startsWith("next: "))).toBe(true);
});

test("a context builds again after a fix, and after a change of a file that the kernel file imports", async () => {
  project = makeProject({
    "app.ts": `import { scaled } from "./ops.kernel.ts";\nconsole.log(scaled);\n`,
    "ops.kernel.ts": kernels("factor").replace(
      "sum }",
      `sum } from "sinter";\nimport { factor } from "./factor.ts"; import {}`,
    ),
    "factor.ts": "export const factor = 2.5;\n",
  });
  const own = await context(options());
  try {
    const text = async (): Promise<string> =>
      (await own.rebuild()).outputFiles!.find((f) => f.path.endsWith(".js"))!.text;
    const first = await text();
    expect(await text()).toBe(first);
    project.write("factor.ts", "export const factor = 7.25;\n");
    const second = await text();
    expect(second).not.toBe(first);
    project.write("ops.kernel.ts", "export const scaled = defineKernel(;");
    const broken = await own.rebuild().catch((e: unknown) => e as { errors: unknown[] });
    expect("errors" in broken && broken.errors).toMatchObject([{ location: { file: "ops.kernel.ts", line: 1 } }]);
    project.write("ops.kernel.ts", kernels("2.5"));
    expect(await text()).toBe(first);
  } finally {
    await own.dispose();
  }
});

test("esbuild watches the files that a kernel file imports", async () => {
  project = makeProject({
    "app.ts": `import { scaled } from "./ops.kernel.ts";\nconsole.log(scaled);\n`,
    "ops.kernel.ts": `import { factor } from "./factor.ts";\n${kernels("factor")}`,
    "factor.ts": "export const factor = 2.5;\n",
  });
  const texts: string[] = [];
  const collect: Plugin = {
    name: "collect",
    setup: (b) => b.onEnd(({ outputFiles }) => void texts.push(outputFiles?.[0]?.text ?? "")),
  };
  const plugins = [sinter({ cache: false }), sinterFromSource("browser"), collect];
  const own = await context(options({ plugins }));
  try {
    await own.watch();
    await expect.poll(() => texts.length, { timeout: 10_000 }).toBe(1);
    project.write("factor.ts", "export const factor = 7.25;\n");
    await expect.poll(() => texts.length, { timeout: 10_000 }).toBe(2);
    expect(texts[1]).not.toBe(texts[0]);
  } finally {
    await own.dispose();
  }
});

test("files of that name that are none of Sinter's stay as they are; other extensions are looked at too", async () => {
  project = makeProject({
    "app.ts": `import { blur } from "./blur.kernel.ts";\nimport { total } from "./ops.kernel.mjs";\nconsole.log(blur, total);\n`,
    "blur.kernel.ts": `import { weights } from "./weights.ts";\nexport const blur = weights.map((x: number) => x / 16);\n`,
    "weights.ts": "export const weights = [1, 2, 1];\n",
    "ops.kernel.mjs": kernels("2.5"),
  });
  const { outputFiles } = await bundle();
  expect(outputFiles[0]!.text).toContain("weights.map((x) => x / 16)");
  expect(outputFiles[0]!.text).toContain('name: "total"');
});

test("the compiler is loaded with the first kernel file, not with a plugin", async () => {
  project = makeProject({});
  for (const entry of ["codegen/esbuild.ts", "codegen/vite.ts"]) {
    const { outputs } = (
      await build({
        entryPoints: [join(root, entry)],
        absWorkingDir: root,
        bundle: true,
        splitting: true,
        write: false,
        metafile: true,
        format: "esm",
        platform: "node",
        packages: "external",
        outdir: "out",
      })
    ).metafile;
    const at = Object.keys(outputs).find((o) => outputs[o]?.entryPoint === entry) as string;
    const eager = new Set([at]);
    for (const o of eager) {
      for (const i of outputs[o]?.imports ?? []) if (i.kind === "import-statement" && !i.external) eager.add(i.path);
    }
    const files = [...eager].flatMap((o) => Object.keys(outputs[o]?.inputs ?? {}));
    expect(files.filter((f) => !/^src\/base\/|^codegen\/(?:plugin\/|esbuild|vite)/.test(f))).toEqual([]);
    const packages = [...eager].flatMap((o) => outputs[o]?.imports ?? []).filter((i) => i.external);
    expect(packages.filter((i) => i.kind === "import-statement" && !i.path.startsWith("node:"))).toEqual([]);
  }
});

test("options are checked", () => {
  project = makeProject({});
  const wrong = (o: object) => () => sinter(o);
  expect(wrong({ minfy: true })).toThrow(/did you mean "minify"/);
  expect(wrong({ minify: "yes" })).toThrow(expect.objectContaining({ code: "bad-option" }));
  expect(wrong({ dtypes: ["bf16"] })).toThrow(expect.objectContaining({ code: "bad-option" }));
  expect(wrong({ toString: 1 })).toThrow(expect.objectContaining({ code: "unknown-option" }));
});
