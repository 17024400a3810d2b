import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { tensor } from "../../src/index.ts";
import { loadSafetensors, saveSafetensors, writeSafetensors } from "../../src/nn/index.ts";
import { openFile, saveFile } from "../../src/node/files.ts";

let folder = "";
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "sinter-files-"));
});
afterAll(() => rmSync(folder, { recursive: true }));

test("a file is read in ranges", async () => {
  const path = join(folder, "ranges");
  writeFileSync(path, "0123456789");
  await using file = await openFile(path);
  expect(file.size).toBe(10);
  expect(Buffer.from(await file.read(3, 4)).toString()).toBe("3456");
  expect(Buffer.from(await file.read(8, 4)).toString()).toBe("89");
  await expect(openFile(join(folder, "none"))).rejects.toMatchObject({ code: "file-error" });
});

test("tensors are saved to a file piece by piece and loaded from it", async () => {
  const path = join(folder, "model.safetensors");
  const tree = { w: tensor([[1, 2, 3]]), layers: [{ b: tensor([true]) }] };
  await saveFile(path, writeSafetensors(tree));
  expect(readFileSync(path)).toEqual(Buffer.from(await saveSafetensors(tree)));
  await using file = await openFile(path);
  expect((await loadSafetensors(file)).tensors).toEqual({ w: tree.w, "layers.0.b": tree.layers[0]?.b });
});

test("a save that fails leaves the former file, and nothing beside it", async () => {
  const path = join(folder, "kept");
  await saveFile(path, [Buffer.from("former")]);
  const broken = async function* () {
    yield Buffer.from("half of the n");
    throw new Error("the device was lost");
  };
  await expect(saveFile(path, broken())).rejects.toThrow("the device was lost");
  expect(readFileSync(path, "utf8")).toBe("former");
  expect(readdirSync(folder).filter((f) => f.includes("part"))).toEqual([]);
  await expect(saveFile(join(folder, "no", "such", "folder"), [])).rejects.toMatchObject({ code: "file-error" });
});
