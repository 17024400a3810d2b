import { readdirSync, readFileSync } from "node:fs";
import { builtinModules } from "node:module";
import { dirname, join, relative } from "node:path";
import { build } from "esbuild";
import ts from "typescript";
import { expect, test } from "vitest";
import { root, sinterFromSource } from "../scripts/bundle.mjs";

const src = join(root, "src");
const filesOf = (folder: string): string[] =>
  readdirSync(join(root, folder), { recursive: true, encoding: "utf8" })
    .filter((f) => f.endsWith(".ts"))
    .map((f) => f.replaceAll("\\", "/"))
    .sort();
const files = filesOf("src");
const codegen = filesOf("codegen");
const kernels = filesOf("kernels");
const generated = (file: string): boolean => file.split("/").includes("generated");

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
  tune: ["base", "manifest", "ir", "passes", "fuse", "wgsl", "plan", "runtime"],
  nn: ["base", "ir", "frontend"],
  node: ["base", "manifest", "runtime", "."],
  ".": ["base", "manifest", "ir", "frontend", "passes", "fuse", "wgsl", "plan", "runtime", "tune"],
};

const roomOf = (file: string): string => (file.includes("/") ? file.slice(0, file.indexOf("/")) : ".");

interface Import {
  readonly from: string;
  readonly specifier: string;
  /** Of types alone: nothing is left of it at run time. */
  readonly typeOnly: boolean;
}

/** What `import()` in it is called with. */
function importedLater(node: ts.Node): string[] {
  const found: string[] = [];
  const visit = (n: ts.Node): void => {
    if (ts.isCallExpression(n) && n.expression.kind === ts.SyntaxKind.ImportKeyword) {
      const [what] = n.arguments;
      found.push(what && ts.isStringLiteral(what) ? what.text : "(computed)");
    }
    ts.forEachChild(n, visit);
  };
  visit(node);
  return found;
}

function importsOf(folder: string, list: readonly string[]): Import[] {
  return list.flatMap((from) => {
    const text = readFileSync(join(root, folder, from), "utf8");
    const source = ts.createSourceFile(from, text, ts.ScriptTarget.ES2022);
    const static_ = source.statements.flatMap((d) => {
      const isImport = ts.isImportDeclaration(d);
      if (!isImport && !ts.isExportDeclaration(d)) return [];
      const typeOnly = isImport ? d.importClause?.phaseModifier === ts.SyntaxKind.TypeKeyword : d.isTypeOnly;
      return d.moduleSpecifier ? [{ specifier: (d.moduleSpecifier as ts.StringLiteral).text, typeOnly }] : [];
    });
    const dynamic = /\bimport\s*\(/.test(text)
      ? importedLater(source).map((specifier) => ({ specifier, typeOnly: false }))
      : [];
    return [...static_, ...dynamic].map((i) => ({ from, ...i }));
  });
}

const imports = importsOf("src", files);

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
  const all = [
    ...files.map((f) => `src/${f}`),
    ...codegen.map((f) => `codegen/${f}`),
    ...kernels.filter((f) => !generated(f)).map((f) => `kernels/${f}`),
  ];
  const long = all.flatMap((f) => {
    const lines = readFileSync(join(root, f), "utf8").split("\n").length - 1;
    return lines > (f.startsWith("src/passes/") ? 200 : 400) ? [`${f}: ${lines} lines`] : [];
  });
  expect(long).toEqual([]);
});

/** The package of an import that is neither relative nor Node's. */
const packageOf = (specifier: string): string =>
  specifier
    .split("/")
    .slice(0, specifier.startsWith("@") ? 2 : 1)
    .join("/");

test("codegen/ imports src/, Node, and packages that are installed with this one", () => {
  const { dependencies = {} } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as {
    dependencies?: object;
  };
  const used = new Set<string>();
  const wrong = importsOf("codegen", codegen).flatMap(({ from, specifier, typeOnly }) => {
    if (specifier === "(computed)") return [];
    if (specifier.startsWith(".")) {
      const target = relative(root, join(root, "codegen", dirname(from), specifier)).replaceAll("\\", "/");
      return /^(?:codegen|src)\//.test(target) ? [] : [`${from} imports ${target}`];
    }
    if (specifier.startsWith("node:") && builtinModules.includes(specifier.slice(5))) return [];
    if (!typeOnly) used.add(packageOf(specifier));
    return Object.hasOwn(dependencies, packageOf(specifier)) ? [] : [`${from} imports ${specifier}`];
  });
  expect(wrong).toEqual([]);
  expect(Object.keys(dependencies).filter((name) => !used.has(name))).toEqual([]);
});

