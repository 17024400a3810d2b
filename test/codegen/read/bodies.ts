/** Bodies of elementwise functions: what is before the call in the file, the function, and what it is called on. */
export interface BodyCase {
  readonly before?: string;
  readonly fn: string;
  /** One list for each parameter, of one length. Numbers that f32 holds. */
  readonly at: readonly (readonly number[])[];
  /** As in the graph, where f32 and f64 may differ by more than rounding: the largest relative or absolute difference. */
  readonly within?: number;
}

const few = [-2.5, -1, -0.25, 0, 0.25, 1, 2.5, 7];
const positive = [0.125, 0.5, 1, 1.5, 2, 10, 100, 1e6];
const unit = [-1, -0.75, -0.5, -0.125, 0, 0.125, 0.5, 1];
const odd = [-0, 0, Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 0.5, -0.5, 1e30];
const ints = [-7, -4, -1, 0, 1, 2, 5, 1000];
const others = [2, -3, 3, 4, -1, -2, 3, 7];
const words = [0, 1, 2, 12345, 2 ** 20, 2 ** 24 - 1, 77, 8191];

export const math: readonly BodyCase[] = [
  ...["abs", "atan", "cbrt", "ceil", "cos", "cosh", "exp", "expm1", "floor", "fround", "asinh", "sign"].map((f) => [
    f,
    few,
  ]),
  ...["sin", "sinh", "tan", "tanh", "trunc", "round"].map((f) => [f, few]),
  ...["log", "log10", "log1p", "log2", "sqrt"].map((f) => [f, positive]),
  ...["acos", "asin", "atanh"].map((f) => [f, unit]),
  ["acosh", [1, 1.0009765625, 1.5, 2, 10, 1e6, 2 ** 45, 2 ** 100]],
  ["asinh", [-(2 ** 100), -1e6, -1e-4, 0, 1e-4, 30, 2 ** 45, 2 ** 70]],
  ["cbrt", [-27, -8, 1e-30, 1e30, 64, 2 ** 100, 0.001, 3]],
  ["round", [-2.5, -1.5, -0.5, 0.5, 1.5, 2.5, 2 ** 24 + 2, 0.49999997]],
  ["clz32", words],
].map(([f, at]) => {
  const exact = (at as number[]).map(Math.fround);
  return { fn: `(x: number) => Math.${f}(x)`, at: [exact] };
});

