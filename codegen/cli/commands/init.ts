import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fail } from "../../../src/base/diagnostic.ts";
import { type CommandModule, exit } from "../context.ts";
import { scripts, templates } from "../templates.ts";

type Action = "wrote" | "kept" | "overwrote";

/** Writes what a project needs to start. What exists is kept, unless force is used. */
export const run: CommandModule["run"] = async ({ terminal, cwd, options }) => {
  const force = options.force === true;
  const done: { readonly action: Action; readonly file: string; readonly about?: string }[] = [];
  for (const [file, text] of Object.entries(templates)) {
    const path = join(cwd, file);
    const there = existsSync(path);
    if (!there || force) writeNew(path, text);
    done.push({ action: there ? (force ? "overwrote" : "kept") : "wrote", file });
  }
  const added = addScripts(join(cwd, "package.json"));
  if (added)
    done.push({
      action: added.length ? "wrote" : "kept",
      file: "package.json",
      about: `scripts ${Object.keys(scripts).join(", ")}`,
    });
  if (terminal.json) terminal.out(JSON.stringify(done, null, 2));
  else {
    const { outColors: c } = terminal;
    const paint = { wrote: c.green, kept: c.dim, overwrote: c.yellow };
    terminal.out(
      done.map((d) => `${paint[d.action](d.action.padEnd(9))}  ${d.file}${d.about ? ` (${d.about})` : ""}`).join("\n"),
    );
    terminal.say(
      `next: npx sinter build${hasVitest(cwd) ? ", then npx vitest run kernels" : ", then npm install --save-dev vitest for the test"}`,
    );
  }
  return exit.ok;
};

function writeNew(path: string, text: string): void {
  try {
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, text);
  } catch (e) {
    fail("file-error", `${path} cannot be written: ${(e as Error).message}`, {
      hint: "check the folder's permissions and the space left",
    });
  }
}

interface Manifest {
  scripts?: Record<string, string>;
  readonly devDependencies?: object;
  readonly dependencies?: object;
}

function read(path: string): { readonly text: string; readonly manifest: Manifest } | undefined {
  if (!existsSync(path)) return undefined;
  const text = readFileSync(path, "utf8");
  try {
    return { text, manifest: JSON.parse(text) as Manifest };
  } catch (e) {
    return fail("file-error", `${path} is not JSON: ${(e as Error).message}`, {
      hint: "correct it, then run sinter init again",
    });
  }
}

/** Names that were added, in the file's own indentation; nothing without a package.json. */
function addScripts(path: string): readonly string[] | undefined {
  const found = read(path);
  if (!found) return undefined;
  const { text, manifest } = found;
  const missing = Object.keys(scripts).filter((n) => !Object.hasOwn(manifest.scripts ?? {}, n));
  if (missing.length === 0) return missing;
  manifest.scripts = { ...manifest.scripts, ...Object.fromEntries(missing.map((n) => [n, scripts[n] as string])) };
  const indent = /^[ \t]+/m.exec(text)?.[0] ?? 2;
  writeNew(path, `${JSON.stringify(manifest, null, indent)}\n`);
  return missing;
}

const hasVitest = (cwd: string): boolean => {
  const { devDependencies = {}, dependencies = {} } = read(join(cwd, "package.json"))?.manifest ?? {};
  return "vitest" in devDependencies || "vitest" in dependencies;
};
