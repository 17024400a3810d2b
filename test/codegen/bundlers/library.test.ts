import { writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { pathToFileURL } from "node:url";
import { gzipSync } from "node:zlib";
import { type BuildOptions, build } from "esbuild";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { sinter } from "../../../codegen/esbuild.ts";
import { root, sinterFromSource } from "../../../scripts/bundle.mjs";
import type { Kernel, KernelCode } from "../../../src/manifest/kernel-module.ts";
import { type Gpu, openDevice } from "../../../src/node/runtime.ts";
import { makeProject, type Project } from "./project.ts";

const library = { layerNorm: "norm", linearGelu: "linear", softmax: "softmax", swiglu: "swiglu" } as const;
const names = ["layerNorm", "linearGelu", "softmax"] as const;
const importing = (list: readonly (keyof typeof library)[]): string =>
  list
    .map((k) => `import { ${k} } from ${JSON.stringify(join(root, "kernels", `${library[k]}.kernel.ts`))};`)
    .join("\n");

const app = (list: readonly (keyof typeof library)[]): string => `
import { createRuntime } from "sinter/runtime";
${importing(list)}
export const kernels = { ${list.join(", ")} };
export async function start(device) {
  const rt = await createRuntime({ device });
  await rt.warmup(Object.values(kernels));
  return rt;
}
`;

let project: Project;
beforeAll(() => {
  project = makeProject({
    "app.ts": app(names),
    "none.ts": app([]),
    "small.ts": app(["layerNorm", "softmax", "swiglu"]),
  });
});
afterAll(() => project.remove());

const bundle = (entry: string, more: BuildOptions = {}) =>
  build({
    entryPoints: [project.file(entry)],
    // With the repository's own cache of compiled kernels.
    absWorkingDir: root,
    bundle: true,
    minify: true,
    splitting: true,
    format: "esm",
    platform: "browser",
    outdir: project.file("out"),
    logLevel: "silent",
    plugins: [sinter(), sinterFromSource("browser")],
    ...more,
    metafile: true,
    write: false,
  });

const gzipped = (text: Uint8Array): number => gzipSync(text, { level: 9 }).length;

describe("an application with three kernels of the library", () => {
  test("ships no compiler, and is small", async () => {
    const sizes: Record<string, number> = {};
    for (const entry of ["none.ts", "app.ts", "small.ts"]) {
      const { outputFiles, metafile } = await bundle(entry);
      const first = outputFiles.find((f) => basename(f.path) === entry.replace(".ts", ".js"))!;
      sizes[entry] = gzipped(first.contents);
      const rooms = Object.keys(metafile.inputs)
        .filter((f) => f.startsWith("src/"))
        .map((f) => f.split("/")[1]);
      expect([...new Set(rooms)].filter((r) => r !== "base" && r !== "manifest")).toEqual(["runtime"]);
      expect(Object.keys(metafile.inputs).filter((f) => /node_modules|^codegen\//.test(f))).toEqual([]);
    }
    expect(sizes["none.ts"]).toBeLessThanOrEqual(10 * 1024);
    expect(sizes["app.ts"]).toBeLessThanOrEqual(14 * 1024);
    expect(sizes["small.ts"]).toBeLessThanOrEqual(14 * 1024);
    console.info("gzipped bytes:", sizes);
  });

  test("each kernel is shaken out when it is not used, with its chunks", async () => {
    const { outputFiles, metafile } = await bundle("small.ts", { sourcemap: true });
    const text = outputFiles.map((f) => f.text).join("\n");
    for (const k of ["layerNorm", "softmax", "swiglu"]) expect(text).toContain(`"${k}"`);
    const files = outputFiles.map((f) => basename(f.path)).filter((f) => !f.startsWith("small.js"));
    expect(files.filter((f) => !/^(?:layerNorm|softmax|swiglu)\.|^chunk-|^adds-up-/.test(f))).toEqual([]);
    expect(Object.keys(metafile.outputs)).toHaveLength(outputFiles.length);
    for (const k of ["layerNormBackward", "rmsNorm", "swigluPacked"]) expect(text).not.toContain(`name:"${k}"`);
  });

  test("richer texts are in chunks of their own", async () => {
    const { outputFiles } = await bundle("app.ts");
    const chunks = outputFiles.map((f) => basename(f.path));
    for (const k of names) expect(chunks.filter((c) => c.startsWith(`${k}.f16-`)).length).toBeGreaterThanOrEqual(1);
    expect(chunks.some((c) => c.startsWith("softmax.f32-subgroups-"))).toBe(true);
    const main = outputFiles.find((f) => basename(f.path) === "app.js")!;
    expect(main.text).not.toMatch(/enable (?:f16|subgroups)/);
  });

  describe("on Dawn's null backend", () => {
    let gpu: Gpu;
    beforeAll(async () => {
      gpu = await openDevice({ adapter: "null" });
    });
    afterAll(() => gpu.dispose());

    test("every minified text compiles", async () => {
      const { outputFiles } = await bundle("app.ts", { platform: "node", outdir: join(project.root, "ran") });
      for (const f of outputFiles) project.write(`ran/${basename(f.path)}`, f.text);
      writeFileSync(project.file("ran/package.json"), '{ "type": "module" }');
      const { kernels } = (await import(pathToFileURL(project.file("ran/app.js")).href)) as {
        kernels: Readonly<Record<string, Kernel>>;
      };
      let texts = 0;
      for (const kernel of Object.values(kernels)) {
        for (const [profile, given] of Object.entries(kernel.code)) {
          const code: KernelCode = typeof given === "function" ? (await given()).code : (given as KernelCode);
          for (const { wgsl } of code.variants.flatMap((v) => v.steps)) {
            const info = await gpu.device.createShaderModule({ code: wgsl }).getCompilationInfo();
            expect(
              info.messages.map((m) => m.message),
              `${kernel.name} ${profile}\n${wgsl}`,
            ).toEqual([]);
            texts++;
          }
        }
      }
      expect(texts).toBeGreaterThanOrEqual(12);
    });
  });
});
