import { existsSync, readFileSync, statSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { fail, type Place } from "../../src/base/diagnostic.ts";
import { importModule } from "../modules/import-module.ts";
import { checkConfig, type SinterConfig } from "./config.ts";

export interface LoadedConfig {
  readonly config: SinterConfig;
  /** The config's folder, or where the search began. */
  readonly folder: string;
  /** Absent where there is no config. */
  readonly file?: string;
  /** Files whose change changes the config. */
  readonly inputs: readonly string[];
}

export const configNames: readonly string[] = ["ts", "mts", "js", "mjs"].map((e) => `sinter.config.${e}`);

/** The config of a folder: there, or above it up to the package's folder. */
export function findConfig(from: string): string | undefined {
  for (let folder = resolve(from); ; folder = dirname(folder)) {
    const found = configNames.map((n) => join(folder, n)).find((f) => existsSync(f));
    if (found !== undefined) return found;
    if (existsSync(join(folder, "package.json")) || folder === dirname(folder)) return undefined;
  }
}

/**
 * Loads the config: `file`, or the one that belongs to `cwd`; an empty config where there is none.
 * @throws SinterError `bad-config`, `unknown-option`, `bad-option`, with the place in the file
 */
export async function loadConfig(cwd: string, file?: string): Promise<LoadedConfig> {
  const path = file === undefined ? findConfig(cwd) : resolve(cwd, file);
  if (path === undefined) return { config: {}, folder: cwd, inputs: [] };
  if (!statSync(path, { throwIfNoEntry: false })?.isFile()) {
    fail("bad-config", `there is no config ${file}`, { hint: "check the path given to --config, or run sinter init" });
  }
  const name = basename(path);
  const { exports, inputs } = await importModule(path, "bad-config");
  const config = checkConfig(exports.default, name, (key) => placeOfKey(path, key));
  return { config, folder: dirname(path), file: path, inputs };
}

const stringsAndComments = /("(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|`(?:\\.|[^`\\])*`)|\/\*[\s\S]*?\*\/|\/\/.*/g;

/** Where a key stands in the file, or the default export. */
function placeOfKey(file: string, key: string | undefined): Place {
  // What strings and comments hold is no key; a string may be one.
  const blank = (part: string): string => part.replace(/[^\n]/g, " ");
  const text = readFileSync(file, "utf8").replace(stringsAndComments, (m, string?: string) =>
    string !== undefined && string.slice(1, -1) === key ? string : blank(m),
  );
  const escaped = key?.replace(/[^\w]/g, "\\$&");
  const found = new RegExp(escaped === undefined ? "export default" : `(?<![\\w$])(["']?)${escaped}\\1\\s*[:,}(]`).exec(
    text,
  );
  const before = text.slice(0, found?.index ?? 0).split("\n");
  return { file, line: before.length, column: (before.at(-1) as string).length + 1 };
}
