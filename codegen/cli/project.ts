import { relative, resolve } from "node:path";
import type { BuildOptions } from "../build/types.ts";
import { type LoadedConfig, loadConfig } from "../config/load.ts";
import { type Context, textOption } from "./context.ts";

/** What the config and the command line ask of a build. */
export interface Project {
  readonly root: string;
  readonly options: Omit<BuildOptions, "root" | "cache">;
  readonly config: LoadedConfig;
}

/** Reads the config. Globs of the command line are relative to where it is called. */
export async function projectOf(context: Context): Promise<Project> {
  const loaded = await loadConfig(context.cwd, textOption(context, "config"));
  const { root: folder, ...options } = loaded.config;
  const root = folder === undefined ? loaded.folder : resolve(loaded.folder, folder);
  const only = context.args.map((glob) => relative(root, resolve(context.cwd, glob)).replaceAll("\\", "/") || ".");
  return {
    root,
    options: { ...options, ...(only.length ? { only } : {}), ...(context.options.force ? { force: true } : {}) },
    config: loaded,
  };
}
