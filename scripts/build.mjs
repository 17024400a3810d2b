// Builds dist/ (or the folder given): one JavaScript module and one declaration file for each source file.
import { spawnSync } from "node:child_process";
import { chmodSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { root } from "./exports.mjs";
import { withShortWgsl } from "./kernels.mjs";

const outDir = process.argv[2] ?? join(root, "dist");
rmSync(outDir, { recursive: true, force: true });
const tsc = join(root, "node_modules/typescript-7/bin/tsc");
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

// Node 20 warns of imported JSON, and browsers want another type of it: tuning tables become modules, beside the data.
const shipped = join(outDir, "src/tune/shipped.js");
const asModules = readFileSync(shipped, "utf8").replace(
  /import\("(\.\/tables\/\w+)\.json", \{ with: \{ type: "json" \} \}\)/g,
  (_, table) => {
    const data = readFileSync(join(outDir, `src/tune/${table}.json`), "utf8");
    writeFileSync(join(outDir, `src/tune/${table}.js`), `export default ${JSON.stringify(JSON.parse(data))};\n`);
    return `import("${table}.js")`;
  },
);
writeFileSync(shipped, asModules);

// Nobody debugs what was generated.
const kernels = join(outDir, "kernels/generated");
for (const file of readdirSync(kernels)) {
  const path = join(kernels, file);
  if (file.endsWith(".map")) rmSync(path);
  else if (file.endsWith(".js")) {
    writeFileSync(path, withShortWgsl(readFileSync(path, "utf8")).replace(/\n?\/\/# sourceMappingURL=.*\n?$/, "\n"));
  }
}

const { bin } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
for (const file of Object.values(bin)) chmodSync(join(outDir, file.replace(/^\.\/dist\//, "")), 0o755);
