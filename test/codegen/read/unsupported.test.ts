import { describe, expect, test } from "vitest";
import type { Diagnostic } from "../../../src/base/diagnostic.ts";
import { type Files, read } from "./load.ts";

/** Marks the place where a diagnostic is due. */
const mark = "§";
const head = 'import { elementwise, reduction } from "sinter";\n';

/** The places of marks in a text, and the text without them. */
function marked(text: string): { text: string; places: string[] } {
  const places: string[] = [];
  const bare = text
    .split("\n")
    .map((line, i) => {
      let rest = line;
      for (let at = rest.indexOf(mark); at >= 0; at = rest.indexOf(mark)) {
        places.push(`${i + 1}:${at + 1}`);
        rest = rest.replace(mark, "");
      }
      return rest;
    })
    .join("\n");
  return { text: bare, places };
}

const placed = (d: Diagnostic): string => `${d.place?.line}:${d.place?.column}`;

/** Reads a text with marks; the diagnostics must lie at them, say what to do, and leave the text as it was. */
async function refused(given: string): Promise<readonly Diagnostic[]> {
  const { text, places } = marked(given);
  const { diagnostics, text: after } = await read(text);
  expect(diagnostics.map(placed)).toEqual(places);
  expect(after).toBe(text);
  for (const d of diagnostics) {
    expect(d.place?.file).toBe("/k/a.kernel.ts");
    expect(d.message.length).toBeGreaterThan(10);
    expect(d.hint?.length ?? 0).toBeGreaterThan(8);
  }
  return diagnostics;
}

const expressions: Readonly<Record<string, string>> = {
  text: 'x > 0 ? §"a" : 1',
  "a template": ["§`$", "{x}` as never"].join(""),
  "a plain template": "§`a` as never",
  "a tagged template": "§String.raw`a` as never",
  "a regular expression": "§/a/ as never",
  "a bigint": "x + §5n",
  null: "§null as never",
  undefined: "§undefined as never",
  this: "§this.k * x",
  new: "x * §new Date().getTime()",
  "a class expression": "§class {} as never",
  typeof: 'x > 0 ? x : §typeof x === §"number" ? 1 : 0',
  void: "§void x as never",
  in: '§"a" §in { a: x } ? 1 : 0'.replace("§", ""),
  instanceof: "x §instanceof Number ? 1 : 0",
  delete: "§delete x.y",
  "optional chaining": "s§?.n",
  "an optional index": "s§?.[0]",
  "an optional call": "Math.sin§?.(x)",
  "??": "x §?? 0",
  "the comma": "(x§, 2)",
  "an assignment": "(x §= 2) + 1",
  "++": "§x++ + 1",
  "--": "§--x + 1",
  "a spread element": "[§...[x, 2]]",
  "a spread argument": "Math.max(§...[x, 2])",
  "a spread property": "({ §...{ a: x } })",
  "a getter": "({ §get a() { return x; } })",
  "a setter": "({ §set a(v: number) {} })",
  "a computed name": "({ §[x]: 1 })",
  "a name that is no identifier": '({ §"a b": x })',
  __proto__: "({ §__proto__: x })",
  "an empty element": "[§, x]",
  "an unknown function of Math": "Math.§sine(x)",
  "random numbers": "Math.§random() * x",
  "an unknown name": "x * §rate",
  "another global": "§parseFloat(x as never)",
  "a method of numbers": "x.§toFixed(2) as never",
  "a method of arrays": "[x, 2].§map((v) => v)[0]!",
  "a property that is not there": "({ mean: x }).§meen",
  "an index that is not there": "[x, 2][§2]!",
  "an index that is not constant": "[x, 2][§x]!",
  "an object as a number": "x + §{ a: 1 }",
  "an array as a number": "x + §[1] as never",
  "a function as a number": "x + §Math.sin as never",
  "too many arguments": "§Math.sin(x, 2)",
  "too few arguments": "§Math.atan2(x)",
  "an async function that is called": "(§async () => x)()",
  "a call of a number": "§(x as never)(1)",
  "one of two forms": "§x > 0 ? [x, 1] : x",
  "import.meta": "§import.meta.env.K * x",
  "dynamic import": '§import(§"./a")',
  "JSON and such": "§JSON.parse(x)",
};

