import { transformSync } from "esbuild";
import ts from "typescript";
import { expect, test } from "vitest";
import { type EmittedFile, kernelModules, type ModuleOptions, shortTexts } from "../../../codegen/emit/index.ts";
import type { Kernel, KernelCode } from "../../../src/manifest/kernel-module.ts";
import type { UniformKernel } from "../../../src/manifest/uniform.ts";
import { scale, text } from "./handmade.ts";

const options: ModuleOptions = {
  source: "../scale.kernel.ts",
  version: "1.2.3",
  exports: ["scale"],
  importExtension: ".js",
};
const modules = (kernel: UniformKernel, more: Partial<ModuleOptions> = {}): EmittedFile[] =>
  kernelModules(kernel, { ...options, ...more });

/** Runs a module; what it would import is not followed. */
function run(file: EmittedFile): Record<string, unknown> {
  const { code } = transformSync(file.contents, { loader: "ts", format: "cjs" });
  const module = { exports: {} as Record<string, unknown> };
  new Function("module", "exports", "require", code)(module, module.exports, () => ({}));
  return module.exports;
}

test("a kernel becomes a module with the texts that every device runs, and one for each richer profile", async () => {
  const files = modules(scale);
  expect(files.map((f) => f.name)).toEqual(["scale.ts", "scale.f16.ts"]);
  await expect(files[0]?.contents).toMatchFileSnapshot("golden/scale.ts.txt");
  await expect(files[1]?.contents).toMatchFileSnapshot("golden/scale.f16.ts.txt");
});

test("its functions compute what the expressions say", () => {
  const kernel = run(modules(scale)[0]!).scale as Kernel;
  expect(kernel.tensors.map((t) => [t.name, t.dtype, t.access])).toEqual([
    ["x", "float", "read"],
    ["y", "float", "write"],
    ["mean", "f32", "write"],
    ["count", "i32", "update"],
  ]);
  expect([kernel.sizes, kernel.scalars]).toEqual([
    ["rows", "cols"],
    ["alpha", "shift"],
  ]);
  const d = { rows: 3, cols: 1001, alpha: 0.1, shift: -7 };
  expect([0, 1, 2, 3].map((i) => kernel.count(d, i))).toEqual([3003, 3003, 3, 1]);
  const { variants } = kernel.code.f32 as KernelCode;
  const [aligned, any] = variants;
  expect(
    [{ ...d, cols: 8 }, { ...d, cols: 8, rows: 1 }, { ...d, cols: 4100 }, d].map((s) => aligned?.when?.(s)),
  ).toEqual([true, false, false, false]);
  expect(any?.when).toBeUndefined();
  expect([aligned?.align, any?.align]).toEqual([4, undefined]);
  expect(aligned?.scratch?.(d)).toEqual([12]);
  const [first, second] = aligned?.steps ?? [];
  expect([first?.bindings, first?.writes, first?.words]).toEqual([[0, -1], 2, 6]);
  expect(second).toBe(any?.steps[0]);
  expect(second?.wgsl).toBe(text(2));
  const words = new ArrayBuffer(24);
  const [u, f, i] = [new Uint32Array(words), new Float32Array(words), new Int32Array(words)];
  first?.args(d, [400, 12], u, f, i);
  expect([u[0], f[1], f[2], i[3], u[4], u[5]]).toEqual([751, Math.fround(1 / 1000), Math.fround(0.1), -7, 100, 12]);
  expect(first?.groups(d)).toBe(12);
  expect(Object.keys(kernel.code)).toEqual(["f32", "f16"]);
});

