import type { WgslDeclaration } from "../../src/base/wgsl-text.ts";

/** The text being read, with what is known of it. */
export interface Reading {
  readonly source: string;
  readonly declarations: readonly WgslDeclaration[];
  /** The value of a constant expression of integers. */
  integer(text: string): number | undefined;
  /** Refuses the text at a declaration. */
  refuse(at: WgslDeclaration, message: string, cause: string, hint: string): never;
}

/** What stands in `array<…>`, apart at its commas; undefined for another type. */
export function arrayParts(type: string): readonly string[] | undefined {
  const inside = /^array\s*<([\s\S]*)>$/.exec(type)?.[1];
  return inside === undefined ? undefined : split(inside);
}

export function resolveAlias({ declarations }: Reading, type: string): string {
  let text = type;
  for (let i = 0; i < declarations.length; i++) {
    const alias = declarations.find((d) => d.kind === "alias" && d.name === text);
    if (!alias) break;
    text = alias.value;
  }
  return text;
}

/** Apart at the commas outside of brackets. */
export function split(text: string): string[] {
  const out: string[] = [];
  let [depth, begin] = [0, 0];
  for (let i = 0; i <= text.length; i++) {
    const ch = text[i] ?? ",";
    if ("<([".includes(ch)) depth++;
    else if (">)]".includes(ch)) depth--;
    if (ch !== "," || (depth > 0 && i < text.length)) continue;
    out.push(text.slice(begin, i).trim());
    begin = i + 1;
  }
  return out.filter((part) => part !== "");
}