test("kernels/ imports the package alone, and generated kernels only types of it", () => {
  const wrong = importsOf("kernels", kernels).flatMap(({ from, specifier, typeOnly }) => {
    if (specifier.startsWith(".")) {
      return relative("kernels", join("kernels", dirname(from), specifier)).startsWith("..")
        ? [`${from} imports ${specifier}`]
        : [];
    }
    const allowed = generated(from) ? specifier === "sinter/runtime" && typeOnly : /^sinter(?:\/nn)?$/.test(specifier);
    return allowed ? [] : [`${from} imports ${specifier}`];
  });
  expect(wrong).toEqual([]);
});

/** The files that a bundle of everything an entry exports is made of. */
const bundled = async (entry: string, platform: "browser" | "node" = "browser"): Promise<string[]> => {
  const { metafile } = await build({
    stdin: { contents: `export * from ${JSON.stringify(entry)};`, resolveDir: root },
    bundle: true,
    write: false,
    metafile: true,
    format: "esm",
    platform,
    external: ["webgpu"],
    absWorkingDir: root,
    plugins: [sinterFromSource(platform)],
  });
  return Object.keys(metafile.inputs).filter((f) => f !== "<stdin>");
};

test("the runtime's entry brings no compiler with it", async () => {
  const rooms = new Set((await bundled("sinter/runtime")).map((f) => f.split("/").slice(0, 2).join("/")));
  expect([...rooms].sort()).toEqual(["src/base", "src/manifest", "src/runtime"]);
});

test("the kernel library is every generated kernel, and brings nothing else along", async () => {
  const modules = kernels.filter((f) => generated(f)).map((f) => `kernels/${f}`);
  expect(modules.length).toBeGreaterThan(20);
  expect((await bundled("sinter/kernels")).sort()).toEqual(["kernels/index.ts", ...modules].sort());
});

test.each(["sinter", "sinter/nn", "sinter/testing"])("%s bundles for pages without Node", async (entry) => {
  const inputs = await bundled(entry);
  expect(inputs.filter((f) => !f.startsWith("src/") || f.startsWith("src/node/"))).toEqual([]);
});

/** What a file of codegen/ loads at once: files, and packages. Dynamic imports come later. */
async function loadedAtOnce(entry: string): Promise<{ readonly files: string[]; readonly packages: string[] }> {
  const { metafile } = await build({
    entryPoints: [entry],
    bundle: true,
    splitting: true,
    write: false,
    metafile: true,
    format: "esm",
    platform: "node",
    packages: "external",
    outdir: "out",
    absWorkingDir: root,
    plugins: [sinterFromSource("node")],
  });
  const seen = new Set(Object.keys(metafile.outputs).filter((name) => metafile.outputs[name]?.entryPoint === entry));
  const packages = new Set<string>();
  for (const name of seen) {
    for (const { path, kind, external } of metafile.outputs[name]?.imports ?? []) {
      if (kind !== "import-statement") continue;
      if (!external) seen.add(path);
      else if (!path.startsWith("node:")) packages.add(packageOf(path));
    }
  }
  const files = [...seen].flatMap((name) => Object.keys(metafile.outputs[name]?.inputs ?? {}));
  return { files: files.sort(), packages: [...packages].sort() };
}

test("the command line's help loads no compiler, and no package but what help needs", async () => {
  const { files, packages } = await loadedAtOnce("codegen/cli/run.ts");
  expect(packages).toEqual(["commander", "picocolors"]);
  expect(files.filter((f) => !/^(?:codegen\/cli|src\/base)\//.test(f))).toEqual([]);
});

test.each(["esbuild", "vite"])(
  "the plugin for %s loads the compiler and its packages when a kernel is imported",
  async (name) => {
    const { files, packages } = await loadedAtOnce(`codegen/${name}.ts`);
    expect(packages).toEqual([]);
    expect(files.filter((f) => !/^(?:codegen\/(?:plugin\/|esbuild|vite)|src\/base\/)/.test(f))).toEqual([]);
  },
);
