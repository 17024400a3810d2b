import { type ErrorText, errorTexts, findError } from "../catalogue/index.ts";
import { type Context, misused } from "./context.ts";
import type { Terminal } from "./terminal.ts";

const find = (code: string): ReturnType<typeof findError> => findError(code.replace(/^\[|\]$/g, ""));

export const isErrorCode = (code: string): boolean => "code" in find(code);

/** Prints the long text of an error code. */
export function explainError(code: string, { terminal }: Context): void {
  const found = find(code);
  if (!("code" in found)) {
    misused("unknown-code", `there is no file and no error code ${JSON.stringify(code)}`, {
      hint: found.near ? `did you mean ${found.near}?` : `there are ${errorTexts.length}: see docs/errors.md`,
    });
  }
  if (terminal.json) {
    const { code, summary, example } = found;
    const { wrong, right } = example ?? {};
    terminal.out(
      JSON.stringify({ code, summary, text: plain(found.text), ...(example ? { wrong, right } : {}) }, null, 2),
    );
  } else terminal.out(errorText(found, terminal));
}

function errorText(e: ErrorText, { outColors: c, width }: Terminal): string {
  const code = (text: string): string => text.replace(/^/gm, "    ");
  return [
    `${c.bold(c.red(e.code))}: ${plain(e.summary)}`,
    ...paragraphs(plain(e.text)).map((p) => wrap(p, width)),
    ...(e.example
      ? [`${c.bold("refused")}:`, code(e.example.wrong), `${c.bold("instead")}:`, code(e.example.right)]
      : []),
  ].join("\n\n");
}

/** Markdown as text: links become the pages that they lead to. */
const plain = (text: string): string =>
  text.trim().replace(/\[([^\]]+)\]\(([^)]+)\)/g, (_, label, to) => (label === to ? `docs/${to}` : label));

const paragraphs = (text: string): string[] => text.split(/\n\n+/).map((p) => p.replace(/\s+/g, " "));

function wrap(text: string, width: number): string {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ")) {
    if (line !== "" && line.length + word.length + 1 > width) {
      lines.push(line);
      line = word;
    } else line = line === "" ? word : `${line} ${word}`;
  }
  return [...lines, line].join("\n");
}
