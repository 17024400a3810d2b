const tokens =
  /\s*(?:(0[xX][0-9a-fA-F]+[iu]?|\d+[iu]?)(?![\w.])|([\p{XID_Start}_]\p{XID_Continue}*)|(<<|>>|[-+*/%&|^(),]))/uy;

/** Binary operators by precedence, loosest first; integers, as sizes are. */
const levels: readonly Readonly<Record<string, (a: number, b: number) => number>>[] = [
  { "|": (a, b) => a | b, "&": (a, b) => a & b, "^": (a, b) => a ^ b },
  { "<<": (a, b) => a * 2 ** b, ">>": (a, b) => Math.floor(a / 2 ** b) },
  { "+": (a, b) => a + b, "-": (a, b) => a - b },
  { "*": (a, b) => a * b, "/": (a, b) => Math.trunc(a / b), "%": (a, b) => a % b },
];
const functions: Readonly<Record<string, (...x: number[]) => number>> = {
  u32: (x) => x,
  i32: (x) => x,
  min: Math.min,
  max: Math.max,
  abs: Math.abs,
};

/**
 * The value of a constant expression of integers, as WGSL writes sizes: literals, named values, + - * / % << >> & | ^,
 * min, max. Undefined for anything else.
 */
export function wgslInteger(text: string, value: (name: string) => number | undefined): number | undefined {
  const list = tokenise(text);
  if (!list) return undefined;
  let at = 0;
  const level = (n: number): number => {
    const ops = levels[n];
    if (!ops) return unary();
    let left = level(n + 1);
    for (let op = ops[list[at] ?? ""]; op; op = ops[list[at] ?? ""]) {
      at++;
      left = op(left, level(n + 1));
    }
    return left;
  };
  const unary = (): number => {
    const t = list[at++] ?? "";
    if (t === "-") return -unary();
    if (t === "(") return closed(level(0));
    if (/^\d/.test(t)) return Number(t.replace(/[iu]$/, ""));
    if (list[at] !== "(") return value(t) ?? Number.NaN;
    const args: number[] = [];
    do {
      at++;
      args.push(level(0));
    } while (list[at] === ",");
    return closed(functions[t]?.(...args) ?? Number.NaN);
  };
  const closed = (x: number): number => (list[at++] === ")" ? x : Number.NaN);
  const result = level(0);
  return at === list.length && Number.isSafeInteger(result) ? result : undefined;
}

function tokenise(text: string): string[] | undefined {
  const out: string[] = [];
  const end = text.trimEnd().length;
  for (tokens.lastIndex = 0; tokens.lastIndex < end; ) {
    const found = tokens.exec(text);
    if (!found) return undefined;
    out.push((found[1] ?? found[2] ?? found[3]) as string);
  }
  return out;
}
