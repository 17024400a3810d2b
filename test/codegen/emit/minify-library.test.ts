import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { minifyWgsl } from "../../../codegen/emit/index.ts";
import { compileWgsl } from "../../../codegen/reflect/index.ts";
import { root } from "../../../scripts/bundle.mjs";

const folder = join(root, "kernels/generated");
const names = readdirSync(folder).filter((f) => f.endsWith(".wgsl"));

test("the library's texts still compile when they are minified, and are about half as long", async () => {
  expect(names.length).toBeGreaterThan(50);
  const texts = new Set(names.map((f) => readFileSync(join(folder, f), "utf8").replace(/^(?:\/\/.*\n)+/, "")));
  const wrong: string[] = [];
  let [before, after] = [0, 0];
  for (const text of texts) {
    const short = minifyWgsl(text);
    before += text.length;
    after += short.length;
    for (const p of await compileWgsl(short)) wrong.push(`${p.message}\n${short.slice(0, 200)}`);
  }
  expect(wrong.slice(0, 3)).toEqual([]);
  expect(after).toBeLessThan(0.65 * before);
});