test("modules pass the strictest compiler", () => {
  const declared = `${import.meta.dirname}/../../../src/manifest/kernel-module.ts`;
  const files = new Map(modules(scale).map((f) => [`/generated/${f.name}`, f.contents]));
  const compilerOptions: ts.CompilerOptions = {
    strict: true,
    noUncheckedIndexedAccess: true,
    exactOptionalPropertyTypes: true,
    noPropertyAccessFromIndexSignature: true,
    noUnusedLocals: true,
    noUnusedParameters: true,
    isolatedModules: true,
    isolatedDeclarations: true,
    declaration: true,
    verbatimModuleSyntax: true,
    target: ts.ScriptTarget.ES2022,
    module: ts.ModuleKind.ESNext,
    moduleResolution: ts.ModuleResolutionKind.Bundler,
    allowImportingTsExtensions: true,
    noEmit: true,
    types: [],
    paths: { "sinter/runtime": [declared] },
  };
  const host = ts.createCompilerHost(compilerOptions);
  const { getSourceFile, fileExists, readFile } = host;
  host.directoryExists = (f) => f === "/generated" || ts.sys.directoryExists(f);
  host.fileExists = (f) => files.has(f) || fileExists(f);
  host.readFile = (f) => files.get(f) ?? readFile(f);
  host.getSourceFile = (f, target) => {
    const own = files.get(f);
    return own === undefined ? getSourceFile(f, target) : ts.createSourceFile(f, own, target);
  };
  const program = ts.createProgram([...files.keys()], compilerOptions, host);
  const wrong = ts.getPreEmitDiagnostics(program).filter((d) => d.file?.fileName.startsWith("/generated/"));
  expect(wrong.map((d) => ts.flattenDiagnosticMessageText(d.messageText, "\n"))).toEqual([]);
});

test("documentation is carried over, and ends no comment, literal or script", () => {
  const doc = {
    text: "Scales.\r\n\n@example `x` */ evil(); </script>\u2028next",
    inputs: { x: "The\n  rows. */", __proto__: "no" } as Record<string, string>,
  };
  const [file] = modules(scale, { doc });
  expect(file?.contents).toContain(" * Scales.\n *\n * @example `x` *\\/ evil(); <\\/script>\n * next\n");
  expect(file?.contents).toContain(" * - `x` f32 or f16 [rows, cols]: The rows. *\\/\n");
  expect(file?.contents).not.toMatch(/<\/script|\u2028/);
  expect(run(file!).scale).toBeDefined();
});

const nasty = [
  // biome-ignore lint/suspicious/noTemplateCurlyInString: it is to stay as it is
  "`${1}",
  "*/",
  "</script>",
  "a\nb",
  "a\r\u2028\u0000",
  "\\",
  '"',
  "__proto__",
  "x".repeat(10_000),
  "<!--",
];

test("texts and names survive whatever they hold", () => {
  for (const name of nasty) {
    const wgsl = `// ${name}`;
    const [code] = scale.codes;
    const variants = code!.variants.map((v) => ({ ...v, steps: v.steps.map((s) => ({ ...s, wgsl, label: name })) }));
    const kernel: UniformKernel = {
      ...scale,
      dims: [name, "cols"],
      tensors: { f32: [{ name, dtype: "f32", shape: [name], access: "read" }] },
      codes: [{ ...code!, variants }],
    };
    const [file] = modules(kernel, { source: name });
    const made = run(file!).scale as Kernel;
    expect((made.code.f32 as KernelCode).variants[0]?.steps[0]?.wgsl).toBe(wgsl);
    expect([made.tensors[0]?.name, made.sizes[0]]).toEqual([name, name]);
    expect(made.count(JSON.parse(`{${JSON.stringify(name)}: 5}`), 0)).toBe(5);
    expect(file?.contents).not.toMatch(/<\/script|<!--|[\u2028\0]/);
  }
});

test("exports may have any of the names that the module uses itself, and several", () => {
  for (const name of ["w0", "s0", "Sizes", "Kernel", "KernelStep", "d", "u"]) {
    expect(run(modules({ ...scale, name }, { exports: [name] })[0]!)[name]).toMatchObject({ name });
  }
  const several = run(modules(scale, { exports: ["scale", "again", "default"] })[0]!);
  expect(Object.keys(several).sort()).toEqual(["again", "default", "scale"]);
  expect(several.default).toBe(several.scale);
  expect(run(modules(scale, { exports: ["default"] })[0]!).default).toMatchObject({ name: "scale" });
});

test("minified modules hold minified texts", () => {
  const made = run(modules(scale, { short: shortTexts(scale) })[0]!).scale as Kernel;
  const wgsl = (made.code.f32 as KernelCode).variants[0]?.steps[0]?.wgsl as string;
  expect(wgsl).toContain(
    "fn main(@builtin(global_invocation_id)a:vec3u){let b=a.x;if(b>=args.a0){return;}b1[b]=b0[b]*args.a1;}",
  );
});
