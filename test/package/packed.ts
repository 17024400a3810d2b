import { execFileSync } from "node:child_process";
import { cpSync, mkdirSync, readdirSync, symlinkSync } from "node:fs";
import { dirname, join } from "node:path";
import { root } from "../../scripts/exports.mjs";

/** Builds the package beside the repository and packs it as `npm publish` would; returns the tarball. */
export function pack(folder: string): string {
  const stage = join(folder, "stage");
  execFileSync(process.execPath, [join(root, "scripts/build.mjs"), join(stage, "dist")], { stdio: "inherit" });
  for (const name of ["package.json", "README.md", "LICENSE", "docs"]) {
    cpSync(join(root, name), join(stage, name), { recursive: true });
  }
  // What must stay out although it is there.
  for (const name of ["src", "test"]) mkdirSync(join(stage, name));
  cpSync(join(root, "src/index.ts"), join(stage, "src/index.ts"));
  execFileSync("npm", ["pack", "--ignore-scripts", "--silent", "--offline", "--pack-destination", folder], {
    cwd: stage,
  });
  const tarball = readdirSync(folder).find((f) => f.endsWith(".tgz"));
  if (!tarball) throw new Error("npm pack wrote nothing");
  return join(folder, tarball);
}

/** Lays the tarball out as npm would, without the packages that it depends on. */
export function install(tarball: string, app: string): string {
  const installed = join(app, "node_modules/sinter");
  mkdirSync(installed, { recursive: true });
  execFileSync("tar", ["-xzf", tarball, "--strip-components=1", "-C", installed]);
  return installed;
}

/** Makes packages of the repository importable in the app. */
export function link(app: string, packages: readonly string[]): void {
  for (const name of packages) {
    const at = join(app, "node_modules", name);
    mkdirSync(dirname(at), { recursive: true });
    symlinkSync(join(root, "node_modules", name), at);
  }
}