const blocks: Readonly<Record<string, string>> = {
  while: "let a = x; §while (a > 1) a /= 2; return a;",
  "do … while": "let a = x; §do { a /= 2; } while (a > 1); return a;",
  "for … in": "let a = x; §for (const k in { a: 1 }) a++; return a;",
  switch: "§switch (x) { case 0: return 1; default: return 2; }",
  try: "§try { return x; } catch { return 0; }",
  throw: "if (x < 0) §throw new Error(); return x;",
  "a label": "§outer: for (let i = 0; i < 2; i++) {} return x;",
  break: "let a = x; for (let i = 0; i < 2; i++) { if (a > 1) §break; a++; } return a;",
  continue: "let a = x; for (let i = 0; i < 2; i++) { if (a > 1) §continue; a++; } return a;",
  var: "§var a = x; return a;",
  "a class": "§class A {} return x;",
  "an enum": "§enum A { b } return x;",
  debugger: "§debugger; return x;",
  "a statement without effect": "§x + 1; return x;",
  "return without a value": "if (x > 0) §return; return x;",
  "an assignment to a parameter": "§x = 2; return x;",
  "an assignment to a const": "const a = x; §a += 1; return a;",
  "an assignment to a part": "const a = { b: x }; §a.b = 2; return a.b;",
  "an assignment to an element": "const a = [x]; §a[0] = 2; return a[0];",
  "an assignment to several": "let a = x, b = 1; §[a, b] = [b, a]; return a + b;",
  "??=": "let a = x; a §??= 1; return a;",
  "a default in a pattern": "const { a = §1 } = { a: x }; return a;",
  "the rest of a pattern": "const [a, §...b] = [x, 1]; return a;",
  "a part that is not there": "const { a, §b } = { a: x }; return a;",
  "a computed part": "const { §[x]: a } = { a: x }; return a;",
  "a closure over a variable": "let a = x; const f = (v: number) => v * §a; a = 2; return f(x);",
  "a change from inside": "let a = x; const f = (v: number) => { §a += v; return §a; }; return f(x);",
  "no value on some way": "let a; if (x > 0) a = 1; return §a + x;",
  "a name before it is declared": "const b = §a; const a = x; return b;",
  "a loop that depends on the element": "let a = 0; for (let i = 0; §i < x; i++) a += i; return a;",
  "a loop over no array": "let a = 0; for (const b of §x) a += b; return a;",
  "a loop without end": "let a = 0; §for (;;) a += 1; return a;",
  "a loop that is too long": "let a = x; §for (let i = 0; i < 1025; i++) a += i; return a;",
  "loops that are too long together":
    "let a = x; for (let i = 0; i < 40; i++) §for (let j = 0; j < 40; j++) a += j; return a;",
  "a function that calls itself": "const f = (n: number): number => (n > 1 ? n * §f(n - 1) : 1); return f(x);",
  "an inner generator": "function §*f() { yield 1; } return f() as never;",
  "a for of that waits": "let a = x; for §await (const b of [1]) a += b; return a;",
};

const functions: Readonly<Record<string, string>> = {
  "an async function": "elementwise(§async (x: number) => x as never)",
  "a generator": "elementwise(function §* (x: number) { return x; } as never)",
  "a default": "elementwise((x: number, k = §2) => x * k)",
  "an optional parameter": "elementwise((x: number, k§?: number) => x)",
  "a rest parameter": "elementwise((§...x: number[]) => x[0]!)",
  "a default part": "elementwise(({ a = §1 }: { a?: number }) => a)",
  "no result on some way": "elementwise((x: number): never => §{ if (x > 0) return x; })",
  "no result": "elementwise((x: number) => §{})",
  "an empty object": "elementwise(§(x: number) => ({}))",
  "a function as result": "elementwise(§(x: number) => [x, Math.sin] as never)",
  "no function": "elementwise(§2 as never)",
  "a function of JavaScript's": "elementwise(§Math.tanh)",
  "a function of JavaScript's in a reduction":
    "reduction(§{ init: () => 0, map: Math.abs, combine: (a: number, b: number) => a + b })",
  "no argument": "§elementwise()",
  "a class of the file": "elementwise((x: number) => x + §A.b); class A { static b = 1 }",
  "an enum of the file": "elementwise((x: number) => x + §A.b); enum A { b }",
  "a variable of the file": "elementwise((x: number) => x * §rate); let rate = 2",
  "a constant of the file that is no number": 'elementwise((x: number) => x * rate); const rate = §"2" as never',
  "a constant that needs itself": "elementwise((x: number) => x * a); const a: number = §b; const b: number = a",
  "functions that call each other":
    "elementwise((x: number) => even(x)); function even(n: number): number { return odd(n); } function odd(n: number): number { return §even(n); }",
  "a parameter of a function around": "(k: number) => elementwise((x: number) => x * §k)",
  "a variable of a function around": "() => { let k = 2; return elementwise((x: number) => x * §k); }",
  "a tensor function of sinter": 'elementwise((x: number) => §gelu(x)); import { gelu } from "sinter"',
  "a package": 'elementwise((x: number) => §f(x)); import { f } from "mathematics"',
  "an import that is not there": 'elementwise((x: number) => f(x)); import { f } from §"./none.ts"',
  "a reduction of no object": "reduction(§2 as never)",
  "a reduction without combine": "reduction(§{ init: () => 0, map: (x: number) => x } as never)",
  "a reduction with another part":
    "reduction(§{ init: () => 0, map: (x: number) => x, combine: (a, b) => a + b, finish: 1 } as never)",
  "init that is not constant":
    "reduction({ init: §(x: number) => x, map: (x: number) => x, combine: (a, b) => a + b } as never)",
  "states of two forms in map":
    "reduction({ init: () => ({ a: 0, b: 0 }), map: §(x: number) => ({ a: x }), combine: (a, b) => a } as never)",
  "states of two forms in combine":
    "reduction({ init: () => [0, 0], map: (x: number) => [x, x], combine: §(a, b) => [a[0], b[0], 1] } as never)",
  "map without an element": "reduction({ init: () => 0, map: §() => 1, combine: (a, b) => a + b })",
  "a state of a state": "reduction({ init: () => 0, map: (x: number) => x, combine: (a, b) => a.§n + b } as never)",
};

