import { fail } from "./diagnostic.ts";

const kinds = ["fn", "var", "const", "override", "struct", "alias", "enable", "requires", "diagnostic", "const_assert"];

export interface WgslAttribute {
  readonly name: string;
  /** Text between its parentheses; empty without any. */
  readonly args: string;
  /** Where the text between the parentheses begins and ends. */
  readonly argsAt: number;
  readonly argsEnd: number;
}

/** A declaration or directive at module scope. Positions are offsets into the text. */
export interface WgslDeclaration {
  readonly kind: string;
  /** Empty for what declares no name. */
  readonly name: string;
  readonly nameAt: number;
  /** Where it begins, attributes included, where its keyword begins, and where it ends. */
  readonly start: number;
  readonly keywordAt: number;
  readonly end: number;
  /** Where the braces of a function or struct begin. */
  readonly bodyAt: number;
  readonly attributes: readonly WgslAttribute[];
  /** What stands in `var<…>`, and where. */
  readonly space: string;
  readonly spaceAt: number;
  /** Declared type and initial value of a var, const, override or alias (the value), as text without comments. */
  readonly type: string;
  readonly value: string;
}

/** `12:5`: line and column of an offset, both from 1. */
export function wgslPosition(text: string, offset: number): string {
  const before = text.slice(0, offset).split("\n");
  return `${before.length}:${(before.at(-1) as string).length + 1}`;
}

/** Fails with `wgsl-syntax` at an offset of the text. */
function failWgslSyntax(text: string, offset: number, message: string): never {
  return fail("wgsl-syntax", `WGSL ${wgslPosition(text, offset)}: ${message}`, {
    hint: "correct the text; line and column count from its beginning",
  });
}

/** The text with comments as spaces, every other character where it was. */
export function withoutComments(text: string): string {
  let out = "";
  let at = 0;
  const blank = (end: number): void => {
    out += text.slice(at, end).replace(/[^\n]/g, " ");
    at = end;
  };
  while (at < text.length) {
    if (text.startsWith("//", at)) {
      const end = text.indexOf("\n", at);
      blank(end < 0 ? text.length : end);
    } else if (text.startsWith("/*", at)) {
      const begin = at;
      let depth = 0;
      let end = at;
      do {
        if (text.startsWith("/*", end)) depth++;
        else if (text.startsWith("*/", end)) depth--;
        else {
          if (end >= text.length) failWgslSyntax(text, begin, "a comment has no end");
          end++;
          continue;
        }
        end += 2;
      } while (depth > 0);
      blank(end);
    } else out += text[at++];
  }
  return out;
}

/**
 * The declarations of a WGSL text, in order. Reads as far as module scope needs: bodies and types stay text. Fails with
 * `wgsl-syntax`, naming line and column, where the text is no sequence of declarations.
 */
export function wgslDeclarations(text: string): readonly WgslDeclaration[] {
  const code = withoutComments(text);
  const out: WgslDeclaration[] = [];
  const c: Cursor = { text, code, at: 0 };
  for (skip(c, /[\s;]*/y); c.at < code.length; skip(c, /[\s;]*/y)) out.push(declaration(c));
  return out;
}

interface Cursor {
  readonly text: string;
  readonly code: string;
  at: number;
}

/** Moves over what the sticky pattern matches and returns it. */
function skip(c: Cursor, pattern: RegExp): string {
  pattern.lastIndex = c.at;
  const found = pattern.exec(c.code)?.[0] ?? "";
  c.at += found.length;
  return found;
}

const identifier = /[\p{XID_Start}_]\p{XID_Continue}*/uy;

