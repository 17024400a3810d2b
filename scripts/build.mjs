// Builds dist/ (or the folder given): one JavaScript module and one declaration file for each source file.
import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { root } from "./bundle.mjs";

const outDir = process.argv[2] ?? join(root, "dist");
rmSync(outDir, { recursive: true, force: true });
const tsc = join(root, "node_modules/typescript/bin/tsc");
const { status } = spawnSync(process.execPath, [tsc, "-p", join(root, "tsconfig.build.json"), "--outDir", outDir], {
  stdio: "inherit",
});
if (status !== 0) process.exit(status ?? 1);

// TypeScript rewrites the extensions of imports in JavaScript, and leaves them in declarations.
for (const file of readdirSync(outDir, { recursive: true, encoding: "utf8" })) {
  if (!file.endsWith(".d.ts")) continue;
  const path = join(outDir, file);
  const text = readFileSync(path, "utf8");
  const rewritten = text.replace(/((?:from|import)\s*\(?\s*")(\.{1,2}\/[^"]+)\.ts"/g, '$1$2.js"');
  if (rewritten !== text) writeFileSync(path, rewritten);
}
