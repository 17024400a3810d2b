import { fail, type Place } from "../base/diagnostic.ts";

export interface Token {
  readonly kind: "name" | "value" | "number" | "string" | "mark" | "end";
  /** The text; of a `value` without its `%`, of a `string` and a quoted `value` unescaped. */
  readonly text: string;
  readonly quoted: boolean;
  readonly place: Place;
}

const patterns: readonly (readonly [Token["kind"] | "space", RegExp])[] = [
  ["space", /(?:[ \t\r\n]|;[^\n]*)+/y],
  ["value", /%(?:[A-Za-z0-9_.]+|"(?:[^"\\\n]|\\.)*")/y],
  ["number", /-?(?:inf\b|\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)|nan\b/y],
  ["name", /[A-Za-z_][A-Za-z0-9_.]*/y],
  ["string", /"(?:[^"\\\n]|\\.)*"/y],
  ["mark", /[()[\]{}<>:,=+*/%]/y],
];

/** Splits the text form of a graph into tokens; `;` starts a comment that ends with the line. */
export function lex(text: string, file: string): Token[] {
  const tokens: Token[] = [];
  let at = 0;
  let line = 1;
  let lineStart = 0;
  while (at < text.length) {
    const place = { file, line, column: at - lineStart + 1 };
    const [kind, word] = match(text, at) ?? fail("parse-error", `unexpected ${JSON.stringify(text[at])}`, { place });
    if (kind !== "space") {
      const body = kind === "value" ? word.slice(1) : word;
      const quoted = body.startsWith('"');
      tokens.push({ kind, text: quoted ? unquote(body, place) : body, quoted, place });
    }
    for (let i = word.indexOf("\n"); i >= 0; i = word.indexOf("\n", i + 1)) {
      line++;
      lineStart = at + i + 1;
    }
    at += word.length;
  }
  tokens.push({ kind: "end", text: "", quoted: false, place: { file, line, column: at - lineStart + 1 } });
  return tokens;
}

function match(text: string, at: number): [Token["kind"] | "space", string] | undefined {
  for (const [kind, pattern] of patterns) {
    pattern.lastIndex = at;
    const word = pattern.exec(text)?.[0];
    if (word) return [kind, word];
  }
  return undefined;
}

function unquote(body: string, place: Place): string {
  try {
    return JSON.parse(body) as string;
  } catch (e) {
    return fail("parse-error", `${body} is not a well-formed string`, { place, cause: (e as Error).message });
  }
}