describe("what a body cannot hold is refused where it stands", () => {
  test.each(Object.entries(expressions))("%s", async (_, text) => {
    const diagnostics = await refused(`${head}export const f = elementwise((x: number) =>\n  (${text}));`);
    expect(diagnostics[0]?.code).toMatch(/^(unsupported-syntax|unknown-name|not-constant)$/);
  });

  test.each(Object.entries(blocks))("in a block: %s", async (_, text) => {
    await refused(`${head}\nexport const f = elementwise((x: number) => {\n\t${text}\n});`);
  });

  test.each(Object.entries(functions))("%s", async (_, text) => {
    await refused(`${head}export const f = ${text};`);
  });
});

describe("codes", () => {
  const codeOf = async (text: string): Promise<string | undefined> =>
    (await read(`${head}export const f = elementwise((x: number) => { ${text} });`)).diagnostics[0]?.code;
  test.each([
    ["while (x > 0) {} return x;", "unsupported-syntax"],
    ["return y;", "unknown-name"],
    ["let a = 0; for (let i = 0; i < x; i++) a++; return a;", "not-constant"],
    ["let a = 0; for (let i = 0; i < 9999; i++) a++; return a;", "body-too-large"],
    ["const f = (n: number): number => f(n); return f(x);", "recursive-function"],
  ])("%s", async (text, code) => {
    expect(await codeOf(text)).toBe(code);
  });

  test("a body of too many operations or calls", async () => {
    const steps =
      "let a = x, b = 1; for (let i = 0; i < 1000; i++) { a = Math.sin(a) * b + i; b = a - b / x; } return a;";
    expect(await codeOf(steps)).toBe("body-too-large");
    const levels = Array.from(
      { length: 14 },
      (_, i) => `const f${i + 1} = (v: number): number => f${i}(v) + f${i}(v + 1);`,
    );
    expect(await codeOf(`const f0 = (v: number) => v * x; ${levels.join(" ")} return f14(x);`)).toBe("body-too-large");
  });
});

test("all that is wrong is told at once, in order, each thing once", async () => {
  await refused(`${head}const twice = (v: number) => v * §rate;
export const f = elementwise((x: number) => {
  §switch (x) {}
  const a = twice(x) + twice(2);
  return a + §typeof x + Math.§sine(x);
});
export const g = elementwise((x: number) => §\`\${x}\`);
`);
});

test("a reduction cannot be called in a body", async () => {
  const { text, places } =
    marked(`${head}const sum = reduction({ init: () => 0, map: (x: number) => x, combine: (a, b) => a + b });
export const f = elementwise((x: number) => §sum([x]));`);
  const { diagnostics } = await read(text);
  expect(diagnostics.map(placed)).toEqual(places);
});

test("what stands beside is still read", async () => {
  const { text } = await read(`${head}export const f = elementwise((x: number) => x as never + "a");
export const g = elementwise((x: number) => x * 2);`);
  expect(text.split("\n")[1]).not.toContain("steps");
  expect(text.split("\n")[2]).toContain('"steps"');
});

describe("files", () => {
  const errorsOf = async (files: Files): Promise<string[]> =>
    (await read(files)).diagnostics.map((d) => `${d.code} ${d.place?.file} ${placed(d)}`);

  test("syntax errors", async () => {
    expect(
      await errorsOf({ "/k/a.kernel.ts": `${head}export const f = elementwise((x: number) => x * );\nconst a = ;` }),
    ).toEqual(["syntax-error /k/a.kernel.ts 2:49", "syntax-error /k/a.kernel.ts 3:11"]);
  });

  test("what is wrong in an imported file is placed there, with the function that uses it", async () => {
    const files = {
      "/k/a.kernel.ts": `${head}import { f } from "./b.ts";\nexport const g = elementwise((x: number) => f(x));`,
      "/k/b.ts": "export const f = (x: number) => {\n  while (x > 1) x /= 2;\n  return x;\n};",
    };
    const { diagnostics } = await read(files);
    expect(diagnostics[0]?.place).toEqual({ file: "/k/b.ts", line: 2, column: 3 });
    expect(diagnostics[0]?.cause).toContain("/k/a.kernel.ts:3:18");
    expect(await errorsOf({ ...files, "/k/b.ts": "export const f = (x: number) => ;" })).toEqual([
      "syntax-error /k/b.ts 1:33",
    ]);
    expect(await errorsOf({ ...files, "/k/b.ts": "export const h = 1;" })).toEqual([
      "unknown-name /k/a.kernel.ts 2:19",
    ]);
  });
});