export const bodies: Readonly<Record<string, BodyCase>> = {
  constants: {
    fn: "(x: number) => x * Math.PI + Math.E - Math.LN2 * Math.SQRT1_2 + 0x10 + 1_000 + 1e-3 + .5 + 0b11 + 0o17",
    at: [few],
  },
  "Math of two and more": {
    fn: "(x: number, y: number) => [Math.atan2(y, x), Math.hypot(x, y), Math.hypot(x, y, 2), Math.min(x, y, 1), Math.max(x, y), Math.max(x), Math.pow(y, 3)]",
    at: [few, others],
  },
  "the remainder has the sign of the dividend": {
    fn: "(x: number, y: number) => [x % y, -x % y, x % 3, (x * 10) % 0.75]",
    at: [[-7.5, -4, -1, 1, 2, 5.25, 1000, 3], others],
  },
  powers: { fn: "(x: number, y: number) => [x ** 2, x ** 3, x ** 0.5, x ** y, x ** -1]", at: [positive, others] },
  comparisons: {
    fn: "(x: number, y: number) => ({ lt: x < y, le: x <= y, gt: x > y, ge: x >= y, eq: x === y, ne: x !== y, eq2: x == y, ne2: x != y })",
    at: [
      [1, 2, 3, Number.NaN, 0, -0, 5, 6],
      [1, 3, 2, Number.NaN, -0, 0, 5.5, 6],
    ],
  },
  "truth values": {
    fn: "(x: number, y: number) => ({ a: x > 0 && y > 0, b: x > 0 || y > 0, c: !(x > y), d: !x, e: x > 0 === y > 0, f: x > 0 !== y > 0, n: Number(x > 0), p: +(y > 0) + 1 })",
    at: [few, others],
  },
  "numbers as conditions": {
    fn: "(x: number, y: number) => [x ? y : -y, x && y, x || y, !x ? 1 : 2, x && y > 0 ? 3 : 4, Boolean(x) ? 5 : 6]",
    at: [[0, -0, 1, Number.NaN, -2, 0.5, Number.POSITIVE_INFINITY, 3], others],
  },
  "NaN and infinity": {
    fn: "(x: number) => [Number.isNaN(x) ? 0 : 1, isNaN(x) ? 0 : 1, Number.isFinite(x) ? x : -1, isFinite(x) ? 1 : 0, x !== x ? 7 : x, x === Infinity ? 8 : 9, Number.isInteger(x) ? 1 : 0]",
    at: [odd],
  },
  "integers by | 0": {
    fn: "(x: number, y: number) => { const i = x | 0, j = y | 0; return [i + j, i - j, i * j, (i / j) | 0, i % j, i / j, Math.floor(i / j), Math.trunc(i / j), -i, Math.abs(i), Math.min(i, j, 3), Math.max(i, j), i * 0.5, i + 1]; }",
    at: [ints, others],
  },
  "integers by >>> 0": {
    fn: "(x: number, y: number) => { const i = x >>> 0, j = y >>> 0; return [i + j, (i * j) >>> 0, (i / j) >>> 0, i % j, Math.floor(i / j), i & j, (i ^ j) >>> 0, i >>> 3, i > j ? 1 : 0]; }",
    at: [words, [7, 3, 1, 12, 1024, 4095, 78, 3]],
  },
  "negative numbers by >>> 0": { fn: "(x: number) => x >>> 0", at: [[-1, -2.5, -1000, 3.75, 0, 2 ** 31, 3e9, 1]] },
  bits: {
    fn: "(x: number, y: number) => { const i = x | 0, j = y | 0; return [i & j, i | j, i ^ j, ~i, i << 3, i >> 1, i >>> 28, i << j, ~~x]; }",
    at: [ints, others],
  },
  "32-bit products and hashes": {
    before: `const mix = (h: number, k: number): number => {
      let x = Math.imul(h ^ k, 0x85ebca6b);
      x ^= x >>> 13;
      x = Math.imul(x, 0xc2b2ae35);
      return (x ^ (x >>> 16)) >>> 0;
    };`,
    fn: "(x: number, y: number) => { const h = mix(x | 0, y | 0); return [(h >>> 8) * 2 ** -24, h & 0xff, mix(h, 7) >>> 9]; }",
    at: [words, others],
  },
  "indices into a grid": {
    fn: "(x: number, y: number) => { const i = Math.floor(x) | 0; const row = Math.floor(i / 7) | 0, col = i - row * 7; return [row, col, (row * 3 + col) % 5, Math.floor(y) | 0]; }",
    at: [[0.5, 6.9, 7, 20.25, 100, 48.999, 49, 3], others],
  },
  "blocks, const and destructuring": {
    fn: `({ x, y: [a, b] }: { x: number; y: [number, number] }) => {
      const p = { s: a + b, d: { e: a - b } }, [, second] = [x, x * 2];
      const { s, d: { e: difference } } = p;
      return { sum: s, difference, second, more: [p.d.e, p["s"]] };
    }`,
    at: [few, others, ints],
  },
  "parameters with parts": {
    fn: "(p: { x: number; y: number }, q: readonly [number, number]) => p.x * q[0] + p.y * q[1]",
    at: [few, others, few, ints],
  },
  "if and return": {
    fn: `(x: number, y: number) => {
      if (x < 0) return -1;
      if (x < 1) { if (y > 0) return 1; }
      else if (y < 0) return 2;
      return x + y;
    }`,
    at: [few, others],
  },
  "let and if": {
    fn: `(x: number, y: number) => {
      let a = 0, b;
      if (x > 0) { a = x; b = y; } else { b = -y; if (y > 0) a -= 3; else a += 4; }
      a *= 2; b++;
      return [a, b];
    }`,
    at: [few, others],
  },
  loops: {
    before: "const coefficients = [1, 0.5, -0.25, 0.125] as const; const terms = 4;",
    fn: `(x: number) => {
      let horner = 0, sum = 0, power = 1;
      for (let i = terms - 1; i >= 0; i--) horner = horner * x + coefficients[i]!;
      for (const c of coefficients) { sum += c * power; power *= x; }
      let nested = 0;
      for (let i = 0, j = 8; i < j; i += 2, j--) for (let k = 0; k < 2; ++k) if (k === 1) nested += i * x;
      for (const [k, w] of [[0, 1], [1, x]]) nested += k! * w!;
      return [horner, sum, nested, coefficients.length];
    }`,
    at: [few],
  },
  "a return out of a loop": {
    fn: "(x: number) => { for (let i = 0; i < 5; i++) { if (x < i) return i * 10; } return -1; }",
    at: [[-1, 0, 0.5, 1, 2.5, 4, 5, 9]],
  },
  functions: {
    before: `const square = (v: number) => v * v;
    function twice(f: (v: number) => number, v: number): number { return f(f(v)); }
    const lib = { half: (v: number) => v / 2, third(v: number) { return v / 3; } };
    const { sin, max: most } = Math;
    const gate = elementwise((v: number) => 1 / (1 + Math.exp(-v)));`,
    fn: `function (x: number): number {
      const k = 3;
      const local = (v: number) => v * k;
      return later(x) + twice(square, x) + twice(local, x) + lib.half(x) + lib.third(x) + sin(x) + most(x, 1) + gate(x);
      function later(v: number) { return v - 1; }
    }`,
    at: [few],
  },
  "types are no arithmetic": {
    fn: "<T extends number>(x: T, y: number): number => { type N = number; const a = x as number satisfies number; return (a! + <N>y) as N; }",
    at: [few, others],
  },
  "booleans as parameters": { fn: "(on: boolean, x: number) => (on ? x : 0)", at: [[0, 1, 1, 0, 1, 0, 0, 1], few] },
  "constants only": { fn: "(x: number) => [3, -0, 1 / 0, x]", at: [few] },
  "zeros of both signs": {
    fn: "(x: number) => [1 / -x, 1 / (x * -1), Math.atan2(-0, x)]",
    at: [[0, -0, 1, -1, 2, 3, 4, 5]],
  },
  "great arguments": {
    fn: "(x: number) => [Math.tanh(x), 1 / (1 + Math.exp(-x)), Math.log1p(Math.exp(-Math.abs(x))), Math.hypot(x * 1e28, 3e30)]",
    at: [[-1e10, -100, -20, -1e-6, 1e-6, 20, 100, 1e10].map(Math.fround)],
  },
};
