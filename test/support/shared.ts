import { existsSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

export const projectRoot = resolve(dirname(fileURLToPath(import.meta.url)), "../..");

/** The folder of shared test data: SINTER_SHARED, else `../shared` beside the project; undefined when there is neither. */
const sharedRoot: string | undefined = [process.env.SINTER_SHARED, join(projectRoot, "../shared")].find(
  (dir) => dir !== undefined && dir !== "" && existsSync(dir),
);

const told = new Set<string>();

/** The path of a file of the shared data, or undefined after one line that says which tests are skipped for want of it. */
export function sharedFile(path: string, tests: string): string | undefined {
  const file = sharedRoot && join(sharedRoot, path);
  if (file && existsSync(file)) return file;
  if (!told.has(tests)) console.log(`skipped: ${tests}: no ${path} in SINTER_SHARED or ../shared`);
  told.add(tests);
  return undefined;
}
