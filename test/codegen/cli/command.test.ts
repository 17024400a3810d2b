import { existsSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from "vitest";
import { templates } from "../../../codegen/cli/templates.ts";
import { root } from "../../../scripts/bundle.mjs";
import { bundleCommand, type Command, type Ended, folderOf, kernelFile, run, start, write } from "./command.ts";

let command: Command;
beforeAll(async () => {
  command = await bundleCommand();
});
afterAll(() => command.remove());

let folder = "";
const sinter = (...args: string[]): Promise<Ended> => run(command, args, folder);
afterEach(() => folder && rmSync(folder, { recursive: true, force: true }));

// biome-ignore lint/suspicious/noControlCharactersInRegex: escape sequences begin with one
const escapes = /\x1b/;

test("help and mistakes load neither compiler nor bundler", () => {
  const { outputs } = command.metafile;
  const entry = Object.keys(outputs).find((o) => outputs[o]?.entryPoint === "codegen/cli/main.ts") as string;
  const seen = new Set<string>();
  const packages = new Set<string>();
  const visit = (file: string, how: string): void => {
    // main.ts itself imports the rest when it has switched source maps on.
    if (seen.has(file) || (how === "dynamic-import" && file !== run_)) return;
    seen.add(file);
    for (const i of outputs[file]?.imports ?? []) {
      if (i.external) packages.add(i.path);
      else visit(i.path, i.kind);
    }
  };
  const run_ = Object.keys(outputs).find((o) => outputs[o]?.entryPoint === "codegen/cli/run.ts");
  visit(entry, "entry-point");
  expect([...packages].filter((p) => !p.startsWith("node:")).sort()).toEqual(["commander", "picocolors"]);
  const sources = [...seen].flatMap((f) => Object.keys(outputs[f]?.inputs ?? {}));
  expect(sources.filter((s) => !/^codegen\/cli\/|^src\/base\//.test(s))).toEqual([]);
});

describe("streams and exit codes", () => {
  test("a mistake on the command line: 2, nothing on stdout, and what is nearest", async () => {
    folder = folderOf({});
    expect(await sinter("biuld")).toEqual({
      code: 2,
      stdout: "",
      stderr: 'error[bad-usage]: unknown command "biuld"\n  help: did you mean build?\n',
    });
  });

  test("colours follow --color, then the environment; both streams", async () => {
    folder = folderOf({});
    expect((await run(command, ["explain", "shape-mismatch"], folder, { FORCE_COLOR: "1" })).stdout).toMatch(escapes);
    const both = { FORCE_COLOR: "1", NO_COLOR: "1" };
    expect((await run(command, ["explain", "nothing-such"], folder, both)).stderr).not.toMatch(escapes);
    expect((await sinter("biuld", "--color=always")).stderr).toMatch(escapes);
  });
});

describe("explain", () => {
  test("an error code, as text and as JSON; a misspelt one finds its neighbour", async () => {
    folder = folderOf({});
    const { code, stdout, stderr } = await sinter("explain", "shape-mismatch");
    expect([code, stderr]).toEqual([0, ""]);
    expect(stdout).toMatch(/^shape-mismatch: shapes that do not broadcast.*\n\n[\s\S]*refused:\n\n {4}compile\(/);
    const json = JSON.parse((await sinter("explain", "shape-mismatch", "--json")).stdout) as object;
    expect(Object.keys(json)).toEqual(["code", "summary", "text", "wrong", "right"]);
    const wrong = await sinter("explain", "shape-mismach");
    expect(wrong).toMatchObject({
      code: 2,
      stdout: "",
      stderr: expect.stringContaining("did you mean shape-mismatch?"),
    });
  });

  test("a kernel: fusion, bytes against the floor, variants, WGSL; its exports by name", async () => {
    folder = folderOf({ "k/twice.kernel.ts": kernelFile });
    const { code, stdout, stderr } = await sinter(
      "explain",
      "k/twice.kernel.ts#twice",
      "--wgsl",
      "--dims",
      "n=64",
      "-q",
    );
    expect([code, stderr]).toEqual([0, ""]);
    expect(stdout).toContain("twice: kernel, f32, profile base at n = 64\n512 B moved, 1.00 × the floor of 512 B\n");
    expect(stdout).toMatch(/aligned: n a multiple of 4.*\n.*\n.*ceil\(n \/ 256\) workgroups of 64; 2 bindings/);
    expect(stdout).toMatch(/any: all sizes[\s\S]*fn main/);
    const near = await sinter("explain", "k/twice.kernel.ts#twcie", "--json");
    expect([near.code, near.stderr]).toEqual([2, ""]);
    expect(JSON.parse(near.stdout)).toMatchObject({
      diagnostics: [{ code: "unknown-export", help: "did you mean twice?" }],
    });
  });

  test("a program, with its memory drawn; a module that throws is shown at its place", async () => {
    const program = [
      'import { compile, dim, f32 } from "sinter";',
      "setInterval(() => undefined, 1000);",
      'export const step = compile({ x: f32(dim("T"), 8) }, ({ x }) => x.softmax());',
    ];
    folder = folderOf({
      "step.ts": program.join("\n"),
      "several.ts": [...program.toSpliced(1, 1), kernelFile.replace("defineKernel, dim", "defineKernel")].join("\n"),
      "broken.ts":
        'import { compile, f32 } from "sinter";\n\nexport const p = compile({ x: f32(2), y: f32(3) }, ({ x, y }) =>\n  x.add(y));\n',
    });
    const made = await sinter("explain", "step.ts", "--dims", "T=32", "--json", "--memory", "memory.svg");
    expect([made.code, made.stderr]).toEqual([0, ""]);
    expect(JSON.parse(made.stdout)).toMatchObject([
      { name: "step", kind: "program", dims: { T: 32 }, traffic: { moved: 2048, floor: 2048 }, totals: { kernels: 1 } },
    ]);
    expect(JSON.parse(made.stdout)[0].kernels[0].place).toBe(`${join(folder, "step.ts")}:3`);
    expect(readFileSync(join(folder, "memory.svg"), "utf8")).toMatch(/^<svg/);
    const several = await sinter("explain", "several.ts", "--dims", "T=4,Q=4");
    expect([several.code, several.stdout]).toEqual([1, ""]);
    expect(several.stderr).toMatch(
      /^error\[unknown-dim\]: no kernel or program here has a dim "Q"[\s\S]*did you mean "T"/,
    );
    expect((await sinter("explain", "several.ts", "--dims", "T=4,n=8")).code).toBe(0);
    const broken = await sinter("explain", "broken.ts");
    expect(broken.code).toBe(1);
    expect(broken.stderr).toMatch(/^error\[shape-mismatch\]: .*\n {2}--> broken\.ts:4:5\n[\s\S]*> 4 \| {3}x\.add\(y\)/);
    expect(readdirSync(folder).sort()).toEqual(["broken.ts", "memory.svg", "several.ts", "step.ts"]);
  });

  test.each([
    [["explain", "gone.ts#x"], "gone.ts is no file"],
    [["explain", "k"], "name a file in it: k/twice.kernel.ts#EXPORT"],
    [["explain", "./k#twice"], "name a file in it: k/twice.kernel.ts#twice"],
    [["explain", "k.kernel.ts", "--dims", "n:3"], '--dims has "n:3"'],
    [["explain", "k.kernel.ts", "--profile", "h2000"], "did you mean h200?"],
    [["explain", "k.kernel.ts", "--dtype", "f64"], "choose f32 or f16"],
    [["explain", "empty.ts"], "exports neither kernels nor programs"],
  ])("%j is a mistake on the command line", async (args, message) => {
    folder = folderOf({
      "k.kernel.ts": kernelFile,
      "k/twice.kernel.ts": kernelFile,
      "empty.ts": "export const x = 1;",
    });
    expect(await sinter(...args)).toMatchObject({ code: 2, stdout: "", stderr: expect.stringContaining(message) });
  });
});

describe("build and check", () => {
  test("write, list, compare; a broken file changes nothing", async () => {
    folder = folderOf({ "twice.kernel.ts": kernelFile, "sinter.config.ts": 'export default { outDir: "out" };' });
    const built = await sinter("build");
    expect(built.code).toBe(0);
    expect(built.stdout).toContain("written  out/twice.ts\n");
    expect(built.stderr).toMatch(
      /1 kernel of 1 file \(1 compiled, 0 unchanged\); generated files: \d+ written; [\d.]+ m?s\n$/,
    );
    expect(await sinter("check", "--quiet")).toEqual({ code: 0, stdout: "", stderr: "" });
    expect(await sinter("check", ".", "--quiet")).toEqual({ code: 0, stdout: "", stderr: "" });

    const module = readFileSync(join(folder, "out/twice.ts"), "utf8");
    write(folder, "out/twice.ts", `${module}\n`);
    const stale = await sinter("check", "--json");
    expect([stale.code, stale.stderr]).toEqual([1, ""]);
    const { ok, files } = JSON.parse(stale.stdout) as { ok: boolean; files: { path: string; status: string }[] };
    expect([ok, files.filter((f) => f.status !== "unchanged")]).toEqual([
      false,
      [expect.objectContaining({ path: "out/twice.ts", status: "stale" })],
    ]);
    expect((await sinter("build")).stdout).toBe("written  out/twice.ts\n");

    write(folder, "twice.kernel.ts", kernelFile.replace("x.mul(2)", "x.mul("));
    const broken = await sinter("build");
    expect([broken.code, broken.stdout]).toEqual([1, ""]);
    expect(broken.stderr).toMatch(/^error\[[a-z-]+\]: .*\n {2}--> twice\.kernel\.ts:\d+:\d+\n[\s\S]*> +\d+ \|/m);
    expect(readFileSync(join(folder, "out/twice.ts"), "utf8")).toBe(module);
  });

  test("a broken config and globs that match nothing are errors", async () => {
    folder = folderOf({ "sinter.config.ts": "export default {\n  outdir: 'x',\n};" });
    const config = await sinter("build", "--json");
    expect([config.code, config.stderr]).toEqual([1, ""]);
    expect(JSON.parse(config.stdout)).toMatchObject({
      ok: false,
      diagnostics: [
        {
          code: "unknown-option",
          file: join(folder, "sinter.config.ts"),
          line: 2,
          column: 3,
          help: 'did you mean "outDir"?',
        },
      ],
    });
    rmSync(join(folder, "sinter.config.ts"));
    expect(await sinter("build", "gone/*")).toMatchObject({ code: 1, stderr: expect.stringContaining("gone/*") });
  });
});

test("a module that never finishes is an error, not silence", async () => {
  folder = folderOf({ "sinter.config.mjs": "await new Promise(() => {});\nexport default {};" });
  expect(await sinter("build")).toMatchObject({ code: 1, stderr: expect.stringContaining("never comes") });
});

test("watch builds again after changes, survives broken files and configs, and ends with 130", async () => {
  folder = folderOf({ "twice.kernel.ts": kernelFile });
  const file = (name: string): string | undefined =>
    existsSync(join(folder, name)) ? readFileSync(join(folder, name), "utf8") : undefined;
  const module = (): string | undefined => file("generated/twice.ts");
  const until = (check: () => void): Promise<void> => vi.waitFor(check, { timeout: 20_000, interval: 50 });
  const watching = start(command, ["watch"], folder);
  await watching.seen(/waiting/);
  const first = module() as string;
  write(folder, "twice.kernel.ts", kernelFile.replace("mul(2)", "mul(3)"));
  await until(() => expect(module()).not.toBe(first));
  write(folder, "twice.kernel.ts", "export const = ;");
  const broken = await watching.seen(/error\[[\s\S]*waiting/);
  expect(module()).not.toBe(first);
  write(folder, "twice.kernel.ts", kernelFile);
  await until(() => expect(module()).toBe(first));
  write(folder, "deeper/half.kernel.ts", kernelFile.replaceAll("twice", "half"));
  await until(() => expect(file("deeper/generated/half.ts")).toContain("half"));
  write(folder, "sinter.config.ts", "export default { outDir: 1 }");
  await watching.seen(/error\[bad-option[\s\S]*waiting/, broken);
  write(folder, "sinter.config.ts", 'export default { outDir: "out" }');
  await until(() => expect(file("out/twice.ts")).toBe(first));
  watching.process.kill("SIGINT");
  const { code, stdout } = await watching.ended;
  expect(code).toBe(130);
  expect(stdout).toContain("written  deeper/generated/half.ts");
}, 60_000);

describe("init", () => {
  test("writes what builds as it is, keeps what is there, and says what it did", async () => {
    folder = folderOf({ "package.json": '{\n\t"name": "app",\n\t"scripts": { "kernels": "own" }\n}\n' });
    const files = Object.keys(templates);
    const first = await sinter("init");
    expect(first.code).toBe(0);
    expect(first.stdout).toBe(
      [...files, "package.json (scripts kernels, kernels:check)"].map((f) => `wrote      ${f}\n`).join(""),
    );
    const manifest = readFileSync(join(folder, "package.json"), "utf8");
    expect(manifest).toBe(
      '{\n\t"name": "app",\n\t"scripts": {\n\t\t"kernels": "own",\n\t\t"kernels:check": "sinter check"\n\t}\n}\n',
    );
    expect((await sinter("build", "-q")).code).toBe(0);
    expect(existsSync(join(folder, "kernels/generated/scaledSoftplus.ts"))).toBe(true);

    write(folder, files[0] as string, "// mine\n");
    const again = await sinter("init", "--json");
    expect(JSON.parse(again.stdout)).toEqual([
      ...files.map((file) => ({ action: "kept", file })),
      { action: "kept", file: "package.json", about: expect.any(String) },
    ]);
    expect(readFileSync(join(folder, files[0] as string), "utf8")).toBe("// mine\n");
    expect((await sinter("init", "--force")).stdout).toContain(`overwrote  ${files[0]}`);
    expect(readFileSync(join(folder, files[0] as string), "utf8")).toBe(templates[files[0] as string]);
  });
});

test("doctor names what is there, on stdout, and ends with 0 where building works", async () => {
  folder = folderOf({});
  const { code, stdout } = await sinter("doctor", "--json");
  expect(code).toBe(0);
  const { ok, node, checks, adapters } = JSON.parse(stdout);
  expect([ok, node]).toEqual([true, process.versions.node]);
  expect(checks.map((c: { name: string }) => c.name)).toEqual(["node", "packages", "webgpu", "config", "adapter"]);
  const named = (name: string) => adapters.find((a: { name: string }) => a.name === name);
  expect(named("swiftshader")).toMatchObject({
    available: true,
    software: true,
    variants: expect.arrayContaining(["f32"]),
  });
  for (const a of adapters) expect(a).toHaveProperty(a.available ? "limits" : "reason");
});

test("the example of init passes its own test", async () => {
  folder = folderOf({});
  const here = join(root, ".cache", `init-${process.pid}`);
  for (const [name, text] of Object.entries(templates)) write(here, name, text);
  try {
    const { softplus } = (await import(join(here, "kernels/softplus.kernel.ts"))) as { softplus(x: number): number };
    for (const x of [-20, -1, 0, 1, 20]) expect(softplus(x)).toBeCloseTo(Math.log(1 + Math.exp(x)), 12);
    expect([softplus(1000), softplus(-1000)]).toEqual([1000, 0]);
  } finally {
    rmSync(here, { recursive: true, force: true });
  }
});
