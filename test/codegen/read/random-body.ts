import fc from "fast-check";

/** A random expression or statement: its text where these variables are in scope. */
type Text = (scope: readonly string[]) => string;

type Kinds = {
  num: Text;
  int: Text;
  bool: Text;
};

/** Numbers that f32 holds, as are their sums and products: nothing may differ by rounding. */
const exact = ["0", "1", "2", "0.5", "-3", "1.25", "0x10", "1_000", "125e-3", "-0", "Infinity", "k", "table[1]"];
/** Functions whose rows have the values of Math in f64. */
const unary = ["abs", "atan", "ceil", "cos", "exp", "expm1", "floor", "log1p", "sin", "sqrt", "tanh", "trunc"];
const arithmetic = ["+", "-", "*", "/"];
const comparisons = ["<", "<=", ">", ">=", "===", "!==", "==", "!="];
const bitwise = ["&", "|", "^", "<<", ">>"];

type Part = fc.Arbitrary<Text>;

/** An expression of parts. */
const of = (parts: readonly Part[], write: (...x: string[]) => string): Part =>
  fc.tuple(...parts).map(
    (texts): Text =>
      (scope) =>
        write(...texts.map((t) => t(scope))),
  );
const word = (...words: readonly string[]): Part => fc.constantFrom(...words).map((w) => () => w);
const variable: Part = fc.nat().map(
  (v): Text =>
    (scope) =>
      scope[v % scope.length] as string,
);

/** More of a constant expression. */
const bare = word("", " | 0", " >>> 9", " > 1 ? 2 : 0.5", " & 3", " && 4", " || 5", " === 1 ? 3 : 7");

const infix = (x?: string, op?: string, y?: string): string => `(${x} ${op} ${y})`;
// A plus, for TypeScript may take `a < ((b > (c` for type arguments.
const compare = (x?: string, op?: string, y?: string): string => `(${x} ${op} + ${y})`;
const choice = (c?: string, x?: string, y?: string): string => `(${c} ? ${x} : ${y})`;

const { num, bool } = fc.letrec<Kinds>((tie) => {
  const [n, i, b] = [tie("num"), tie("int"), tie("bool")];
  return {
    num: fc.oneof(
      { maxDepth: 4, withCrossShrink: true },
      variable,
      // What else they are computed with is not to be known: o is 0.
      of([word(...exact, "Math.fround(Math.PI)")], (c) => `(${c} + o)`),
      of(
        [word(...exact), word("+", "-", "*", "/", "%"), word("1", "3", "0.5"), bare],
        (c, op, d, e) => `((${c} ${op} ${d}${e}) + o)`,
      ),
      of([n, word(...arithmetic), n], (x, op, y) => `((${x}) ${op} (${y}))`),
      // 1 to an exponent of NaN or infinity is 1 here, not NaN.
      of([n, word("2", "3", "0.5", "-1")], (x, y) => `((${x}) ** ${y})`),
      of([word(...unary), n], (f, x) => `Math.${f}(${x})`),
      of([word("Math.min", "Math.max", "Math.atan2"), n, n], (f, x, y) => `${f}(${x}, ${y})`),
      of([n, n], (x, y) => `helper(${x}, ${y}, o)`),
      // The sign of a zero that % gives is not kept where the dividend is -0.
      of([n, n], (x, y) => `((${x} + 0) % ${y})`),
      of([b, n, n], choice),
      of([n, word("&&", "||"), n], infix),
      of([n], (x) => `(- ${x})`),
      of([b], (x) => `Number(${x})`),
      // Sums of integers wrap; beside a fraction they are numbers again.
      of([i], (x) => `(${x} * 0.125)`),
      of([i], (x) => `((${x} >>> 3) * 0.5)`),
      // Rounded, a quotient by 0 would be 0, not infinite.
      of([i, i], (x, y) => `(${x} / (${y} || 1))`),
    ),
    int: fc.oneof(
      { maxDepth: 3, withCrossShrink: true },
      // Beyond 2^31 a tensor's number saturates where JavaScript's wraps.
      of([n], (x) => `(Math.max(-9e5, Math.min(9e5, ${x})) | 0)`),
      of([i, word(...bitwise), i], infix),
      of([i, word("+", "-", "/", "%"), i], (x, op, y) => `((${x} ${op} ${y}) | 0)`),
      of([i, i], (x, y) => `Math.imul(${x}, ${y})`),
      of([word("~", "Math.clz32"), i], (f, x) => `${f}(${x})`),
      of([b, i, i], (c, x, y) => `(${choice(c, x, y)} | 0)`),
    ),
    bool: fc.oneof(
      { maxDepth: 3, withCrossShrink: true },
      of([n, word(...comparisons), n], compare),
      of([i, word(...comparisons), i], compare),
      of([b, word("&&", "||"), b], infix),
      of([word("!", "!!"), b], (not, x) => `${not}${x}`),
      of([n], (x) => `Number.isNaN(${x})`),
      of([n], (x) => `!!(${x})`),
    ),
  };
});

