import { readFileSync } from "node:fs";
import { SourceMap } from "node:module";
import { globSync } from "tinyglobby";
import { build, createServer, type InlineConfig, type Rolldown, type ViteDevServer } from "vite";
import { afterEach, expect, test } from "vitest";
import { sinter } from "../../../codegen/vite.ts";
import { kernels, makeProject, type Project, scaledLine } from "./project.ts";

let project: Project;
let server: ViteDevServer | undefined;
afterEach(async () => {
  await server?.close();
  server = undefined;
  project.remove();
});

const config = (more: InlineConfig = {}): InlineConfig => ({
  root: project.root,
  configFile: false,
  logLevel: "silent",
  plugins: [sinter({ cache: false })],
  ...more,
});

async function bundle(more: InlineConfig["build"] = {}): Promise<Rolldown.OutputChunk[]> {
  const rolldownOptions = { input: project.file("app.ts"), preserveEntrySignatures: "strict" as const };
  const result = await build(config({ build: { write: false, rolldownOptions, ...more } }));
  const { output } = (Array.isArray(result) ? result[0] : result) as Rolldown.RolldownOutput;
  return output.filter((o) => o.type === "chunk");
}

async function serve(): Promise<ViteDevServer> {
  server = await createServer(
    config({ appType: "custom", server: { middlewareMode: true, ws: false }, optimizeDeps: { noDiscovery: true } }),
  );
  return server;
}

const codeOf = async (url: string): Promise<string> =>
  ((await (server as ViteDevServer).environments.client.transformRequest(url))?.code ?? "").replace(/t=\d+&/g, "");

const app = `import { scaled } from "./ops.kernel.ts";\nexport { scaled };\n`;

