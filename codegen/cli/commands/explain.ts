import { statSync } from "node:fs";
import { resolve } from "node:path";
import { type CommandModule, type Context, exit, misused } from "../context.ts";

const isFile = (path: string): boolean => statSync(path, { throwIfNoEntry: false })?.isFile() === true;

/** `FILE`, `FILE#EXPORT`, or an error code. */
export const run: CommandModule["run"] = async (context) => {
  const what = context.args[0] ?? "";
  const [path, name] = splitTarget(what, context.cwd);
  if (path === undefined) {
    const { explainError } = await import("../explain-error.ts");
    explainError(what, context);
    return exit.ok;
  }
  const file = resolve(context.cwd, path);
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
