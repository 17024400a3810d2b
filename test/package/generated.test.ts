import ts from "typescript";
import { describe, expect, test } from "vitest";
import { api, stale } from "../../scripts/api.mjs";
import { entries, root } from "../../scripts/exports.mjs";
import { differences, ledger, sizes } from "../../scripts/sizes.mjs";

test("the type checker reads the package's import paths as the sources that package.json exports on Node", () => {
  const { config } = ts.readConfigFile(`${root}/tsconfig.json`, ts.sys.readFile);
  expect(config.compilerOptions.paths).toEqual(Object.fromEntries(entries.map((e) => [e.path, [`./${e.node}`]])));
});

describe("docs/api", () => {
  const { pages, undocumented } = api();

  test("has a page for every entry", () => {
    for (const e of entries.filter((e) => !e.path.includes("*")))
      expect([...pages.keys()]).toContain(`${e.path.replace("/", "-")}.md`);
    expect(pages.get("sinter.md")).toContain("### compile\n");
    expect(pages.get("sinter-runtime.md")).toContain("### createRuntime\n");
  });

  test("everything exported has TSDoc", () => {
    expect(undocumented).toEqual([]);
  });

  test("is up to date: else run npm run docs", () => {
    expect(stale(pages)).toEqual([]);
  });

  test("links to sections that exist", () => {
    const anchors = new Map(
      [...pages].map(([file, text]) => {
        const seen = new Map<string, number>();
        const names = [...text.replace(/^```[\s\S]*?^```$/gm, "").matchAll(/^#+ (.*)$/gm)].map((m) => {
          const slug = (m[1] as string)
            .toLowerCase()
            .replace(/[^\w -]/g, "")
            .replaceAll(" ", "-");
          const n = seen.get(slug) ?? 0;
          seen.set(slug, n + 1);
          return n === 0 ? slug : `${slug}-${n}`;
        });
        return [file, new Set(names)] as const;
      }),
    );
    const broken = [...pages].flatMap(([file, text]) =>
      [...text.matchAll(/\]\(([\w-]+\.md)?#([^)]+)\)/g)]
        .filter(([, to, anchor]) => !anchors.get(to ?? file)?.has(anchor as string))
        .map(([link]) => `${file}: ${link}`),
    );
    expect(broken).toEqual([]);
  });
});

describe("docs/sizes.md", () => {
  test("lists every entry with its size, within 2 %: else run npm run sizes", async () => {
    expect(differences(ledger(), await sizes())).toEqual([]);
  });

  test("tells growth, shrinking and missing entries", () => {
    const at = (path: string, gzipped: number) => ({ path, minified: 1000, gzipped, onDemand: 0 });
    expect(differences([at("a", 100)], [at("a", 102)])).toEqual([]);
    expect(differences([at("a", 100)], [at("a", 103)])).toEqual(["a was 100 bytes gzipped and is 103"]);
    expect(differences([at("a", 100)], [at("a", 97)])).toEqual(["a was 100 bytes gzipped and is 97"]);
    expect(differences([at("a", 100)], [at("b", 100)])).toEqual(["b is not listed", "a is listed and is gone"]);
  });
});
