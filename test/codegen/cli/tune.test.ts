import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TuningTable } from "sinter";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { run } from "../../../codegen/cli/commands/tune.ts";
import type { Context } from "../../../codegen/cli/context.ts";
import { createTerminal } from "../../../codegen/cli/terminal.ts";

let folder = "";
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "sinter-tune-"));
  writeFileSync(join(folder, "package.json"), "{}");
  const program = `import { compile, dim, f32, matmul } from "sinter";
export const one = compile({ a: f32(dim("T", 8), 16), b: f32(16, 8) }, ({ a, b }) => matmul(a, b));
export const two = compile({ a: f32(8) }, ({ a }) => a.relu());
`;
  writeFileSync(join(folder, "model.ts"), program);
  mkdirSync(join(folder, "tables"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

async function tune(args: readonly string[], options: Context["options"] = {}) {
  let out = "";
  const stdout = { write: (text: string) => (out += text) };
  const terminal = createTerminal({ json: options.json === true, stdout, stderr: { write: () => undefined } });
  const code = await run({
    terminal,
    cwd: folder,
    args,
    options: { adapter: "swiftshader", fusions: false, ...options },
  });
  return { code, out };
}

const tableAt = (name: string): TuningTable => JSON.parse(readFileSync(join(folder, name), "utf8")) as TuningTable;

describe("sinter tune", () => {
  test("writes a table of a program's kernels, and goes on from it", async () => {
    const first = await tune(["model.ts#one"], { dims: "T=16", json: true });
    expect(JSON.parse(first.out)).toMatchObject({
      complete: true,
      kernels: 1,
      programs: [{ name: "one", measured: 1 }],
    });
    const table = tableAt("sinter-tuning.json");
    expect(table.adapter.architecture).toBe("swiftshader");
    expect(Object.keys(table.kernels)).toEqual([expect.stringMatching(/^contraction \| 16x8 \|/)]);
    const again = await tune(["model.ts#one"], { dims: "T=16", json: true });
    expect(JSON.parse(again.out)).toMatchObject({ programs: [{ measured: 0 }] });
    expect(tableAt("sinter-tuning.json")).toEqual(table);
    // Another size is another kernel, and the module's other program has nothing to choose.
    const all = await tune(["model.ts"], { dims: "T=4", json: true });
    expect(JSON.parse(all.out)).toMatchObject({ kernels: 2, programs: [{ measured: 1 }, { measured: 0 }] });
    expect(Object.keys(tableAt("sinter-tuning.json").kernels)).toHaveLength(2);
    expect(readdirSync(folder).filter((f) => f.endsWith(".tmp"))).toEqual([]);
  });

  test("says which kernels got better", async () => {
    const { code, out } = await tune(["model.ts#one"], { out: "other.json" });
    expect(code).toBe(0);
    expect(out).toMatch(/^other\.json: 1 kernels, [01] better than without a table; 0 fusions/);
  });

  test("ends when its time is over, with a table that can be gone on from", async () => {
    const { out } = await tune(["model.ts#one"], { budget: "0.000001", out: "short.json", json: true });
    expect(JSON.parse(out)).toMatchObject({ complete: false });
    expect(existsSync(join(folder, "short.json")) ? tableAt("short.json").kernels : {}).toEqual({});
  });

  test.each<[string, string[], Context["options"], string]>([
    ["a module that is not there", ["none.ts"], {}, "bad-usage"],
    ["an export that is not there", ["model.ts#three"], {}, "unknown-export"],
    ["a kernel that is not there", ["softmux"], {}, "unknown-export"],
    ["no time", ["model.ts"], { budget: "soon" }, "bad-usage"],
    ["sizes of the wrong form", ["model.ts"], { dims: "T" }, "bad-usage"],
    ["a size of a dim that no target has", ["model.ts#two", "model.ts#one"], { dims: "T=4,Q=4" }, "unknown-dim"],
    ["a size where the one target has no dims", ["model.ts#two"], { dims: "T=4" }, "unknown-dim"],
    ["a folder for the table", ["model.ts"], { out: "tables" }, "bad-usage"],
    ["a table in a folder that is not there", ["model.ts"], { out: "none/table.json" }, "bad-usage"],
    ["a table in a file", ["model.ts"], { out: "package.json/table.json" }, "bad-usage"],
    ["a file that is no table", ["model.ts"], { out: "package.json" }, "bad-tuning-table"],
    ["an adapter that is not there", ["model.ts"], { adapter: "abacus" }, "unknown-adapter"],
  ])("refuses %s", async (_, args, options, code) => {
    await expect(tune(args, options)).rejects.toMatchObject({ code });
  });

  test("says that a folder is one, and what to write instead", async () => {
    await expect(tune(["model.ts"], { out: "tables" })).rejects.toThrow(
      /tables is a folder[\s\S]*--out tables\/sinter-tuning\.json/,
    );
    await expect(tune(["model.ts"], { out: "none/table.json" })).rejects.toThrow(/there is no folder none/);
  });

  test("refuses to go on from the table of another adapter", async () => {
    const table = { ...tableAt("other.json"), adapter: { vendor: "acme", architecture: "anvil", device: "" } };
    writeFileSync(join(folder, "foreign.json"), JSON.stringify(table));
    await expect(tune(["model.ts#one"], { out: "foreign.json" })).rejects.toThrow(/another adapter, acme anvil/);
  });
});
