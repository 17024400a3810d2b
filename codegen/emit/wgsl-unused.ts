import type { Token } from "./wgsl-tokens.ts";

/** The tokens without functions that no entry point needs. */
export function withoutUnused(tokens: readonly Token[]): readonly Token[] {
  const functions = functionsOf(tokens);
  const uses = new Map<string, number>();
  for (const t of tokens) uses.set(t.text, (uses.get(t.text) ?? 0) + 1);
  const unused = functions.filter((f) => f.plain && uses.get(f.name) === 1);
  if (unused.length === 0) return tokens;
  const gone = new Set(unused.flatMap(({ from, to }) => Array.from({ length: to - from }, (_, i) => from + i)));
  // What they called may be unused now.
  return withoutUnused(tokens.filter((_, i) => !gone.has(i)));
}

interface FunctionTokens {
  readonly name: string;
  readonly from: number;
  readonly to: number;
  /** It has no attributes, so it is no entry point. */
  readonly plain: boolean;
}

function functionsOf(tokens: readonly Token[]): FunctionTokens[] {
  const out: FunctionTokens[] = [];
  let declared = 0;
  let depth = 0;
  for (let i = 0; i < tokens.length; i++) {
    const text = tokens[i]?.text;
    if (text === "{") depth++;
    if (text === "}") depth--;
    if (depth === 0 && text === "fn")
      out.push({ name: tokens[i + 1]?.text ?? "", from: i, to: i, plain: declared === i });
    if (depth > 0 || (text !== "}" && text !== ";")) continue;
    declared = i + 1;
    const last = out.at(-1);
    if (text === "}" && last?.from === last?.to) out[out.length - 1] = { ...(last as FunctionTokens), to: i + 1 };
  }
  return out.filter((f) => f.to > f.from);
}
