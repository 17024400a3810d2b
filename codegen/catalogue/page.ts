import { type ErrorSection, type ErrorText, sections } from "./index.ts";

const intro = `# Errors

Every error that Sinter raises for bad input is a \`SinterError\`: \`message\` says what is wrong, where, why and what to do next; \`code\` is stable;
\`diagnostic\` holds the parts (\`code\`, \`message\`, \`place\`, \`cause\`, \`hint\`). Where an op refuses its arguments, \`place\` is the line of your code
that called it, and in Node the message shows that line.

A call that fails loses nothing: a run that was refused was not submitted, a load that failed holds no memory, and the session goes on working.
Only \`device-lost\` and \`disposed\` are final.

\`sinter explain CODE\` prints an entry of this page, which is generated from \`codegen/catalogue\` by \`npm run docs\`.
`;

const link = (code: string): string => `[\`${code}\`](#${code})`;

function table({ title, intro, errors }: ErrorSection): string {
  const rows = errors.map((e) => `| ${link(e.code)} | ${e.summary} |`);
  return [`## ${title}`, "", intro, "", "| code | what it means |", "|---|---|", ...rows, ""].join("\n");
}

const fence = (code: string): string => `\`\`\`js\n${code}\n\`\`\``;

function entry(e: ErrorText): string {
  const { example } = e;
  const shown = example ? ["Refused:", fence(example.wrong), "Instead:", fence(example.right)] : [];
  return [`### ${e.code}`, e.text.trim(), ...shown].join("\n\n");
}

/** `docs/errors.md`: tables of all codes, then the text of each. */
export function errorsPage(): string {
  const tables = sections.map(table).join("\n");
  const texts = sections.flatMap((s) => s.errors).sort((a, b) => (a.code < b.code ? -1 : 1));
  return `${intro}\n${tables}\n## All codes\n\n${texts.map(entry).join("\n\n")}\n`;
}
