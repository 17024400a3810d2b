import { existsSync, statSync } from "node:fs";
import { relative, resolve } from "node:path";
import { suggest } from "../../src/base/suggest.ts";
import { KernelDefinition } from "../../src/frontend/define-kernel.ts";
import { compile, type Program } from "../../src/program.ts";
import { findSources } from "../build/find.ts";
import { type Context, misused } from "./context.ts";
import { loadExports } from "./load-exports.ts";
import { projectOf } from "./project.ts";

/** A program to be tuned, or a kernel as one. */
export interface Target {
  readonly name: string;
  readonly program: Program;
  /** Has it f16 tensors because that was asked for? */
  readonly half: boolean;
}

/** The programs that a command line names: modules, exports of modules (`FILE#EXPORT`), and kernels by their names alone. */
export async function targetsOf(context: Context): Promise<readonly Target[]> {
  const { args, cwd } = context;
  const names = args.filter((a) => !isModule(a, cwd));
  const known = names.length ? await kernelFiles(context) : [];
  const targets: Target[] = [];
  for (const arg of args) {
    if (!isModule(arg, cwd)) continue;
    const [path, name] = splitAt(arg);
    const file = resolve(cwd, path);
    if (!existsSync(file) || !statSync(file).isFile()) {
      misused("bad-usage", `${path} is no file`, {
        hint: "name a module, as in src/model.ts or src/model.ts#step, or a kernel",
      });
    }
    const found = await exported(file);
    const chosen = name === undefined ? found : found.filter((t) => t.kernel === name);
    if (chosen.length === 0) {
      const near = name === undefined ? undefined : suggest(name, new Set(found.map((t) => t.kernel)));
      const hint = near ? `did you mean ${near}?` : "export what defineKernel(…) or compile(…) returns";
      if (name === undefined)
        misused("nothing-to-explain", `${relative(cwd, file)} exports neither kernels nor programs`, { hint });
      misused("unknown-export", `${relative(cwd, file)} exports no kernel or program named ${name}`, { hint });
    }
    targets.push(...chosen);
  }
  const all = (await Promise.all(known.map(exported))).flat();
  for (const name of names) {
    const chosen = all.filter((t) => t.kernel === name);
    if (chosen.length === 0) {
      const near = suggest(name, new Set(all.map((t) => t.kernel)));
      misused("unknown-export", `there is no kernel named ${JSON.stringify(name)}`, {
        hint: near
          ? `did you mean ${near}?`
          : "name a module, as in src/model.ts#step, or a kernel of the config's files",
      });
    }
    targets.push(...chosen);
  }
  return targets;
}

const splitAt = (what: string): readonly [string, string?] => {
  const at = what.lastIndexOf("#");
  return at < 0 ? [what] : [what.slice(0, at), what.slice(at + 1)];
};

const isModule = (what: string, cwd: string): boolean =>
  /[\\/#]|\.[cm]?[jt]sx?$/.test(what) || existsSync(resolve(cwd, what));

async function kernelFiles(context: Context): Promise<readonly string[]> {
  const { root, options } = await projectOf({ ...context, args: [] });
  const list = (globs: string | readonly string[] | undefined, other: readonly string[]): readonly string[] =>
    globs === undefined ? other : [globs].flat();
  const { sources } = await findSources({
    ...{ root, only: undefined, outDir: options.outDir ?? "generated" },
    include: list(options.include, ["**/*.kernel.{ts,mts}"]),
    exclude: list(options.exclude, []),
  });
  return sources;
}

async function exported(file: string): Promise<readonly (Target & { readonly kernel: string })[]> {
  const { exports, placed } = await loadExports(file);
  return [...exports].flatMap(([name, what]) => {
    if (!(what instanceof KernelDefinition)) return [{ name, kernel: name, program: what, half: false }];
    return what.dtypes.map((dtype) => {
      const program = placed(
        () =>
          compile(what.inputs(dtype) as never, what.body as never, {
            donate: what.donate as never,
            fuse: "legal",
          }) as unknown as Program,
      );
      return { name: `${name} (${dtype})`, kernel: name, program, half: dtype === "f16" };
    });
  });
}