/** A statement; `next` is the name that it declares, a const: inner functions may use it. */
type Statement = (scope: readonly string[], next: string) => string;

const statement: fc.Arbitrary<Statement> = fc.oneof(
  num.map(
    (x): Statement =>
      (s, v) =>
        `const ${v} = ${x(s)};`,
  ),
  fc.tuple(num, num).map(
    ([x, y]): Statement =>
      (s, v) =>
        `const { a: [, ${v}] } = { a: [${x(s)}, ${y(s)}] };`,
  ),
  fc.tuple(bool, num, num, num).map(
    ([c, x, y, z]): Statement =>
      (s, v) => {
        const branches = `if (${c(s)}) l = ${y(s)}; else l += ${z(s)};`;
        return `let l_${v} = ${x(s)}; ${branches} const ${v} = l;`.replaceAll(/\bl\b/g, `l_${v}`);
      },
  ),
  fc.tuple(bool, bool, num, num).map(
    ([c, d, x, y]): Statement =>
      (s, v) => {
        return `if (${c(s)}) { if (${d(s)}) return ${x(s)}; } const ${v} = ${y(s)};`;
      },
  ),
  fc.tuple(fc.integer({ min: 0, max: 3 }), num, bool, num).map(
    ([n, x, c, y]): Statement =>
      (s, v) => {
        const l = `l_${v}`;
        const body = `const w = ${y([...s, l, "(i + o)"])}; if (${c([...s, "w"])}) ${l} -= w;`;
        return `let ${l} = ${x(s)}; for (let i = 0; i < ${n}; i++) { ${body} } const ${v} = ${l};`;
      },
  ),
  fc.tuple(num, num).map(
    ([x, y]): Statement =>
      (s, v) => {
        return `const f_${v} = (a: number, b: number) => ${x([...s, "a", "b"])}; const ${v} = f_${v}(x, ${y(s)});`;
      },
  ),
);

/** The text of a file that exports `fn`, a function of x, y and o, which is 0. */
export const randomBody: fc.Arbitrary<string> = fc
  .tuple(fc.array(statement, { maxLength: 4 }), num, num)
  .map(([statements, result, helper]) => {
    const scope = ["x", "y"];
    const lines = statements.map((write, i) => {
      const text = write(scope, `v${i}`);
      scope.push(`v${i}`);
      return `  ${text}`;
    });
    // The helper must not call itself.
    const inner = helper(["p", "q", "o"]).replaceAll("helper", "Math.max");
    return [
      'import { elementwise } from "sinter";',
      "const k = 1.5, table = [3, -0.75] as const;",
      `const helper = (p: number, q: number, o: number): number => ${inner};`,
      "export const fn = elementwise((x: number, y: number, o: number): number => {",
      ...lines,
      `  return ${result(scope)};`,
      "});",
    ].join("\n");
  });
