import { execFile } from "node:child_process";
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { beforeAll, describe, expect, test } from "vitest";
import { bundleAllForNode, root } from "../../scripts/bundle.mjs";
import { fences, pages, pageText, type Snippet, snippets, withOutputs } from "./snippets.ts";

const all = snippets();
const where = (s: Snippet): string => `${s.page}:${s.line}`;

const runNode = (args: readonly string[]) =>
  promisify(execFile)(process.execPath, args, { cwd: root, env: { ...process.env, NO_COLOR: "1" } });

test("every snippet passes the type checker", async () => {
  const config = join(root, ".cache/docs/tsconfig.json");
  const compilerOptions = { noUnusedLocals: false };
  const files = all.map((s) => s.file);
  writeFileSync(config, JSON.stringify({ extends: "../../tsconfig.json", compilerOptions, include: [], files }));
  const tsc = ["node_modules/typescript-7/bin/tsc", "-p", config, "--pretty", "false"];
  const { stdout } = await runNode(tsc).catch((e: { stdout: string }) => e);
  const problems = stdout.split("\n").filter(Boolean);
  const onPage = (problem: string): string => {
    const [, path, line, what] = /^(.*)\((\d+),\d+\): (.*)$/.exec(problem) ?? [];
    const s = all.find((x) => path && x.file === join(root, path));
    return s ? `${s.page}:${s.line + Number(line) - 1} ${what}` : problem;
  };
  expect(problems.map(onPage)).toEqual([]);
}, 120_000);

/** The file to run for each snippet that is a program. */
const bundled = new Map<Snippet, string>();
let pacing = "";

/** Runs a snippet in a process of its own, and gives what it prints; its path reads as the page calls it. */
async function run(s: Snippet): Promise<string> {
  const { stdout } = await runNode(["--import", pacing, "--enable-source-maps", bundled.get(s) as string]);
  return stdout.replaceAll(s.file, "example.ts");
}

/** BLESS=1 rewrites the outputs in the pages. */
const blessing = process.env.BLESS === "1";

describe("snippets that are programs print what the page says", () => {
  beforeAll(async () => {
    const programs = all.filter((s) => s.runs);
    const folder = join(root, ".cache", "docs-run");
    rmSync(folder, { recursive: true, force: true });
    const preload = join(root, "test/support/paced-dawn.ts");
    const [paced, ...files] = await bundleAllForNode([preload, ...programs.map((s) => s.file)], folder);
    pacing = paced as string;
    for (const [i, s] of programs.entries()) bundled.set(s, files[i] as string);
  });

  for (const page of pages) {
    const programs = all.filter((s) => s.page === page && s.runs);
    const printed = new Map<Snippet, string>();
    for (const s of programs) {
      test(where(s), async () => {
        const out = await run(s);
        printed.set(s, out);
        if (!blessing) expect(out).toBe(s.output ?? "");
      });
    }
    if (blessing && programs.length > 0) {
      test(`bless ${page}`, () => {
        const outputs = programs.filter((s) => s.output !== undefined).map((s) => printed.get(s) as string);
        writeFileSync(join(root, page), withOutputs(pageText(page), outputs));
      });
    }
  }
});

test.each(pages)("what %s links to and names exists", (page) => {
  const prose = fences(pageText(page)).reduce((t, f) => t.replace(f.body, ""), pageText(page));
  const links = [...prose.matchAll(/\]\((?!https?:|#)([^)#\s]+)/g)].map((m) => join(dirname(page), m[1] as string));
  const files = [...prose.matchAll(/`((?:src|test|scripts|docs|bench|examples|fixtures)\/[\w./-]+)`/g)].map(
    (m) => m[1] as string,
  );
  expect([...links, ...files].filter((f) => !existsSync(join(root, f)))).toEqual([]);
  const { scripts } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { scripts: object };
  const named = [...pageText(page).matchAll(/npm run ([\w:]+)/g)].map((m) => m[1] as string);
  expect(named.filter((n) => !Object.hasOwn(scripts, n))).toEqual([]);
});
