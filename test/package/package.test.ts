import { execFileSync, spawnSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { build } from "esbuild";
import { publint } from "publint";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { entries, expandedEntries, root } from "../../scripts/exports.mjs";
import { install, link, pack } from "./packed.ts";

const manifest = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as {
  readonly exports: Readonly<Record<string, unknown>>;
  readonly bin: { readonly sinter: string };
  readonly dependencies: Readonly<Record<string, string>>;
};

const work = mkdtempSync(join(tmpdir(), "sinter-package-"));
/** A consumer without the packages that the build tools need, and one that has them. */
const bare = join(work, "bare");
const app = join(work, "app");
let tarball: string;
let installed: string;

beforeAll(() => {
  tarball = pack(work);
  install(tarball, bare);
  installed = install(tarball, app);
  link(app, [...Object.keys(manifest.dependencies), "webgpu", "@sparticuz/chromium"]);
  for (const folder of [bare, app])
    writeFileSync(join(folder, "package.json"), '{ "type": "module", "private": true }\n');
  cpSync(join(root, "test/package/consumer"), app, { recursive: true });
}, 180_000);
afterAll(() => rmSync(work, { recursive: true, force: true }));

const node = (cwd: string, ...args: string[]): string =>
  execFileSync(process.execPath, args, {
    cwd,
    encoding: "utf8",
    env: { ...process.env, NO_COLOR: "1" },
    stdio: ["ignore", "pipe", "pipe"],
  });

const tools = ["sinter/build", "sinter/esbuild", "sinter/vite"];

describe("the tarball", () => {
  test("holds what is built, its documentation, and nothing else", () => {
    expect(readdirSync(installed).sort()).toEqual(["LICENSE", "README.md", "dist", "docs", "package.json"]);
    expect(readdirSync(join(installed, "dist")).sort()).toEqual(["codegen", "kernels", "src"]);
    const files = readdirSync(join(installed, "dist"), { recursive: true, encoding: "utf8" });
    expect(files.filter((f) => /\.kernel\.|\.test\.|(?<!\.d)\.ts$/.test(f))).toEqual([]);
  });

  test("has the files of every export", () => {
    const paths = (value: unknown): string[] =>
      typeof value === "string" ? [value] : Object.values(value as object).flatMap(paths);
    const missing = Object.values(manifest.exports)
      .flatMap(paths)
      .filter((p) => !p.includes("*") && !existsSync(join(installed, p)));
    expect(missing).toEqual([]);
    expect(Object.keys(manifest.exports).sort()).toEqual(
      [...entries.map((e) => e.path.replace("sinter", ".")), "./package.json"].sort(),
    );
  });

  test("names its types first, as TypeScript asks", () => {
    const unordered = Object.entries(manifest.exports).filter(([, value]) => {
      const check = (v: unknown): boolean =>
        typeof v === "object" && v !== null
          ? "types" in v
            ? Object.keys(v)[0] === "types"
            : Object.values(v).every(check)
          : false;
      return typeof value !== "string" && !check(value);
    });
    expect(unordered).toEqual([]);
  });

  test("passes publint", async () => {
    const { messages } = await publint({ pkgDir: installed, pack: false, strict: true });
    expect(messages.map((m) => `${m.type} ${m.code} at ${m.path.join(".")}`)).toEqual([]);
  });

  test("passes attw: TypeScript finds every entry as Node and bundlers do", () => {
    const attw = join(root, "node_modules/@arethetypeswrong/cli/dist/index.js");
    const args = [tarball, "--profile", "esm-only", "--include-entrypoints", "kernels/softmax", "--no-color"];
    const { status, stdout, stderr } = spawnSync(process.execPath, [attw, ...args], { encoding: "utf8" });
    expect(status, `${stdout}${stderr}`).toBe(0);
    for (const { path } of entries.filter((e) => !e.path.includes("*"))) expect(stdout).toContain(`"${path}"`);
  });
});

describe("what an import brings along", () => {
  const bundle = (entry: string, platform: "browser" | "node") =>
    build({
      stdin: { contents: `export * from ${JSON.stringify(entry)};`, resolveDir: bare },
      bundle: true,
      write: false,
      metafile: true,
      minify: true,
      format: "esm",
      platform,
      absWorkingDir: bare,
      external: platform === "node" ? ["webgpu"] : [],
      logLevel: "silent",
    });
  const inputsOf = async (entry: string, platform: "browser" | "node"): Promise<string[]> =>
    Object.keys((await bundle(entry, platform)).metafile.inputs).filter((f) => f !== "<stdin>");

  const plain = expandedEntries().filter((e) => !tools.includes(e.path));
  const inPackage = (inputs: readonly string[]): void => {
    expect(inputs.length).toBeGreaterThan(0);
    expect(inputs.filter((f) => !/^node_modules\/sinter\/dist\/(?!codegen\/)/.test(f))).toEqual([]);
  };

  test.each(plain.map((e) => e.path).filter((e) => !e.startsWith("sinter/kernels/")))(
    "%s reaches no package from npm, nor the build tools",
    async (entry) => inPackage(await inputsOf(entry, "node")),
  );

  test("nor does a kernel of the library", async () => {
    const kernels = plain.filter((e) => e.path.startsWith("sinter/kernels/"));
    expect(kernels.length).toBeGreaterThan(0);
    for (const { path } of kernels) inPackage(await inputsOf(path, "browser"));
  });

  test.each(["sinter", "sinter/runtime", "sinter/nn", "sinter/kernels", "sinter/testing"])(
    "%s bundles for pages, without Node",
    async (entry) => {
      const inputs = await inputsOf(entry, "browser");
      expect(inputs.filter((f) => f.startsWith("node_modules/sinter/dist/src/node/"))).toEqual([]);
    },
  );

  test("all of it imports in Node without the packages of the build tools", () => {
    const imports = plain.map((e) => `await import(${JSON.stringify(e.path)});`).join("\n");
    writeFileSync(join(bare, "all.js"), `${imports}\nconsole.log("ran");\n`);
    expect(node(bare, "all.js")).toBe("ran\n");
  });

  test.each([
    ["sinter", "SinterError", /\/src\/base\//],
    ["sinter/node", "openFile", /\/src\/(?:base|node)\//],
    ["sinter/kernels", "softmax", /\/kernels\/generated\/softmax\./],
  ])("of %s a bundle keeps what it uses: %s", async (entry, name, kept) => {
    const { metafile } = await build({
      stdin: { contents: `export { ${name} } from ${JSON.stringify(entry)};`, resolveDir: bare },
      bundle: true,
      write: false,
      metafile: true,
      format: "esm",
      platform: "node",
      absWorkingDir: bare,
    });
    const inputs = Object.entries(metafile.outputs["stdin.js"]?.inputs ?? {}).filter(([, i]) => i.bytesInOutput > 0);
    expect(inputs.length).toBeGreaterThan(0);
    expect(inputs.map(([f]) => f).filter((f) => !kept.test(f))).toEqual([]);
  });
});

describe("a consumer in TypeScript", () => {
  const sinter = (...args: string[]): string => node(app, join(installed, manifest.bin.sinter), ...args);
  const tsc = (project: string): string => node(app, join(root, "node_modules/typescript/bin/tsc"), "-p", project);

  test("builds its kernels with the command, which finds them up to date then", () => {
    expect(readFileSync(join(installed, manifest.bin.sinter), "utf8")).toMatch(/^#!\/usr\/bin\/env node\n/);
    sinter("build");
    expect(readdirSync(join(app, "generated"))).toEqual(
      expect.arrayContaining(["manifest.json", "negated.ts", "scaledSoftmax.ts", "squash.ts"]),
    );
    sinter("check");
  }, 120_000);

  test("checks strictly, declarations of the package included, as Node and as bundlers resolve", () => {
    tsc(".");
    tsc("tsconfig.page.json");
  }, 120_000);

  test.each(["program", "kernels", "bundle"])("%s.ts runs", (name) => {
    expect(node(app, join(app, `out/${name}.js`))).toBe("ran\n");
  });

  test("bundles a page with a kernel of its own", async () => {
    const { sinter: plugin } = (await import(join(installed, "dist/codegen/esbuild.js"))) as {
      sinter: () => import("esbuild").Plugin;
    };
    mkdirSync(join(app, "page"), { recursive: true });
    const contents = 'import { scaledSoftmax } from "../scale.kernel.ts";\nglobalThis.kernel = scaledSoftmax;\n';
    const { outputFiles, metafile } = await build({
      stdin: { contents, resolveDir: join(app, "page"), sourcefile: "page.ts", loader: "ts" },
      bundle: true,
      write: false,
      metafile: true,
      minify: true,
      format: "esm",
      absWorkingDir: app,
      plugins: [plugin()],
    });
    expect(Object.keys(metafile.inputs).filter((f) => /dist\/(?:codegen|src)\//.test(f))).toEqual([]);
    expect(outputFiles[0]?.text).toContain("@compute");
  }, 60_000);
});
