import { readFileSync, statSync } from "node:fs";
import { join, relative, resolve } from "node:path";
import { type CommandModule, type Context, exit, misused } from "../context.ts";

const stat = (path: string) => statSync(path, { throwIfNoEntry: false });
const isFile = (path: string): boolean => stat(path)?.isFile() === true;
const isFolder = (path: string): boolean => stat(path)?.isDirectory() === true;

/** `FILE`, `FILE#EXPORT`, or an error code. */
export const run: CommandModule["run"] = async (context) => {
  const what = context.args[0] ?? "";
  const [path, name] = splitTarget(what, context.cwd);
  if (path === undefined) {
    const { explainError, isErrorCode } = await import("../explain-error.ts");
    if (!isErrorCode(what) && isFolder(resolve(context.cwd, what))) await refuseFolder(what, name, context);
    explainError(what, context);
    return exit.ok;
  }
  const file = resolve(context.cwd, path);
  if (path !== "" && isFolder(file)) await refuseFolder(path, name, context);
  if (!isFile(file)) {
    misused("bad-usage", `${path || "nothing"} is no file`, {
      hint: "name a module and an export, as in src/model.ts#step",
    });
  }
  const { explainModule } = await import("../explain-module.ts");
  return explainModule(file, name, context);
};

/** The file and the export's name, or nothing where a code is meant. */
function splitTarget(what: string, cwd: string): readonly [file?: string, name?: string] {
  const at = what.lastIndexOf("#");
  if (at >= 0) return [what.slice(0, at), what.slice(at + 1)];
  const isPath = /[\\/]|\.[cm]?[jt]s$/.test(what) || isFile(resolve(cwd, what));
  return isPath ? [what] : [];
}

/** A folder is no module; kernel files in it are, best one that speaks of the export. */
async function refuseFolder(path: string, name: string | undefined, { cwd }: Context): Promise<never> {
  const { defaultInclude, findSources } = await import("../../build/find.ts");
  const all = { include: defaultInclude, exclude: [], only: undefined, outDir: "generated" };
  const { sources } = await findSources({ ...all, root: resolve(cwd, path) });
  const likely = sources.filter((f) => name !== undefined && readFileSync(f, "utf8").includes(`export const ${name} `));
  const files = (likely.length ? likely : sources).map((f) => `${relative(cwd, f)}#${name ?? "EXPORT"}`);
  return misused("bad-usage", `${path} is a folder, and explain takes a file`, {
    hint: files.length
      ? `name a file in it: ${files.slice(0, 3).join(", ")}${files.length > 3 ? ", …" : ""}`
      : `name a module and an export, as in ${join(path, "model.ts")}#step`,
  });
}

/** `T=512,B=8` as sizes. */
export function parseDims(context: Context): Readonly<Record<string, number>> {
  const text = context.options.dims;
  if (typeof text !== "string") return {};
  return Object.fromEntries(
    text.split(",").map((pair) => {
      const found = /^\s*([A-Za-z_]\w*)\s*=\s*(\d+)\s*$/.exec(pair);
      if (!found) {
        return misused("bad-usage", `--dims has ${JSON.stringify(pair)}`, {
          hint: "write names and sizes: --dims rows=128,cols=768",
        });
      }
      return [found[1] as string, Number(found[2])];
    }),
  );
}
