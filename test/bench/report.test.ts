import { mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, test, vi } from "vitest";
import { compared, timesOf } from "../../bench/against.ts";
import { all, measurements } from "../../bench/all.ts";
import { deliver, entryOf } from "../../bench/deliver.ts";
import { parsePlain } from "../../bench/options.ts";
import { regenerated, report } from "../../bench/page.ts";
import { Probe } from "../../bench/probe.ts";
import {
  deviceOf,
  type Entry,
  faults,
  fileOf,
  readSaved,
  type Saved,
  save,
  savedIn,
  withEntry,
} from "../../bench/saved.ts";
import { markdown, tables } from "../../bench/tables.ts";

const entry = (command: string, result: object): Entry => ({
  ...{ command, date: "2026-11-21", device: "gpu: some-gpu", versions: { node: "v20.1.2", webgpu: "0.6.2" } },
  result: result as Entry["result"],
});
const poolRow = { user: "training step", sizing: "classes", hit_rate: 0.954, create_buffer: 0.1 };
const pool: Saved = {
  ...{ schema: 1, bench: "pool", adapter: "some-gpu" },
  entries: [
    entry("npm run bench -- pool", { rows: [{ ...poolRow, create_buffer_later: 0, bytes_held: 1.5 * 2 ** 20 }] }),
  ],
};

afterEach(() => vi.restoreAllMocks());

describe("results", () => {
  test("those that are kept have the schema, and each file is named after what it holds", () => {
    const kept = savedIn("bench/results");
    for (const s of kept) {
      expect(faults(s), `${s.bench}.${s.adapter}`).toEqual([]);
      expect(readSaved(fileOf("bench/results", s.bench, s.adapter))).toEqual(s);
    }
  });

  test("the page's tables are what they give", async () => {
    const log = vi.spyOn(console, "log").mockReturnValue();
    const error = vi.spyOn(console, "error").mockReturnValue();
    expect(await report(["--check"])).toBe(0);
    expect(error).not.toHaveBeenCalled();
    expect(log).toHaveBeenCalledWith("docs/performance.md agrees with bench/results");
  });

  test("every table of the page is one that there is, and every table is on it", () => {
    const names = [...readFileSync("docs/performance.md", "utf8").matchAll(/^<!-- results: (\S+) \S+ -->$/gm)].map(
      (m) => m[1],
    );
    expect(names.filter((n) => !Object.hasOwn(tables, n as string))).toEqual([]);
    expect(Object.keys(tables).filter((n) => !names.includes(n))).toEqual([]);
  });

  test.each([
    [{ ...pool, schema: 2 }, ["schema is not 1"]],
    [{ ...pool, entries: [] }, ["there are no entries"]],
    [{ ...pool, bench: "ops" }, ["npm run bench -- pool is not a command of ops"]],
    [{ ...pool, entries: [{ ...pool.entries[0], date: "today" }] }, ["today is not a date"]],
    [{ ...pool, entries: [{ ...pool.entries[0], versions: { node: "v20" } }] }, ["versions lack node or webgpu"]],
    [pool, []],
  ])("what is wrong with a file: %#", (saved, wrong) => {
    expect(faults(saved)).toEqual(wrong);
  });

  test("an entry takes the place of the one of the same command", () => {
    const more = withEntry(pool, entry("npm run bench -- pool --steps 3", { rows: [] }));
    expect(more.entries.map((e) => e.command)).toEqual(["npm run bench -- pool", "npm run bench -- pool --steps 3"]);
    const again = withEntry(more, entry("npm run bench -- pool", { rows: [1] }));
    expect(again.entries.map((e) => e.result)).toEqual([{ rows: [1] }, { rows: [] }]);
  });

  test("they are kept as they are printed, to six digits, unless something is wrong", () => {
    const folder = mkdtempSync(join(tmpdir(), "results-"));
    vi.spyOn(console, "log").mockReturnValue();
    vi.spyOn(console, "error").mockReturnValue();
    const options = parsePlain(["--json", "--trace=t.json", "--out", folder]);
    if (typeof options === "string") throw new Error(options);
    const found = {
      bench: "pool",
      device: { key: "some-gpu", text: "gpu: some-gpu" },
      result: { rows: [0.123456789] },
      text: "",
    };
    expect(deliver(options, { ...found, wrong: ["off"] })).toBe(1);
    expect(savedIn(folder)).toEqual([]);
    expect(deliver(options, found)).toBe(0);
    expect(savedIn(folder)).toMatchObject([
      { entries: [{ command: "npm run bench -- pool", result: { rows: [0.123457] } }] },
    ]);
    expect(entryOf(found, { ...options, args: ["--steps", "3"] }).command).toBe("npm run bench -- pool --steps 3");
  });

  test("they are kept before the trace is written: one that cannot be is an error", () => {
    const folder = mkdtempSync(join(tmpdir(), "results-"));
    vi.spyOn(console, "log").mockReturnValue();
    const error = vi.spyOn(console, "error").mockReturnValue();
    const options = parsePlain(["--trace", join(folder, "none", "t.json"), "--out", folder]);
    if (typeof options === "string") throw new Error(options);
    const found = { bench: "pool", device: { key: "some-gpu", text: "gpu" }, result: { rows: [] }, text: "" };
    expect(deliver(options, found, new Probe(options))).toBe(1);
    expect(savedIn(folder)).toHaveLength(1);
    expect(error).toHaveBeenLastCalledWith(
      expect.stringMatching(/^bench pool: the trace cannot be written: ENOENT.*none/),
    );
    writeFileSync(fileOf(folder, "pool", "some-gpu"), "{");
    expect(deliver({ ...options, trace: undefined }, found)).toBe(1);
    expect(error).toHaveBeenLastCalledWith(
      expect.stringMatching(/^bench pool: the result cannot be kept: .*pool\.some-gpu\.json cannot be read/),
    );
  });

  test("a report names the file that is not there or is damaged, in one line", async () => {
    const folder = mkdtempSync(join(tmpdir(), "results-"));
    const error = vi.spyOn(console, "error").mockReturnValue();
    const said = async (...args: string[]): Promise<string> => {
      error.mockClear();
      expect(await report(["--check", ...args])).toBe(1);
      expect(error).toHaveBeenCalledOnce();
      return error.mock.calls[0]?.[0] as string;
    };
    expect(await said("--page", "none.md")).toMatch(/^bench report: none\.md cannot be read: ENOENT.*$/);
    expect(await said("--results", "none")).toMatch(/^bench report: none cannot be read: ENOENT.*$/);
    const file = join(folder, "pool.some-gpu.json");
    for (const text of ["{", "null", "{}", '{ "schema": 1, "bench": "pool", "adapter": "x", "entries": [] }']) {
      writeFileSync(file, text);
      expect(await said("--results", folder), text).toContain(`bench report: ${file}`);
    }
    expect(faults({ ...pool, entries: [null] })).toContain("an entry has no device");
  });

  test("a command is what was measured, not what became of it", () => {
    const args = ["--config", "tiny", "--save", "--out", "x", "--profile", "--trace", "t", "--json", "--batch", "8"];
    expect(parsePlain(args)).toBe("Unknown option '--config'");
    expect(parsePlain(["--save", "--profile", "--trace", "t"])).toMatchObject({
      ...{ out: "bench/results", profile: true, trace: "t", args: [] },
    });
  });

  test.each([
    [{ adapterName: "gpu", info: { device: "nvidia-h200", vendor: "nvidia", description: "NVIDIA: 580" } }, "h200"],
    [{ adapterName: "lavapipe", info: { device: "", vendor: "mesa", description: "llvmpipe" } }, "lavapipe"],
    [{ adapterName: "gpu", info: { device: "", vendor: "amd", description: "AMD Radeon RX 7900" } }, "radeon-rx-7900"],
  ])("the adapter's name in files: %#", (gpu, key) => {
    expect(deviceOf(gpu as never).key).toBe(key);
  });
});

