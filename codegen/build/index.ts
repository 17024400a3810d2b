import { createBuilder } from "./builder.ts";
import type { BuildOptions, BuildResult } from "./types.ts";

export { createBuilder };

/**
 * Generates the modules, WGSL and manifests of kernel files. Bad input is no exception: the result's diagnostics hold it, and
 * nothing is written then.
 * @throws the signal's reason when it aborts
 */
export async function build(options: BuildOptions = {}): Promise<BuildResult> {
  const { root, cache, ...rest } = options;
  const builder = createBuilder({ root, cache });
  try {
    return await builder.build(rest);
  } finally {
    await builder.dispose();
  }
}

/** Generates in memory and says which files a build would change. */
export const check = (options: BuildOptions = {}): Promise<BuildResult> => build({ ...options, check: true });
