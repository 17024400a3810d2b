import { readdirSync, readFileSync } from "node:fs";
import { builtinModules } from "node:module";
import { dirname, join, relative } from "node:path";
import { build } from "esbuild";
import { Project, SyntaxKind } from "ts-morph";
import { expect, test } from "vitest";
import { root, sinterFromSource } from "../scripts/bundle.mjs";

const src = join(root, "src");
const files = readdirSync(src, { recursive: true, encoding: "utf8" })
  .filter((f) => f.endsWith(".ts"))
  .map((f) => f.replaceAll("\\", "/"));

/** What each room of src/ may import besides itself. Files beside the rooms put the program together, from all but node. */
const floors: Readonly<Record<string, readonly string[]>> = {
  base: [],
  manifest: ["base"],
  ir: ["base"],
  frontend: ["base", "manifest", "ir"],
  passes: ["base", "manifest", "ir"],
  fuse: ["base", "manifest", "ir", "passes"],
  wgsl: ["base", "manifest", "ir", "passes", "fuse"],
  plan: ["base", "manifest", "ir", "passes", "fuse", "wgsl"],
  runtime: ["base", "manifest"],
  nn: ["base", "ir", "frontend"],
  node: ["base", "manifest", "runtime", "."],
  ".": ["base", "manifest", "ir", "frontend", "passes", "fuse", "wgsl", "plan", "runtime"],
};

const roomOf = (file: string): string => (file.includes("/") ? file.slice(0, file.indexOf("/")) : ".");

interface Import {
  readonly from: string;
  readonly specifier: string;
}

const imports: readonly Import[] = (() => {
  const project = new Project({ skipAddingFilesFromTsConfig: true, skipFileDependencyResolution: true });
  return files.flatMap((from) => {
    const source = project.addSourceFileAtPath(join(src, from));
    const static_ = [...source.getImportDeclarations(), ...source.getExportDeclarations()].flatMap(
      (d) => d.getModuleSpecifierValue() ?? [],
    );
    const dynamic = source
      .getDescendantsOfKind(SyntaxKind.CallExpression)
      .filter((c) => c.getExpression().getKind() === SyntaxKind.ImportKeyword)
      .map((c) => c.getArguments()[0]?.asKind(SyntaxKind.StringLiteral)?.getLiteralValue() ?? "(computed)");
    return [...static_, ...dynamic].map((specifier) => ({ from, specifier }));
  });
})();

test("there is something to check", () => {
  expect(files.length).toBeGreaterThan(50);
  expect(imports.length).toBeGreaterThan(200);
});

test("imports between the rooms of src/ go downwards", () => {
  const upward = imports.flatMap(({ from, specifier }) => {
    if (!specifier.startsWith(".")) return [];
    const target = relative(src, join(src, dirname(from), specifier)).replaceAll("\\", "/");
    const [a, b] = [roomOf(from), roomOf(target)];
    return a === b || floors[a]?.includes(b) ? [] : [`${from} imports ${target}`];
  });
  expect(upward).toEqual([]);
});

test("src/ imports nothing from npm, and from Node in src/node alone; Dawn is the one exception, there", () => {
  const outside = imports.filter(({ from, specifier }) => {
    if (specifier.startsWith(".")) return false;
    if (roomOf(from) !== "node") return true;
    return specifier !== "webgpu" && !(specifier.startsWith("node:") && builtinModules.includes(specifier.slice(5)));
  });
  expect(outside).toEqual([]);
});

test("src/ uses none of Node's globals outside src/node", () => {
  const used = files
    .filter((f) => roomOf(f) !== "node")
    .flatMap((f) => {
      const code = readFileSync(join(src, f), "utf8").replace(
        /\/\*[\s\S]*?\*\/|\/\/.*|"(?:\\.|[^"\\])*"|`(?:\\.|[^`\\])*`/g,
        "",
      );
      return /\b(?:Buffer\b|process\.|__dirname|require\()/.test(code) ? [f] : [];
    });
  expect(used).toEqual([]);
});

test("no text becomes code at run time", () => {
  const evaluated = files.filter((f) => /\beval\(|new Function\(/.test(readFileSync(join(src, f), "utf8")));
  expect(evaluated).toEqual([]);
});

test("no file is longer than 400 lines, no pass longer than 200", () => {
  const long = files.flatMap((f) => {
    const lines = readFileSync(join(src, f), "utf8").split("\n").length - 1;
    return lines > (roomOf(f) === "passes" ? 200 : 400) ? [`${f}: ${lines} lines`] : [];
  });
  expect(long).toEqual([]);
});

const bundled = async (entry: string): Promise<string[]> => {
  const { metafile } = await build({
    entryPoints: [join(src, entry)],
    bundle: true,
    write: false,
    metafile: true,
    format: "esm",
    platform: "browser",
    external: ["webgpu"],
    absWorkingDir: root,
    plugins: [sinterFromSource("browser")],
  });
  return Object.keys(metafile.inputs);
};

test("the runtime's entry brings no compiler with it", async () => {
  const rooms = new Set((await bundled("runtime/index.ts")).map((f) => f.split("/").slice(0, 2).join("/")));
  expect([...rooms].sort()).toEqual(["src/base", "src/manifest", "src/runtime"]);
});

test("what browsers import bundles without Node", async () => {
  const inputs = await bundled("index.ts");
  expect(inputs.filter((f) => !f.startsWith("src/") || f.startsWith("src/node/"))).toEqual([]);
});
