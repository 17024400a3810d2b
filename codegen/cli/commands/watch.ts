import { statSync } from "node:fs";
import { basename, resolve } from "node:path";
import { createBuilder } from "../../build/index.ts";
import type { Builder } from "../../build/types.ts";
import { configNames } from "../../config/load.ts";
import { progressText, reportBuild, summary } from "../build-report.ts";
import { type CommandModule, type Context, exit, Refused, textOption } from "../context.ts";
import { type Project, projectOf } from "../project.ts";
import { diagnosticJson, diagnosticOf, renderAll } from "../render.ts";
import { watchFolders } from "../watcher.ts";

/** Builds again after every change until it is interrupted; nothing that a file holds ends it. */
export const run: CommandModule["run"] = async (context) => {
  const interrupted = new AbortController();
  const stop = (): void => interrupted.abort();
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, stop);
  const inputs = new Set<string>();
  const config = textOption(context, "config");
  if (config !== undefined) inputs.add(resolve(context.cwd, config));
  const round = new Rounds(context, interrupted.signal);
  const matters = (file: string): boolean =>
    inputs.has(file) ||
    /\.kernel\.[cm]?tsx?$/.test(file) ||
    configNames.includes(basename(file)) ||
    // A new folder may have kernel files in it.
    (basename(file) !== round.outDir && statSync(file, { throwIfNoEntry: false })?.isDirectory() === true);
  let wake = (): void => undefined;
  let due = true;
  const watcher = await watchFolders(await round.root(), matters, () => {
    due = true;
    wake();
  });
  interrupted.signal.addEventListener("abort", () => wake());
  while (!interrupted.signal.aborted) {
    if (due) {
      due = false;
      const used = await round.build();
      if (used) {
        inputs.clear();
        for (const f of used) inputs.add(f);
        await watcher.follow(used);
      }
    } else {
      await new Promise<void>((go) => {
        wake = go;
        if (due || interrupted.signal.aborted) go();
      });
    }
  }
  watcher.close();
  await round.dispose();
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.removeListener(signal, stop);
  return exit.interrupted;
};

/** One build after the other; the builder is kept while the root stays. */
class Rounds {
  /** The name of folders that the builds themselves write to. */
  outDir = "generated";
  readonly #context: Context;
  readonly #signal: AbortSignal;
  #builder: Builder | undefined;
  #root: string | undefined;
  #count = 0;

  constructor(context: Context, signal: AbortSignal) {
    this.#context = context;
    this.#signal = signal;
  }

  /** The folder to watch; where the config is broken, the current one until it is not. */
  async root(): Promise<string> {
    return (await projectOf(this.#context).catch(() => undefined))?.root ?? this.#context.cwd;
  }

  /** Files that the build depended on; nothing where it could not be made. */
  async build(): Promise<readonly string[] | undefined> {
    const { terminal } = this.#context;
    try {
      const project = await projectOf(this.#context);
      this.outDir = basename(project.options.outDir ?? "generated");
      const builder = await this.#builderFor(project);
      const result = await builder.build({
        ...project.options,
        signal: this.#signal,
        onProgress: (e) => terminal.progress(progressText(e)),
      });
      reportBuild(result, terminal, project.root, 0);
      terminal.say(`${summary(result)}; ${this.#count++ === 0 ? "waiting for changes, Ctrl-C ends" : "waiting"}`);
      return [...result.inputs, ...project.config.inputs];
    } catch (e) {
      if (this.#signal.aborted) return undefined;
      const list = e instanceof Refused ? e.diagnostics : [diagnosticOf(e)];
      if (terminal.json) terminal.out(JSON.stringify({ ok: false, diagnostics: list.map(diagnosticJson) }));
      else terminal.error(renderAll(list, { colors: terminal.colors }));
      terminal.say("waiting for changes");
      return undefined;
    }
  }

  async dispose(): Promise<void> {
    await this.#builder?.dispose();
  }

  async #builderFor({ root }: Project): Promise<Builder> {
    if (this.#builder && this.#root === root) return this.#builder;
    await this.#builder?.dispose();
    this.#root = root;
    this.#builder = createBuilder({ root });
    return this.#builder;
  }
}
