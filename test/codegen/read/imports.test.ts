import { describe, expect, test } from "vitest";
import { readKernelSource } from "../../../codegen/read/index.ts";
import type { Elementwise } from "../../../src/index.ts";
import { compile, f32, type Tensor } from "../../../src/index.ts";
import { interpret } from "../../../src/ir/interpret.ts";
import { ndarray } from "../../../src/ir/ndarray.ts";
import { type Files, load, read } from "./load.ts";

const entry = "/k/a.kernel.ts";

/** The value of `fn` at 2 on a tensor and as it is. */
async function atTwo(files: Files): Promise<[number | undefined, number]> {
  const fn = (await load(files)).fn as Elementwise<[number], number>;
  const { graph } = compile({ x: f32(1) }, ({ x }) => fn(x));
  return [interpret(graph, { x: ndarray("f32", [1], [2]) }).out?.data[0], fn(2)];
}

describe("functions and constants of other files", () => {
  const cases: Readonly<Record<string, { files: Files; imports: readonly string[] }>> = {
    "by name, renamed, and as a whole": {
      files: {
        [entry]: `import { elementwise as ew } from "sinter";
import * as lib from "./lib/b.ts";
import { half as h, third } from "./lib/b.ts";
export const fn = ew((x: number) => h(x) + third(x) + lib.half(x) * lib.scale + lib.weights[1]!);`,
        "/k/lib/b.ts": `import { scale as inner } from "../c.ts";
export const half = (x: number) => x / 2;
export function third(x: number) { return x / 3 + local; }
const local = 0.25;
export const scale = inner * 2, weights = [1, 5] as const;`,
        "/k/c.ts": "export const scale = 1.5;",
      },
      imports: ["/k/c.ts", "/k/lib/b.ts"],
    },
    "through other files, by default, and by star": {
      files: {
        [entry]: `import * as sinter from "sinter";
import twice, { type Unused, plus, minus } from "./index.ts";
export const fn = sinter.elementwise((x: number) => twice(x) + plus(x) * minus(x));`,
        "/k/index.ts": `export { default } from "./b.ts";
export { add1 as plus } from "./b.ts";
export * from "./c.ts";
export type Unused = number;`,
        "/k/b.ts": "export default (x: number) => x * 2;\nconst add = (x: number) => x + 1;\nexport { add as add1 };",
        "/k/c.ts": "export function minus(x: number): number { return x - 0.5; }",
      },
      imports: ["/k/b.ts", "/k/c.ts", "/k/index.ts"],
    },
    "that are elementwise themselves": {
      files: {
        [entry]: `import { elementwise } from "./sinter.ts";
import { gate } from "./b.kernel.ts";
const inner = elementwise((x: number) => gate(x) * 2);
export const fn = elementwise((x: number) => inner(x) + gate(x));`,
        "/k/sinter.ts": 'export { elementwise, reduction } from "sinter";',
        "/k/b.kernel.ts":
          'import { elementwise } from "sinter";\nexport const gate = elementwise((x: number) => 1 / (1 + Math.exp(-x)));',
      },
      imports: ["/k/b.kernel.ts", "/k/sinter.ts"],
    },
    "that import each other": {
      files: {
        [entry]: `import { elementwise } from "sinter";
import { a } from "./a.ts";
export const fn = elementwise((x: number) => a(x));`,
        "/k/a.ts": 'import { b } from "./b.ts";\nexport const a = (x: number) => b(x) + 1;\nexport const k = 2;',
        "/k/b.ts": 'import { k } from "./a.ts";\nexport const b = (x: number) => x * k;',
      },
      imports: ["/k/a.ts", "/k/b.ts"],
    },
  };
  test.each(Object.entries(cases))("%s", async (_, { files, imports }) => {
    expect((await read(files)).imports).toEqual(imports);
    const [onTensor, onNumber] = await atTwo(files);
    expect(onTensor).toBeCloseTo(onNumber, 5);
  });

  test("specifiers as TypeScript resolves them", async () => {
    const files: Files = {
      [entry]: `import { elementwise } from "sinter";
import { a } from "./a.js";
import { b } from "./b";
import { c } from "../lib";
export const fn = elementwise((x: number) => x * a * b * c);`,
      "/k/a.ts": "export const a = 2;",
      "/k/b.ts": "export const b = 3;",
      "/lib/index.ts": "export const c = 5;",
    };
    const { imports, diagnostics, text } = await read(files);
    expect(diagnostics).toEqual([]);
    expect(imports).toEqual(["/k/a.ts", "/k/b.ts", "/lib/index.ts"]);
    for (const step of ['["const",2]', '["const",3]', '["const",5]']) expect(text).toContain(step);
  });
});

