import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { isBuiltin, SourceMap } from "node:module";
import { dirname, join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import type { BuildFailure, Message, Plugin } from "esbuild";
import { type Diagnostic, type Place, SinterError } from "../../src/base/diagnostic.ts";
import { filePath, parseFrame } from "../../src/frontend/place.ts";

export interface ImportOptions {
  readonly plugins?: readonly Plugin[];
  /** Stacks name the sources as long as the process lives, where Node follows source maps. */
  readonly places?: boolean;
}

export interface ImportedModule {
  readonly exports: Readonly<Record<string, unknown>>;
  /** Files that were bundled. */
  readonly inputs: readonly string[];
}

/**
 * Bundles a TypeScript module with what it imports from files, and imports the result. Packages stay outside and are found
 * from the module's folder. `defineConfig` is brought along, so that a config needs no installed package.
 * @param code of the error for what esbuild refuses or the module throws
 * @throws SinterError with the place in the source; errors of Sinter that the module throws as they are
 */
export async function importModule(
  file: string,
  code: string,
  { plugins = [], places = false }: ImportOptions = {},
): Promise<ImportedModule> {
  const esbuild = await import("esbuild");
  const folder = dirname(file);
  const built = await esbuild
    .build({
      entryPoints: [file],
      absWorkingDir: folder,
      bundle: true,
      write: false,
      metafile: true,
      format: "esm",
      platform: "node",
      target: "node20",
      packages: "external",
      sourcemap: "inline",
      sourcesContent: false,
      outfile: join(folder, "bundle.mjs"),
      logLevel: "silent",
      plugins: [...plugins, withDefineConfig],
    })
    .catch((e: BuildFailure) => {
      const [first] = e.errors ?? [];
      if (!first) throw e;
      throw new SinterError(bundlingError(code, file, folder, first, e.errors.length), { cause: e });
    });
  const text = built.outputFiles[0]?.text ?? "";
  const inputs = Object.keys(built.metafile.inputs)
    .filter((f) => !f.includes(":"))
    .map((f) => join(folder, f));
  const external = Object.values(built.metafile.outputs).flatMap((o) => o.imports.map((i) => i.path));
  const staged = places || !external.every((m) => isBuiltin(m)) ? stagedBeside(folder) : undefined;
  const url = staged
    ? pathToFileURL(staged).href
    : `data:text/javascript;base64,${Buffer.from(text).toString("base64")}`;
  try {
    if (staged) writeFileSync(staged, text);
    return { exports: (await import(url)) as Record<string, unknown>, inputs };
  } catch (e) {
    const sourceOf = placesIn(text, filePath(url), folder);
    if (e instanceof SinterError) throw new SinterError(replaced(e.diagnostic, sourceOf), { cause: e });
    throw new SinterError(thrownError(code, file, inputs, e, sourceOf), { cause: e });
  } finally {
    if (staged) rmSync(staged, { force: true });
  }
}

let imported = 0;

/** A bundle that imports packages has to lie where these are found from; and Node follows maps of files alone. */
const stagedBeside = (folder: string): string => join(folder, `.sinter-${process.pid}-${imported++}.mjs`);

type SourceOf = (place: Place) => Place;

/** Places in a bundle as places in its sources, where Node has not made them so; others as they are. */
function placesIn(bundle: string, name: string, folder: string): SourceOf {
  const inline = /\/\/# sourceMappingURL=data:application\/json;base64,(\S+)/.exec(bundle)?.[1];
  const map = inline === undefined ? undefined : new SourceMap(JSON.parse(Buffer.from(inline, "base64").toString()));
  return (place) => {
    if (place.file !== name || !map) return place;
    const entry = map.findEntry(place.line - 1, place.column - 1);
    if (!("originalSource" in entry)) return place;
    return {
      file: resolve(folder, entry.originalSource),
      line: entry.originalLine + 1,
      column: entry.originalColumn + 1,
    };
  };
}

const replaced = (d: Diagnostic, sourceOf: SourceOf): Diagnostic => (d.place ? { ...d, place: sourceOf(d.place) } : d);

const withDefineConfig: Plugin = {
  name: "sinter-define-config",
  setup(b) {
    b.onResolve({ filter: /^sinter\/build$/ }, () => ({ path: "sinter/build", namespace: "sinter-config" }));
    b.onLoad({ filter: /.*/, namespace: "sinter-config" }, () => ({
      contents: "export const defineConfig = (config) => config;",
    }));
  },
};

function bundlingError(code: string, file: string, folder: string, m: Message, count: number): Diagnostic {
  const at = m.location;
  return {
    code,
    message: m.text.charAt(0).toLowerCase() + m.text.slice(1),
    place: at ? { file: join(folder, at.file), line: at.line, column: at.column + 1 } : { file, line: 1, column: 1 },
    ...(m.notes[0] ? { cause: m.notes[0].text } : {}),
    hint: at?.suggestion
      ? `write ${at.suggestion}`
      : count > 1
        ? `this is the first of ${count} errors`
        : "correct this line",
  };
}

function thrownError(
  code: string,
  file: string,
  inputs: readonly string[],
  e: unknown,
  sourceOf: SourceOf,
): Diagnostic {
  const thrown = e instanceof Error ? e : new Error(String(e));
  const places = (thrown.stack ?? "").split("\n").flatMap((l) => parseFrame(l) ?? []);
  const own = places.map(sourceOf).find((p) => inputs.includes(p.file));
  const missing = /^Cannot find (?:package|module) '([^']+)'/.exec(thrown.message);
  if (missing) {
    const name = missing[1] as string;
    return {
      code,
      message: `there is no package ${JSON.stringify(name)}`,
      place: importPlace(name, inputs) ?? { file, line: 1, column: 1 },
      hint: `npm install ${name}`,
    };
  }
  return {
    code,
    message: `importing it failed: ${thrown.message}`,
    place: own ?? { file, line: 1, column: 1 },
    cause: `it threw ${thrown.name === "Error" ? "an Error" : `a ${thrown.name}`}`,
    hint: "a module that is read at build time must be importable without a device or a page",
  };
}

/** Where a package is imported. */
function importPlace(name: string, inputs: readonly string[]): Place | undefined {
  for (const file of inputs) {
    const before = readFileSync(file, "utf8").split(new RegExp(`(?=["']${name.replace(/\W/g, "\\$&")}["'/])`), 2);
    if (before.length < 2) continue;
    const lines = (before[0] as string).split("\n");
    return { file, line: lines.length, column: (lines.at(-1) as string).length + 1 };
  }
  return undefined;
}