function declaration(c: Cursor): WgslDeclaration {
  const start = c.at;
  const attributes: WgslAttribute[] = [];
  while (c.code[c.at] === "@") {
    c.at++;
    skip(c, /\s*/y);
    const name = skip(c, identifier);
    skip(c, /\s*/y);
    const argsAt = c.at + 1;
    const argsEnd = c.code[c.at] === "(" ? balanced(c) - 1 : argsAt;
    attributes.push({ name, args: c.code.slice(argsAt, argsEnd).trim(), argsAt, argsEnd });
    skip(c, /\s*/y);
  }
  const keywordAt = c.at;
  const kind = skip(c, identifier);
  if (!kinds.includes(kind)) {
    failWgslSyntax(
      c.text,
      keywordAt,
      `expected a declaration, found ${JSON.stringify(kind || c.code[keywordAt] || "")}`,
    );
  }
  skip(c, /\s*/y);
  const spaceAt = c.at + 1;
  const space = kind === "var" ? skip(c, /<[^>]*>/y).slice(1, -1) : "";
  skip(c, /\s*/y);
  const named = ["fn", "var", "const", "override", "struct", "alias"].includes(kind);
  const nameAt = c.at;
  const name = named ? skip(c, identifier) : "";
  if (named && !name) failWgslSyntax(c.text, nameAt, `expected the name of a ${kind}`);
  const restAt = c.at;
  const braces = kind === "fn" || kind === "struct";
  seek(c, braces ? "{" : ";", `the ${kind} ${name} has no ${braces ? "body" : "semicolon"}`, keywordAt);
  const bodyAt = c.at;
  if (braces) balanced(c);
  else c.at++;
  const rest = braces ? "" : c.code.slice(restAt, c.at - 1);
  const equals = /(?<![<>=!])=(?!=)/.exec(rest)?.index ?? rest.length;
  return {
    ...{ kind, name, nameAt, start, keywordAt, end: c.at, bodyAt, attributes, space: space.trim(), spaceAt },
    type: rest.slice(0, equals).replace(/^\s*:/, "").trim(),
    value: rest.slice(equals + 1).trim(),
  };
}

const closing: Readonly<Record<string, string>> = { "(": ")", "[": "]", "{": "}" };

/** Moves behind the bracket that closes the one at hand, and returns that position. */
function balanced(c: Cursor): number {
  const open: number[] = [];
  for (const begin = c.at; c.at < c.code.length; ) {
    const ch = c.code[c.at] as string;
    const at = c.at++;
    if (ch in closing) open.push(at);
    else if (ch === ")" || ch === "]" || ch === "}") {
      const from = open.pop() ?? begin;
      if (closing[c.code[from] as string] !== ch) {
        failWgslSyntax(c.text, at, `${ch} closes nothing; ${c.code[from]} was opened at ${wgslPosition(c.text, from)}`);
      }
      if (open.length === 0) return c.at;
    }
  }
  return failWgslSyntax(c.text, open.at(-1) ?? c.at, `${c.code[open.at(-1) ?? 0]} is never closed`);
}

/** Moves to the next `mark` outside of brackets. */
function seek(c: Cursor, mark: string, missing: string, from: number): void {
  while (c.at < c.code.length) {
    const ch = c.code[c.at] as string;
    if (ch === mark) return;
    if (ch in closing && !(mark === ";" && ch === "{")) balanced(c);
    else if (ch === ";" || ch === "}" || ch === "{") break;
    else c.at++;
  }
  failWgslSyntax(c.text, from, missing);
}

/** What a function uses, directly or through others, itself included: every declaration whose name it mentions. */
export function wgslReachable(
  text: string,
  declarations: readonly WgslDeclaration[],
  from: WgslDeclaration,
): ReadonlySet<WgslDeclaration> {
  const code = withoutComments(text);
  const byName = new Map(declarations.filter((d) => d.name).map((d) => [d.name, d]));
  const found = new Set([from]);
  for (const d of found) {
    for (const [word] of code.slice(d.start, d.end).matchAll(new RegExp(identifier.source, "gu"))) {
      const used = byName.get(word);
      if (used) found.add(used);
    }
  }
  return found;
}

export interface WgslEdit {
  readonly start: number;
  readonly end: number;
  readonly text: string;
}

/** The text with ranges replaced. Lines stay where they are: what is replaced leaves its line ends behind it. */
export function editWgsl(text: string, edits: readonly WgslEdit[]): string {
  let out = text;
  for (const e of [...edits].sort((a, b) => b.start - a.start)) {
    const lines = text.slice(e.start, e.end).replace(/[^\n]/g, "");
    out = out.slice(0, e.start) + e.text + lines + out.slice(e.end);
  }
  return out;
}
