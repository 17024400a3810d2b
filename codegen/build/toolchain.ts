import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

/** The folder of this package, in its repository as well as installed. */
export const packageFolder = (): string => {
  let folder = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(folder, "package.json"))) folder = dirname(folder);
  return folder;
};

let version: string | undefined;
/** The version of this package. */
export const toolVersion = (): string => {
  version ??= (JSON.parse(readFileSync(join(packageFolder(), "package.json"), "utf8")) as { version: string }).version;
  return version;
};

let hash: string | undefined;
/**
 * A hash of the compiler's own code, as it lies on disk: what was compiled by other code counts for nothing, in a repository
 * where it is being changed as well as after an update.
 */
export const toolchainHash = (): string => {
  hash ??= hashCode(packageFolder());
  return hash;
};

function hashCode(folder: string): string {
  const sources = ["src", "codegen"].filter((f) => existsSync(join(folder, f)));
  const sum = createHash("sha256").update(toolVersion());
  for (const room of sources.length ? sources : ["dist"]) {
    const files = readdirSync(join(folder, room), { recursive: true, encoding: "utf8" });
    for (const f of files.filter((f) => /\.[cm]?[jt]s$/.test(f) && !f.endsWith(".d.ts")).sort()) {
      sum.update(`\0${f}\0`).update(readFileSync(join(folder, room, f)));
    }
  }
  return sum.digest("hex");
}
