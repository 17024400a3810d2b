// What package.json exports, and the sources behind it: scripts, tests and examples import `sinter/x` without a build.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

export const root = dirname(dirname(fileURLToPath(import.meta.url)));

const manifest = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));

/** The file that a value of the exports map means under some conditions, as the map writes it. */
function target(value, conditions) {
  if (typeof value === "string") return value;
  for (const [condition, then] of Object.entries(value)) {
    if (condition !== "default" && !conditions.includes(condition)) continue;
    const found = target(then, conditions);
    if (found !== undefined) return found;
  }
  return undefined;
}

const sourceOf = (file) => file.replace(/^\.\/dist\//, "").replace(/(\.d\.ts|\.js)$/, ".ts");

/** The entries that are code: import path, and the source it is built from on Node and elsewhere. Patterns keep their `*`. */
export const entries = Object.entries(manifest.exports)
  .filter(([path]) => path !== "./package.json")
  .map(([path, value]) => ({
    path: path.replace(/^\./, manifest.name),
    node: sourceOf(target(value, ["node"])),
    browser: sourceOf(target(value, ["browser"])),
  }));

/** The same with every pattern replaced by what there is for it. */
export const expandedEntries = () =>
  entries.flatMap((entry) => {
    if (!entry.path.includes("*")) return [entry];
    const [before, after] = entry.node.split("*");
    const folder = join(root, dirname(`${before}x`));
    const stem = before.slice(before.lastIndexOf("/") + 1);
    return (existsSync(folder) ? readdirSync(folder) : [])
      .filter((f) => f.startsWith(stem) && f.endsWith(after))
      .sort()
      .map((f) => f.slice(stem.length, f.length - after.length))
      .filter((name) => !name.includes("."))
      .map((name) => {
        const fill = (text) => text.replace("*", name);
        return { path: fill(entry.path), node: fill(entry.node), browser: fill(entry.browser) };
      });
  });

/** The source of an import path, from the root, or undefined when package.json exports no such thing. */
export function sourceFor(path, platform = "node") {
  for (const entry of entries) {
    const [before, after] = entry.path.split("*");
    if (after === undefined ? path === entry.path : path.startsWith(before) && path.endsWith(after)) {
      return entry[platform].replace("*", path.slice(before.length, path.length - (after ?? "").length));
    }
  }
  return undefined;
}
