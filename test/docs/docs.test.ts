import { execFile } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import ts from "typescript";
import { describe, expect, test } from "vitest";
import { root } from "../../scripts/bundle.mjs";
import { fences, pages, pageText, type Snippet, snippets, withOutputs } from "./snippets.ts";

const all = snippets();
const where = (s: Snippet): string => `${s.page}:${s.line}`;

test("every snippet passes the type checker", () => {
  const { config } = ts.readConfigFile(join(root, "tsconfig.json"), ts.sys.readFile);
  const { options } = ts.parseJsonConfigFileContent(config, ts.sys, root);
  const program = ts.createProgram(
    all.map((s) => s.file),
    { ...options, noUnusedLocals: false },
  );
  const problems = all.flatMap((s) =>
    ts.getPreEmitDiagnostics(program, program.getSourceFile(s.file)).map((d) => {
      const { line } = ts.getLineAndCharacterOfPosition(d.file as ts.SourceFile, d.start as number);
      return `${s.page}:${s.line + line} ${ts.flattenDiagnosticMessageText(d.messageText, "\n")}`;
    }),
  );
  expect(problems).toEqual([]);
});

/** Runs a snippet as a reader would, and gives what it prints; its path reads as the page calls it. */
async function run(s: Snippet): Promise<string> {
  const { stdout } = await promisify(execFile)(process.execPath, ["scripts/run.mjs", s.file], {
    cwd: root,
    env: { ...process.env, NO_COLOR: "1" },
  });
  return stdout.replaceAll(s.file, "example.ts");
}

/** BLESS=1 rewrites the outputs in the pages. */
const blessing = process.env.BLESS === "1";

describe("snippets that are programs print what the page says", () => {
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
