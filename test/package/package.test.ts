import { execFileSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { build } from "esbuild";
import { afterAll, beforeAll, expect, test } from "vitest";
import { root } from "../../scripts/bundle.mjs";

type Conditions = Readonly<Record<string, string>>;
const manifest = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as {
  exports: Readonly<Record<string, string | Conditions>>;
  dependencies?: object;
  files: readonly string[];
};
const entries = Object.entries(manifest.exports).flatMap(([name, to]) =>
  typeof to === "string" ? [] : [{ name, to }],
);

let app: string;
beforeAll(() => {
  // A consumer beside the repository, with the package as npm would lay it out.
  app = mkdtempSync(join(tmpdir(), "sinter-consumer-"));
  const installed = join(app, "node_modules/sinter");
  mkdirSync(installed, { recursive: true });
  execFileSync(process.execPath, [join(root, "scripts/build.mjs"), join(installed, "dist")], { stdio: "inherit" });
  cpSync(join(root, "package.json"), join(installed, "package.json"));
  for (const peer of ["webgpu", "@sparticuz/chromium"]) {
    mkdirSync(join(app, "node_modules", peer, ".."), { recursive: true });
    symlinkSync(join(root, "node_modules", peer), join(app, "node_modules", peer));
  }
  writeFileSync(join(app, "package.json"), '{ "type": "module" }');
}, 120_000);
afterAll(() => rmSync(app, { recursive: true, force: true }));

test("every export has its files, and there is no run-time dependency", () => {
  expect(manifest.dependencies).toBeUndefined();
  expect(entries.length).toBeGreaterThanOrEqual(4);
  const missing = entries.flatMap(({ to }) =>
    Object.values(to).filter((path) => !existsSync(join(app, "node_modules/sinter", path))),
  );
  expect(missing).toEqual([]);
});

const example = `
import { compile, f32, openDevice, softmax, SinterError } from "sinter";
import { loadManifest, type GpuTensor } from "sinter/runtime";
import * as nn from "sinter/nn";
import { expectKernels } from "sinter/testing";

const program = compile({ x: f32(2, 3) }, ({ x }) => softmax(x, { axis: -1 }));
expectKernels(program, 1);
const gpu = await openDevice();
const session = await program.load(gpu);
const out: GpuTensor = await session.run({ x: new Float32Array(6) });
const [first] = await out.data();
if (Math.abs((first as number) - 1 / 3) > 1e-6) throw new Error(String(first));
if (typeof loadManifest !== "function" || Object.keys(nn).length === 0) throw new Error("exports");
if (!(await session.run({ x: new Float32Array(5) }).catch((e: unknown) => e) instanceof SinterError)) throw new Error("no error");
gpu.dispose();
console.log("ran");
`;

test("a strict TypeScript consumer checks against it and runs in Node", async () => {
  writeFileSync(join(app, "app.ts"), example);
  const options = {
    target: "ES2022",
    module: "NodeNext",
    lib: ["ES2023", "DOM", "ESNext.Disposable"],
    types: [],
    strict: true,
    exactOptionalPropertyTypes: true,
    noUncheckedIndexedAccess: true,
    skipLibCheck: false,
    outDir: "out",
  };
  writeFileSync(join(app, "tsconfig.json"), JSON.stringify({ compilerOptions: options, files: ["app.ts"] }));
  execFileSync(process.execPath, [join(root, "node_modules/typescript/bin/tsc"), "-p", app], { stdio: "inherit" });
  const out = execFileSync(process.execPath, [join(app, "out/app.js")], { encoding: "utf8", cwd: app });
  expect(out).toBe("ran\n");
});

test("a browser bundle of the runtime is small and free of compiler and Node code", async () => {
  writeFileSync(
    join(app, "page.js"),
    'export { loadManifest, manifestFromJson, openDevice, warmup } from "sinter/runtime";',
  );
  const { outputFiles, metafile } = await build({
    entryPoints: [join(app, "page.js")],
    bundle: true,
    write: false,
    metafile: true,
    minify: true,
    format: "esm",
    platform: "browser",
    absWorkingDir: app,
  });
  const rooms = new Set(Object.keys(metafile.inputs).map((f) => /sinter\/dist\/([^/]+)\//.exec(f)?.[1] ?? f));
  expect([...rooms].sort()).toEqual(["base", "manifest", "page.js", "runtime"]);
  expect(outputFiles[0]!.contents.length).toBeLessThan(60_000);
});

test("importing from the main entry for browsers needs nothing from Node", async () => {
  writeFileSync(join(app, "whole.js"), 'export { compile, f32, openDevice } from "sinter";');
  const { metafile } = await build({
    entryPoints: [join(app, "whole.js")],
    bundle: true,
    write: false,
    metafile: true,
    format: "esm",
    platform: "browser",
    absWorkingDir: app,
  });
  expect(Object.keys(metafile.inputs).filter((f) => /dist\/node\//.test(f))).toEqual([]);
});
