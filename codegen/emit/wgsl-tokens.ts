/** A token of WGSL, and whether blanks or comments stand before it. */
export interface Token {
  readonly text: string;
  readonly kind: "word" | "number" | "sign";
  readonly spaced: boolean;
}

const token =
  /(?<blank>[\s\u0085\u200e\u200f]+)|(?<line>\/\/[^\n\v\f\r\u0085\u2028\u2029]*)|(?<block>\/\*)|(?<number>0[xX][\da-fA-F.]+(?:[pP][+-]?\d+)?[iufh]?|(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?[iufh]?)|(?<word>[\p{ID_Start}_][\p{ID_Continue}]*)|(?<sign>.)/suy;

/** WGSL as tokens; an operator of several signs is several tokens. WGSL has no string literals, and block comments nest. */
export function wgslTokens(text: string): Token[] {
  const out: Token[] = [];
  let spaced = false;
  token.lastIndex = 0;
  for (let m = token.exec(text); m; m = token.exec(text)) {
    const { number, word, block, sign } = m.groups as Readonly<Record<string, string | undefined>>;
    if (block !== undefined) token.lastIndex = blockEnd(text, m.index);
    const found = word ?? number ?? sign;
    if (found === undefined) spaced = true;
    else {
      out.push({ text: found, kind: word !== undefined ? "word" : number !== undefined ? "number" : "sign", spaced });
      spaced = false;
    }
  }
  return out;
}

function blockEnd(text: string, from: number): number {
  const edge = /\/\*|\*\//g;
  edge.lastIndex = from;
  let depth = 0;
  for (let m = edge.exec(text); m; m = edge.exec(text)) {
    depth += m[0] === "/*" ? 1 : -1;
    if (depth === 0) return edge.lastIndex;
  }
  return text.length;
}
