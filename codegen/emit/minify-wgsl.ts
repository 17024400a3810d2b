import { shortNamed } from "./wgsl-names.ts";
import { type Token, wgslTokens } from "./wgsl-tokens.ts";
import { withoutUnused } from "./wgsl-unused.ts";

const operators = new Set("-+*/%&|^!~<>=");

/** Tokens that stay apart: words and numbers would run together, and operators could (`a - -b`, `a / *p`, `vec2<f32> = b`). */
const apart = (before: Token, after: Token): boolean => {
  if (before.kind !== "sign" && after.kind !== "sign") return true;
  // A point beside a number would belong to it.
  if ([before, after].some((t) => t.text === ".") && [before, after].some((t) => t.kind === "number"))
    return after.spaced;
  return after.spaced && operators.has(before.text) && operators.has(after.text);
};

/**
 * The same shader in fewer bytes: without comments and without blanks that separate nothing, without functions that nobody calls
 * and with short names. What others may know by its name keeps it: entry points, overrides, bindings, members of structs.
 */
export function minifyWgsl(text: string): string {
  const tokens = shortNamed(shortTypes(withoutUnused(wgslTokens(text))));
  let out = "";
  tokens.forEach((t, i) => {
    const before = tokens[i - 1];
    out += before && apart(before, t) ? ` ${t.text}` : t.text;
  });
  return out;
}

const shortType: Readonly<Record<string, string>> = { f32: "f", i32: "i", u32: "u", f16: "h" };

/** `vec4<f32>` as `vec4f`, unless the text has a meaning of its own for that. */
function shortTypes(tokens: readonly Token[]): Token[] {
  const words = new Set(tokens.map((t) => t.text));
  const out: Token[] = [];
  for (let i = 0; i < tokens.length; i++) {
    const [t, open, type, close] = tokens.slice(i, i + 4) as [Token, Token?, Token?, Token?];
    const short = type && Object.hasOwn(shortType, type.text) ? `${t.text}${shortType[type.text]}` : "";
    if (/^vec[234][fiuh]$/.test(short) && open?.text === "<" && close?.text === ">" && !words.has(short)) {
      out.push({ ...t, text: short });
      i += 3;
    } else out.push(t);
  }
  return out;
}