describe("tables", () => {
  const line = "| training step | classes | 95 % | 0.10 | 0.00 | 1.50 MiB |";

  test("a table of a result, with what it was measured by", () => {
    expect(markdown("pool", pool).split("\n")).toEqual([
      "| user | sizes | found | created a step | in the second half | held |",
      "| --- | --- | --- | --- | --- | --- |",
      line,
      "",
      "gpu: some-gpu, 2026-11-21, node 20.1.2, webgpu 0.6.2: `npm run bench -- pool`",
    ]);
    expect(markdown("pool", undefined)).toBe("Not measured yet: `npm run bench -- pool --save`.");
  });

  const page = (inside: string): string =>
    ["# Prose", "<!-- results: pool some-gpu -->", inside, "<!-- /results -->", "| prose | stays |"].join("\n");

  test("stand between their markers; the rest of the page stays", () => {
    const { text, wrong } = regenerated(page("old"), [pool]);
    expect(wrong).toEqual([]);
    expect(text).toBe(page(`\n${markdown("pool", pool)}\n`));
    expect(regenerated(text, [pool]).text).toBe(text);
    expect(regenerated(text, []).text).toContain("Not measured yet");
  });

  test("markers that are wrong are named", () => {
    expect(regenerated(page("x").replace("pool", "nothing"), []).wrong).toEqual(["line 2: there is no table nothing"]);
    expect(regenerated(page("x").replace("<!-- /results -->", ""), []).wrong).toEqual([
      "line 2: the table is not closed by <!-- /results -->",
    ]);
  });
});

test("times of two trees by name: medians of rounds, and the ratios of each", () => {
  const ops = (fused: number) => ({
    bench: "ops",
    rows: [
      {
        name: "softmax",
        shape: "4x4",
        comparison: { a: { label: "fused", median_ms: fused }, ratio: 3 },
        figures: { us: 1 },
      },
    ],
  });
  const times = timesOf(ops(2));
  expect([...times]).toEqual([["softmax 4x4 fused median_ms", 2]]);
  const rounds = [3, 2, 4].map((here) => [timesOf(ops(here)), times] as const);
  expect(compared(rounds)).toEqual([
    { name: "softmax 4x4 fused median_ms", ms: 3, other_ms: 2, ratio: 1.5, spread: [1, 2] },
  ]);
});

test("all measurements run in order, some of them, and none again that was made today", async () => {
  const log = vi.spyOn(console, "log").mockReturnValue();
  const error = vi.spyOn(console, "error").mockReturnValue();
  const folder = mkdtempSync(join(tmpdir(), "results-"));
  const ran: string[] = [];
  const run = async (args: readonly string[]): Promise<number> => {
    ran.push(args.slice(0, -2).join(" "));
    return ran.length === 2 ? 1 : 0;
  };
  expect(await all(["--first", "7", "--last", "9", "--out", folder], run)).toBe(1);
  expect(ran).toEqual(measurements.slice(6, 9));
  expect(error.mock.calls).toEqual([[`bench all: failed: ${measurements[7]}`]]);
  const today = new Date().toISOString().slice(0, 10);
  save(folder, "rows", "x", { ...entry(`npm run bench -- ${measurements[6]}`, {}), date: today });
  ran.length = 0;
  await all(["--first", "7", "--last", "7", "--resume", "--out", folder], run);
  expect(ran).toEqual([]);
  log.mockClear();
  await all(["--list"], run);
  expect(log).toHaveBeenCalledTimes(measurements.length);
});
