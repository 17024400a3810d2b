import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { errorTexts, findError, sections } from "../../../codegen/catalogue/index.ts";
import { errorsPage } from "../../../codegen/catalogue/page.ts";
import { root } from "../../../scripts/bundle.mjs";
import { manifestFromJson, manifestToJson } from "../../../src/manifest/json.ts";
import * as nn from "../../../src/nn/index.ts";
import * as sinter from "../../../src/node/index.ts";
import * as testing from "../../../src/testing.ts";
import { collectCodes } from "./codes.ts";

const codes = errorTexts.map((e) => e.code);

test("the catalogue has every code that is raised, and no other", () => {
  const { raised, mentioned } = collectCodes();
  expect(raised.size).toBeGreaterThan(80);
  expect([...raised].filter(([code]) => !codes.includes(code)).map((c) => c.join(" at "))).toEqual([]);
  expect(codes.filter((c) => !mentioned.has(c))).toEqual([]);
});

test("each code has one entry: a line that fits a table, and a text that says more", () => {
  expect(codes.filter((c, i) => codes.indexOf(c) !== i)).toEqual([]);
  for (const { code, summary, text } of errorTexts) {
    expect(summary, code).toMatch(/^\S[^\n|]+[^.\s]$/);
    expect(summary.length, code).toBeLessThan(130);
    expect(text.trim().length, code).toBeGreaterThan(summary.length / 2);
    expect(text.trim(), code).not.toBe(summary);
  }
  expect(sections.every((s) => s.errors.length > 0)).toBe(true);
});

test("a misspelt code finds its neighbour", () => {
  expect(findError("shape-mismatch")).toMatchObject({ code: "shape-mismatch" });
  expect(findError("shape-mismach")).toEqual({ near: "shape-mismatch" });
  expect(findError("zzzzzzzzzzzzzz")).toEqual({ near: undefined });
});

test("docs/errors.md is what the catalogue says: npm run docs", () => {
  expect(readFileSync(join(root, "docs/errors.md"), "utf8")).toBe(errorsPage());
});

describe("examples", () => {
  const AsyncFunction = (async () => undefined).constructor as new (
    ...args: string[]
  ) => (...values: unknown[]) => Promise<unknown>;
  const scope: Record<string, unknown> = { ...nn, ...testing, ...sinter, manifestFromJson, manifestToJson };
  let gpu: sinter.Gpu;
  beforeAll(async () => {
    gpu = await sinter.openDevice({ adapter: "null" });
  });
  afterAll(() => gpu.dispose());
  const runs = (code: string): Promise<unknown> =>
    new AsyncFunction("gpu", ...Object.keys(scope), code)(gpu, ...Object.values(scope));
  const shown = errorTexts.flatMap((e) => (e.example && !e.example.shown ? [{ code: e.code, ...e.example }] : []));

  test("many codes have one", () => expect(shown.length).toBeGreaterThan(40));

  test.each(shown)("$code: the mistake raises it, the correction nothing", async ({ code, wrong, right }) => {
    await expect(runs(wrong).then(() => "nothing is raised")).rejects.toMatchObject({ code });
    await runs(right);
  });
});
