import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

const root = fileURLToPath(new URL("../..", import.meta.url));

test("docs/ops.md says what the op table says", () => {
  const { status, stderr } = spawnSync(process.execPath, ["scripts/docs.mjs", "--check"], {
    cwd: root,
    encoding: "utf8",
  });
  expect(stderr).toBe("");
  expect(status).toBe(0);
});

test.each(["src/frontend", "src/nn"])("every exported function of %s is documented", (folder) => {
  const files = readdirSync(`${root}${folder}`, { recursive: true, encoding: "utf8" }).filter((f) => f.endsWith(".ts"));
  const bare = files.flatMap((file) => {
    const lines = readFileSync(`${root}${folder}/${file}`, "utf8").split("\n");
    return lines.flatMap((line, i) => {
      const name = /^export (?:async )?function (\w+)/.exec(line)?.[1];
      const above = lines.slice(0, i).findLast((l) => !l.startsWith("// biome-ignore"));
      return name && !above?.endsWith("*/") ? [`${file}: ${name}`] : [];
    });
  });
  expect(bare).toEqual([]);
});
