/**
 * The value of a WGSL index expression (`+ - * / % <`, `select`, u32 literals, variables) with u32 wrap-around, parsed
 * with WGSL's precedence so that a missing parenthesis in generated text shows.
 */
export function evaluateIndexText(text: string, variables: Readonly<Record<string, number>>): number {
  const tokens = text.match(/\d+u|[A-Za-z_]\w*|[-+*/%<(),]/g) ?? [];
  if (tokens.join("") !== text.replace(/\s/g, "")) throw new Error(`unexpected character in ${text}`);
  let at = 0;
  const expect = (t: string): void => {
    if (tokens[at++] !== t) throw new Error(`expected ${t} at token ${at} of ${text}`);
  };
  const primary = (): number => {
    const t = tokens[at++] as string;
    if (t === "(") {
      const v = less();
      expect(")");
      return v;
    }
    if (t === "select") {
      expect("(");
      const otherwise = less();
      expect(",");
      const then = less();
      expect(",");
      const condition = less();
      expect(")");
      return condition ? then : otherwise;
    }
    if (/^\d/.test(t)) return Number(t.slice(0, -1));
    const v = variables[t];
    if (v === undefined) throw new Error(`unknown ${t} in ${text}`);
    return v;
  };
  const product = (): number => {
    let v = primary();
    for (;;) {
      const t = tokens[at];
      if (t !== "*" && t !== "/" && t !== "%") return v;
      at++;
      const w = primary();
      // u32 rules: x / 0 = x, x % 0 = 0.
      v = t === "*" ? Math.imul(v, w) >>> 0 : w === 0 ? (t === "/" ? v : 0) : t === "/" ? Math.floor(v / w) : v % w;
    }
  };
  const sum = (): number => {
    let v = product();
    for (;;) {
      const t = tokens[at];
      if (t !== "+" && t !== "-") return v;
      at++;
      const w = product();
      v = (t === "+" ? v + w : v - w) >>> 0;
    }
  };
  function less(): number {
    const v = sum();
    if (tokens[at] !== "<") return v;
    at++;
    return v < sum() ? 1 : 0;
  }
  const value = less();
  if (at !== tokens.length) throw new Error(`unexpected ${tokens[at]} in ${text}`);
  return value;
}
