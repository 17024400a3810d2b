// Runs a TypeScript file: node scripts/run.mjs FILE [ARGUMENT...]
import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { bundleForNode } from "./bundle.mjs";

const [file, ...args] = process.argv.slice(2);
if (!file || !existsSync(file)) {
  console.error(file ? `run: there is no file ${file}` : "usage: node scripts/run.mjs FILE [ARGUMENT...]");
  process.exit(2);
}
process.setSourceMapsEnabled(true);
const entry = resolve(file);
const bundle = await bundleForNode(entry);
process.argv = [process.argv[0], entry, ...args];
await import(pathToFileURL(bundle).href);
