import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { root } from "../../scripts/bundle.mjs";

/** A `ts` fence of a page. One marked `run` is a whole program; a `text output` fence after it holds what it prints. */
export interface Snippet {
  readonly page: string;
  /** Line of the page on which the code starts. */
  readonly line: number;
  readonly code: string;
  readonly runs: boolean;
  readonly output: string | undefined;
  /** Where it was written to, to be checked and run. */
  readonly file: string;
}

export const pages = [
  "README.md",
  "CONTRIBUTING.md",
  "docs/architecture.md",
  "docs/cli.md",
  "docs/errors.md",
  "docs/kernels-runtime.md",
  "docs/kernels/README.md",
  "docs/models.md",
  "docs/kernel-files.md",
  "docs/own-wgsl.md",
  "docs/performance.md",
  "docs/running.md",
  "docs/training.md",
];

export const pageText = (page: string): string => readFileSync(join(root, page), "utf8");

interface Fence {
  readonly info: string;
  readonly body: string;
  readonly line: number;
}

export function fences(text: string): Fence[] {
  return [...text.matchAll(/^```(.*)\n([\s\S]*?)^```$/gm)].map((m) => ({
    info: m[1] as string,
    body: m[2] as string,
    line: text.slice(0, m.index).split("\n").length + 1,
  }));
}

/** Writes the snippets of all pages beside each other under `.cache`, so that one compiler run checks them. */
export function snippets(): Snippet[] {
  const folder = join(root, ".cache", "docs");
  mkdirSync(folder, { recursive: true });
  return pages.flatMap((page) => {
    const list = fences(pageText(page));
    return list.flatMap(({ info, body, line }, i) => {
      if (!/^ts\b/.test(info)) return [];
      const next = list[i + 1];
      const file = join(folder, `${page.replace(/\W+/g, "-").toLowerCase()}-${line}.ts`);
      writeFileSync(file, body);
      const output = next?.info === "text output" ? next.body : undefined;
      return [{ page, line, code: body, runs: info === "ts run", output, file }];
    });
  });
}

/** The page with what its snippets printed in place of its `text output` fences. */
export function withOutputs(text: string, printed: readonly string[]): string {
  let n = 0;
  return text.replace(/^```text output\n[\s\S]*?^```$/gm, () => `\`\`\`text output\n${printed[n++]}\`\`\``);
}
