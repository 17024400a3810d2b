import { writeFileSync } from "node:fs";
import { relative, resolve } from "node:path";
import { fail } from "../../src/base/diagnostic.ts";
import { suggest } from "../../src/base/suggest.ts";
import { KernelDefinition } from "../../src/frontend/define-kernel.ts";
import type { Program } from "../../src/program.ts";
import { profiles } from "../../src/runtime/profiles.ts";
import { parseDims } from "./commands/explain.ts";
import { type Context, exit, misused, textOption } from "./context.ts";
import { explainKernel } from "./explain-kernel.ts";
import { explainProgram } from "./explain-program.ts";
import { checkNames, type Explanation, ownDims, type Wishes } from "./explanation.ts";
import { type Explainable, loadExports } from "./load-exports.ts";

/** Explains an export of a module, or all kernels and programs that it exports. */
export async function explainModule(file: string, name: string | undefined, context: Context): Promise<number> {
  const { terminal, cwd } = context;
  const wishes = wishesOf(context);
  const drawn = textOption(context, "memory");
  terminal.progress(`reading ${relative(cwd, file)}`);
  const { exports, placed } = await loadExports(file);
  const chosen = choose(exports, name, relative(cwd, file));
  if (drawn !== undefined && chosen.length > 1) {
    misused("bad-usage", "--memory draws one kernel or program", {
      hint: `choose one: ${relative(cwd, file)}#${chosen.map((c) => c[0]).join(", #")}`,
    });
  }
  const explained = chosen.map(([name, what]): Explanation => {
    terminal.progress(`explaining ${name}`);
    return placed(() =>
      what instanceof KernelDefinition
        ? explainKernel(name, what, wishes, chosen.length > 1)
        : explainProgram(name, what, { ...wishes, dims: chosen.length > 1 ? ownDims(what, wishes.dims) : wishes.dims }),
    );
  });
  if (chosen.length > 1)
    checkNames(
      wishes.dims,
      explained.flatMap((e) => e.dims),
    );
  if (drawn !== undefined) {
    writeDrawing(resolve(cwd, drawn), (explained[0] as Explanation).svg());
    terminal.say(`wrote ${drawn}`);
  }
  if (terminal.json)
    terminal.out(
      JSON.stringify(
        explained.map((e) => e.data),
        null,
        2,
      ),
    );
  else terminal.out(explained.map((e) => e.text.trimEnd()).join("\n\n\n"));
  return exit.ok;
}

function writeDrawing(path: string, svg: string): void {
  try {
    writeFileSync(path, svg);
  } catch (e) {
    fail("file-error", `${path} cannot be written: ${(e as Error).message}`, {
      hint: "check the path given to --memory",
    });
  }
}

function wishesOf(context: Context): Wishes {
  const profile = textOption(context, "profile");
  if (profile !== undefined && !Object.hasOwn(profiles, profile)) {
    const near = suggest(profile, Object.keys(profiles));
    misused("unknown-profile", `there is no capability profile named ${JSON.stringify(profile)}`, {
      hint: near ? `did you mean ${near}?` : `choose one of ${Object.keys(profiles).join(", ")}`,
    });
  }
  const dtype = textOption(context, "dtype");
  if (dtype !== undefined && dtype !== "f32" && dtype !== "f16") {
    misused("bad-usage", `--dtype is ${JSON.stringify(dtype)}`, { hint: "choose f32 or f16" });
  }
  return {
    dims: parseDims(context),
    capabilities: profile === undefined ? undefined : profiles[profile as keyof typeof profiles],
    dtype,
    wgsl: context.options.wgsl === true,
  };
}

function choose(
  all: Explainable["exports"],
  name: string | undefined,
  file: string,
): [string, KernelDefinition | Program][] {
  if (all.size === 0) {
    misused("nothing-to-explain", `${file} exports neither kernels nor programs`, {
      hint: "export what defineKernel(…) or compile(…) returns",
    });
  }
  if (name === undefined) return [...all];
  const found = all.get(name);
  if (!found) {
    const near = suggest(name, all.keys());
    return misused("unknown-export", `${file} exports no kernel or program named ${JSON.stringify(name)}`, {
      hint: near ? `did you mean ${near}?` : `there are ${[...all.keys()].join(", ")}`,
    });
  }
  return [[name, found]];
}