test("a production build: kernels that are used, short WGSL, richer texts in chunks of their own", async () => {
  project = makeProject({ "app.ts": app, "ops.kernel.ts": kernels("2.5") });
  const chunks = await bundle();
  const main = chunks.find((c) => c.isEntry)!;
  expect(main.code).toContain("@compute");
  expect(main.code).not.toMatch(/name:\s*["`]total/);
  expect(main.code).not.toContain("enable f16");
  expect(main.dynamicImports.some((f) => /scaled\.f16-[\w-]+\.js$/.test(f))).toBe(true);
  const f16 = chunks.find((c) => c.name === "scaled.f16")!;
  expect(f16.code).toContain("enable f16");
  expect(chunks.some((c) => c.name.startsWith("total"))).toBe(false);
  const modules = chunks.flatMap((c) => c.moduleIds).filter((id) => !id.startsWith("\0"));
  expect(modules.filter((id) => !id.startsWith(project.root))).toEqual([]);
  const plain = (await bundle({ minify: false })).find((c) => c.isEntry)!;
  expect(plain.code).toContain("  let group");
  expect(main.code).not.toContain("let group");
});

test("the source map of a build leads from a kernel to its definition", async () => {
  project = makeProject({ "app.ts": app, "ops.kernel.ts": kernels("2.5") });
  const main = (await bundle({ minify: false, sourcemap: true })).find((c) => c.isEntry)!;
  const before = main.code.slice(0, main.code.search(/name: "scaled"/)).split("\n");
  const entry = new SourceMap(main.map as never).findEntry(before.length - 1, before.at(-1)!.length);
  expect(entry).toMatchObject({
    originalLine: scaledLine - 1,
    originalSource: expect.stringMatching(/ops\.kernel\.ts$/),
  });
});

const bad = `import { defineKernel, f32 } from "sinter";
export const scaled = defineKernel({ name: "scaled", inputs: { x: f32(2, 3), y: f32(4) } }, ({ x, y }) => x.add(y));
`;

test("what is wrong with a kernel stops a build with its place and a frame", async () => {
  project = makeProject({ "app.ts": app, "ops.kernel.ts": bad });
  const error = (await bundle().catch((e: unknown) => e)) as { errors?: readonly object[] };
  const [first] = error.errors ?? [error];
  expect(first).toMatchObject({
    plugin: "sinter",
    loc: { line: 2 },
    message: expect.stringMatching(/\[shape-mismatch\]/),
  });
});

test("the dev server serves kernels and their parts by URLs", async () => {
  project = makeProject({ "app.ts": app, "ops.kernel.ts": kernels("2.5") });
  await serve();
  expect(await codeOf("/app.ts")).toContain('"/ops.kernel.ts"');
  const [, part] = /"(\/ops\.kernel\.ts\?sinter\/scaled\.ts)"/.exec(await codeOf("/ops.kernel.ts"))!;
  const code = await codeOf(part!);
  expect(code).toContain("@compute");
  expect(code).toContain("  let group");
  const [, richer] = /import\("(\/ops\.kernel\.ts\?sinter\/scaled\.f16\.ts)"\)/.exec(code)!;
  expect(await codeOf(richer!)).toContain("enable f16");
});

test("a part is served although nothing has asked for its kernel file before, as after a restart", async () => {
  project = makeProject({ "app.ts": app, "ops.kernel.ts": kernels("2.5") });
  await serve();
  expect(await codeOf("/ops.kernel.ts?sinter/total.f16.ts")).toContain("enable f16");
});

test("a change of a kernel file, or of what it imports, makes the modules of its kernels anew; an error says where", async () => {
  const importing = `import { factor } from "./factor.ts";\n${kernels("factor")}`;
  project = makeProject({ "app.ts": app, "ops.kernel.ts": importing, "factor.ts": "export const factor = 2.5;\n" });
  const { watcher, environments } = await serve();
  const part = "/ops.kernel.ts?sinter/scaled.ts";
  const all = async (): Promise<string> => {
    await codeOf("/app.ts");
    await codeOf("/ops.kernel.ts");
    return codeOf(part);
  };
  const change = async (name: string, text: string): Promise<void> => {
    const node = environments.client.moduleGraph.getModuleById(`${project.file("ops.kernel.ts")}?sinter/scaled.ts`)!;
    const before = node.lastInvalidationTimestamp + node.lastHMRTimestamp;
    project.write(name, text);
    watcher.emit("change", project.file(name));
    await expect.poll(() => node.lastInvalidationTimestamp + node.lastHMRTimestamp, { timeout: 5000 }).not.toBe(before);
  };
  const first = await all();
  await change("factor.ts", "export const factor = 7.25;\n");
  const second = await all();
  expect(second).not.toBe(first);
  await change("ops.kernel.ts", bad);
  await expect(codeOf("/ops.kernel.ts")).rejects.toMatchObject({
    id: project.file("ops.kernel.ts"),
    loc: { file: project.file("ops.kernel.ts"), line: 2 },
    frame: expect.stringContaining("2: export const scaled"),
    message: expect.stringMatching(/next: /),
  });
  await change("ops.kernel.ts", importing);
  expect(await all()).toBe(second);
});

test("a build that watches builds again when a kernel file changes", async () => {
  project = makeProject({ "app.ts": app, "ops.kernel.ts": kernels("2.5") });
  const rolldownOptions = { input: project.file("app.ts"), preserveEntrySignatures: "strict" as const };
  const outDir = project.file("out");
  const watcher = (await build(
    config({ build: { rolldownOptions, outDir, minify: false, watch: { buildDelay: 20 } } }),
  )) as Rolldown.RolldownWatcher;
  const built = (): Promise<string> =>
    new Promise((resolve, reject) => {
      const listen = (event: { readonly code: string; readonly error?: unknown }): void => {
        if (event.code === "ERROR") reject(event.error);
        if (event.code !== "END") return;
        watcher.off("event", listen as never);
        const [file] = globSync("out/assets/app-*.js", { cwd: project.root });
        resolve(readFileSync(project.file(file as string), "utf8"));
      };
      watcher.on("event", listen as never);
    });
  try {
    const first = await built();
    const next = built();
    project.write("ops.kernel.ts", kernels("7.25"));
    expect(await next).not.toBe(first);
  } finally {
    await watcher.close();
  }
});

test("files of that name that are none of Sinter's stay as they are", async () => {
  project = makeProject({
    "app.ts": `import { blur } from "./blur.kernel.ts";\nexport { blur };\n`,
    "blur.kernel.ts": `import { weights } from "./weights.ts";\nexport const blur = weights.map((x: number) => x / 16);\n`,
    "weights.ts": "export const weights = [1, 2, 1];\n",
  });
  expect((await bundle({ minify: false }))[0]!.code).toMatch(/weights\.map|\[\s*1,\s*2,\s*1\s*\]\.map/);
  const plugin: import("vite").Plugin = sinter();
  expect(plugin.name).toBe("sinter");
});
