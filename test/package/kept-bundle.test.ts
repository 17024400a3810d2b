import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { pathToFileURL } from "node:url";
import { afterAll, expect, test } from "vitest";
import { bundleForNode, root } from "../../scripts/bundle.mjs";

mkdirSync(join(root, ".cache"), { recursive: true });
const folder = mkdtempSync(join(root, ".cache", "kept-"));
const entry = join(folder, "entry.ts");
let made = "";
afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
  rmSync(made, { force: true });
  rmSync(made.replace(/\.mjs$/, ""), { recursive: true, force: true });
});

/** Writes sources and waits until they are older than what is made of them. */
const write = async (files: Readonly<Record<string, string>>): Promise<void> => {
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
  await setTimeout(20);
};
let runs = 0;
const result = async (): Promise<unknown> => {
  made = await bundleForNode(entry);
  const { value, later } = (await import(`${pathToFileURL(made).href}?${runs++}`)) as {
    value: number;
    later: () => Promise<{ value: string }>;
  };
  return [value, (await later()).value];
};
const writtenAt = (): number => statSync(made, { throwIfNoEntry: false })?.mtimeMs ?? 0;

test("a bundle is made again when something that it was made from has changed, and only then", async () => {
  await write({
    "entry.ts": 'export { value } from "./part.ts";\nexport const later = () => import("./later.ts");\n',
    "part.ts": "export const value: number = 1;\n",
    "later.ts": 'export const value = "a";\n',
  });
  expect(await result()).toEqual([1, "a"]);
  const first = writtenAt();
  expect(await result()).toEqual([1, "a"]);
  expect(writtenAt()).toBe(first);

  await write({ "part.ts": "export const value: number = 2;\n" });
  expect(await result()).toEqual([2, "a"]);
  await write({ "later.ts": 'export const value = "b";\n' });
  expect(await result()).toEqual([2, "b"]);

  // Damage to the bundle itself, or to a chunk.
  const text = readFileSync(made, "utf8");
  for (const bad of ["", text.slice(0, text.length / 2), text.replace("later", "latex")]) {
    writeFileSync(made, bad);
    expect(await result()).toEqual([2, "b"]);
  }
  const chunks = made.replace(/\.mjs$/, "");
  for (const chunk of readdirSync(chunks)) rmSync(join(chunks, chunk));
  expect(await result()).toEqual([2, "b"]);

  rmSync(join(folder, "part.ts"));
  await expect(bundleForNode(entry)).rejects.toThrow(/part\.ts/);
});

test("several at a time give one whole bundle", async () => {
  await write({ "part.ts": "export const value: number = 3;\n" });
  expect(new Set(await Promise.all(Array.from({ length: 4 }, () => bundleForNode(entry))))).toEqual(new Set([made]));
  expect(await result()).toEqual([3, "b"]);
  expect(readdirSync(join(root, ".cache")).filter((f) => f.startsWith(`${basename(made)}.`))).toEqual([]);
});