describe("which calls are read", () => {
  test("those of sinter's functions alone, by whatever name", async () => {
    const text = `import { elementwise, reduction as reduce } from "sinter";
import { elementwise as other } from "elsewhere";
export const a = other((x: number) => \`\${x}\`);
export const b = ((elementwise: (f: unknown) => unknown) => elementwise((x: number) => this))((f) => f);
export const c = reduce({ init: () => 0, map: (x: number) => x, combine: (a, b) => a + b });
export const d = Math.max(1, 2), e = { elementwise: (f: unknown) => f }.elementwise(() => "x");
export const f = () => { const k = 3; return elementwise((x: number) => x * k); };
`;
    const { diagnostics, text: after } = await read(text);
    expect(diagnostics).toEqual([]);
    const changed = after.split("\n").flatMap((line, i) => (line === text.split("\n")[i] ? [] : [i + 1]));
    expect(changed).toEqual([5, 7]);
  });

  test("bodies are added as a last argument: no line moves, and nothing before them", async () => {
    const text = `import { elementwise } from "sinter";
export const f = elementwise(
  (x: number) => {
    return x * 2;
  },
);
export const g = elementwise((x: number) => x + 1), h = 2;
`;
    const after = (await read(text)).text;
    expect(after.split("\n").length).toBe(text.split("\n").length);
    expect(after.split("\n")[4]).toMatch(/^ {2}\}, \{"kind":"elementwise",.*\},$/);
    expect(after.split("\n")[6]).toMatch(/^export const g = elementwise\(\(x: number\) => x \+ 1, \{.*\}\), h = 2;$/);
    expect((await read(after)).text).toBe(after);
  });

  test("a text without any stays as it is, Windows line ends and all", async () => {
    const text = 'import { f32 } from "sinter";\r\nexport const a = f32(2);\r\n';
    expect((await read(text)).text).toBe(text);
  });
});

test("the body is plain data with the names of the source", async () => {
  const { text } = await read(`import { elementwise } from "sinter";
export const f = elementwise(({ gain: k, bias }: Affine, [a, b]: readonly [number, number], on: boolean) => on ? a * k + bias : b);`);
  const body = JSON.parse(/, (\{.*\})\);$/.exec(text)?.[1] as string);
  expect(body.inputs).toEqual([
    { name: "gain" },
    { name: "bias" },
    { name: "a" },
    { name: "b" },
    { name: "on", bool: true },
  ]);
  expect(body.params).toEqual([{ gain: 0, bias: 1 }, { "0": 2, "1": 3 }, 4]);
  expect(body.steps).toEqual([
    ["mul", 2, 0],
    ["add", 5, 1],
    ["select", 4, 6, 3],
  ]);
  expect(body.result).toBe(7);
});

test("exports are listed with their documentation", async () => {
  const { exports } = await read(`import { defineKernel, dim, f32 } from "sinter";
/**
 * Adds.
 *
 * @param x rows of it
 */
export const plus = defineKernel(
  {
    name: "plus",
    inputs: (float) => ({
      /** The one. */
      x: float(dim("n")),
      // Not documentation.
      y: float(dim("n")),
      /** The other,
       * on two lines. */
      z: float(dim("n")),
    }),
  },
  ({ x, y, z }) => x.add(y).add(z),
);
const hidden = 1;
/** A function. */
export function f(): number { return hidden; }
export const { a } = { a: 1 };
`);
  expect(exports).toEqual([
    {
      name: "plus",
      line: 7,
      column: 14,
      doc: "Adds.\n\n@param x rows of it",
      inputs: { x: "The one.", z: "The other,\non two lines." },
    },
    { name: "f", line: 24, column: 1, doc: "A function." },
    { name: "a", line: 25, column: 1 },
  ]);
});

test("a body that is not read throws on tensors, and names what reads it", () => {
  return import("../../../src/index.ts").then(({ elementwise, reduction }) => {
    const double = elementwise(function double(x: number) {
      return x * 2;
    });
    expect(double(3)).toBe(6);
    const sum = reduction({ init: () => 0, map: (x: number) => x, combine: (a, b) => a + b });
    expect(sum([1, 2, 3])).toBe(6);
    const traced = (f: (x: Tensor) => Tensor) => () => compile({ x: f32(2) }, ({ x }) => f(x));
    for (const run of [traced(double), traced((x) => sum(x))]) {
      expect(run).toThrow(/not-built/);
      expect(run).toThrow(/sinter build.*sinter\/esbuild.*sinter\/vite/);
    }
    expect(traced(double)).toThrow(/double/);
  });
});

test("files on disk are read where no text is given", async () => {
  const source = await readKernelSource(new URL("./load.ts", import.meta.url).pathname);
  expect(source.text).toContain("readKernelSource");
  expect(source.exports.map((e) => e.name)).toContain("load");
});
