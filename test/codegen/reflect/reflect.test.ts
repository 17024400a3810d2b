import { expect, test } from "vitest";
import { checkWgsl, compileWgsl, type ReadText, readingWgsl, reflectWgsl } from "../../../codegen/reflect/index.ts";
import { SinterError } from "../../../src/base/diagnostic.ts";
import { wgslKernel } from "../../../src/index.ts";
import { histogram, tiledMatmul } from "../../support/own-kernels.ts";

test("buffers, fields, overrides and sizes of a tiled product", () => {
  expect(reflectWgsl(tiledMatmul)).toEqual({
    entry: "multiply",
    bindings: [
      { name: "a", binding: 0, access: "read", dtype: "f32", unit: 1, count: null, type: "array<f32>" },
      { name: "b", binding: 1, access: "read", dtype: "f32", unit: 1, count: null, type: "array<f32>" },
      { name: "c", binding: 2, access: "read_write", dtype: "f32", unit: 1, count: null, type: "array<f32>" },
      {
        ...{ name: "sizes", binding: 3, access: "read", dtype: "u32", unit: 1, count: 4, type: "Sizes" },
        fields: [
          { name: "m", scalar: "u32", type: "u32", word: 0, lanes: 1, count: 1, stride: 0 },
          { name: "n", scalar: "u32", type: "u32", word: 1, lanes: 1, count: 1, stride: 0 },
          { name: "k", scalar: "u32", type: "u32", word: 2, lanes: 1, count: 1, stride: 0 },
          { name: "scale", scalar: "f32", type: "f32", word: 3, lanes: 1, count: 1, stride: 0 },
        ],
      },
    ],
    overrides: [{ name: "TILE", type: "u32", value: "8u" }],
    constants: {},
    workgroupSize: ["TILE", "TILE", "1"],
    workgroupMemory: [
      { bytes: 4, counts: ["TILE * TILE"] },
      { bytes: 4, counts: ["TILE * TILE"] },
    ],
    requires: [],
  });
});

const main = "@compute @workgroup_size(64) fn main() { use(); }";
/** A text with one function that mentions every declared buffer. */
const text = (declarations: string, uses: readonly string[] = ["x"]): string =>
  `${declarations}\n${main}\nfn use() { ${uses.map((u) => `_ = &${u};`).join(" ")} }`;
const bindingOf = (declaration: string, before = "") =>
  reflectWgsl(text(`${before}\n@group(0) @binding(0) ${declaration};`), {}).bindings[0];

test("atomics are numbers, bindings need not begin at 0", () => {
  expect(reflectWgsl(histogram).bindings).toEqual([
    { name: "values", binding: 5, access: "read", dtype: "u32", unit: 1, count: null, type: "array<u32>" },
    { name: "bins", binding: 7, access: "read_write", dtype: "u32", unit: 1, count: null, type: "array<atomic<u32>>" },
  ]);
});

test.each([
  ["var<storage> x: array<vec4<f32>>", { dtype: "f32", unit: 4, count: null, access: "read" }],
  ["var<storage, read_write> x: array<vec2i>", { dtype: "i32", unit: 2, access: "read_write" }],
  ["var<storage> x: array<array<vec2f, 3>>", { dtype: "f32", unit: 6, count: null }],
  ["var<storage> x: array<mat4x4<f32>>", { dtype: "f32", unit: 16 }],
  ["var<storage> x: array<f32, N * 2>", { dtype: "f32", unit: 1, count: 16 }],
  ["var<storage> x: Alias", { dtype: "f32", unit: 4, count: null }],
  ["var<storage, read_write> x: Counters", { dtype: "u32", count: 3 }],
  ["var<storage> x: array<Particle>", { dtype: "f32", unit: 4, count: null }],
  ["var<storage> x: array<Mixed>", { dtype: "u32", unit: 2, count: null }],
  ["var<storage> x: Wrapped", { dtype: "i32", unit: 1, count: null }],
  ["var<uniform> x: f32", { dtype: "f32", count: 1, fields: [expect.objectContaining({ name: "", scalar: "f32" })] }],
  ["var<uniform> x: array<vec4f, 2>", { dtype: "f32", count: 8 }],
])("%s", (declaration, expected) => {
  const before = `
    const N = 8u;
    alias V = vec4<f32>;
    alias Alias = array<V>;
    struct Counters { a: atomic<u32>, b: array<atomic<u32>, 2> }
    struct Particle { position: vec2<f32>, speed: vec2f }
    struct Mixed { id: u32, weight: f32 }
    struct Wrapped { data: array<i32> }`;
  expect(bindingOf(declaration, before)).toMatchObject(expected);
});

test("fields lie where WGSL puts them; what has no form as numbers says so", () => {
  const before = "struct P { n: u32, v: vec3<f32>, alpha: f32, list: array<vec4<i32>, 2>, m: mat2x2<f32>, h: f16 }";
  const p = bindingOf("var<uniform> x: P", `enable f16;\n${before}`);
  expect(p?.count).toBe(24);
  expect(p?.dtype).toBe("u32");
  expect(p?.fields?.map((f) => [f.name, f.scalar, f.word, f.lanes, f.count, f.stride])).toEqual([
    ["n", "u32", 0, 1, 1, 0],
    ["v", "f32", 4, 3, 1, 0],
    ["alpha", "f32", 7, 1, 1, 0],
    ["list", "i32", 8, 4, 2, 4],
    ["m", null, 16, 1, 1, 0],
    ["h", null, 20, 1, 1, 0],
  ]);
});

test("extensions, entry points, constants; only what the entry point uses counts", () => {
  const source = `
    enable f16, subgroups; /* a comment with @compute fn none() {} */
    const WIDTH = 4;
    const HALF = WIDTH / 2;
    @id(3) override ROWS = 2;
    override on: bool = true;
    override unused = 1.5;
    var<workgroup> tile: array<vec4<f16>, HALF * ROWS>;
    var<workgroup> other: array<f32, 1000000>;
    @group(0) @binding(0) var<storage, read_write> y: array<f16>;
    @group(1) @binding(0) var t: texture_2d<f32>;
    fn fill() { if (on) { tile[0] = vec4<f16>(); y[0] = tile[1].x; } }
    @compute @workgroup_size(WIDTH * ROWS, HALF,) fn first() { fill(); }
    @compute @workgroup_size(1) fn second() { _ = textureLoad(t, vec2<i32>(), 0); other[0] = unused; }
    @fragment fn third() {}`;
  const s = reflectWgsl(source, { entry: "first" });
  expect(s).toMatchObject({
    entry: "first",
    workgroupSize: ["WIDTH * ROWS", "HALF", "1"],
    workgroupMemory: [{ bytes: 8, counts: ["HALF * ROWS"] }],
    constants: { WIDTH: "4", HALF: "WIDTH / 2" },
    requires: ["f16", "subgroups"],
  });
  expect(s.bindings.map((b) => b.name)).toEqual(["y"]);
  expect(s.overrides).toEqual([
    { name: "ROWS", type: "i32", value: "2" },
    { name: "on", type: "bool", value: "true" },
  ]);
  // Plain data, so that a build can write it down.
  expect(JSON.parse(JSON.stringify(s))).toEqual(s);
});

const buffer = (declaration: string, before = ""): string => text(`${before}\n@group(0) @binding(0) ${declaration};`);

test.each([
  ["no declaration", "let a = 1;", "wgsl-syntax", /1:1: expected a declaration, found "let"/],
  ["an open brace", "fn f() {", "wgsl-syntax", /1:8: \{ is never closed/],
  ["a wrong bracket", "\nfn f() { ( } }", "wgsl-syntax", /2:12: \} closes nothing; \( was opened at 2:10/],
  ["no semicolon", "var<private> x: f32", "wgsl-syntax", /1:1: the var x has no semicolon/],
  ["an open comment", "/* x", "wgsl-syntax", /1:1: a comment has no end/],
  ["no name", "struct { a: f32 }", "wgsl-syntax", /1:8: expected the name of a struct/],
  ["a wrong type", buffer("var<storage> x: array<f32"), "wgsl-syntax", /WGSL \d+:1/],
  ["no entry point", "fn main() {}", "wgsl-entry-point", /no compute entry point/],
  ["another stage", "@fragment fn main() {}", "wgsl-entry-point", /main at 1:11 is of another stage/],
  ["two entry points", `${main} ${main.replace("main", "b")}`, "wgsl-entry-point", /main \(1:30\), b \(1:80\)/],
  ["no workgroup size", "@compute fn main() {}", "wgsl-unsupported", /1:10: entry point main has no workgroup size/],
  ["a texture", buffer("var x: texture_2d<f32>"), "wgsl-unsupported", /2:\d+: x is a texture/],
  ["a storage texture", buffer("var x: texture_storage_2d<r32float, write>"), "wgsl-unsupported", /a storage texture/],
  ["an external texture", buffer("var x: texture_external"), "wgsl-unsupported", /an external texture/],
  ["a sampler", buffer("var x: sampler"), "wgsl-unsupported", /x is a sampler/],
  ["a texture by alias", buffer("var x: T", "alias T = texture_2d<u32>;"), "wgsl-unsupported", /x is a texture/],
  ["another group", text("@group(1) @binding(0) var<storage> x: array<f32>;"), "wgsl-unsupported", /x is in group 1/],
  ["no binding", text("@group(0) var<storage> x: array<f32>;"), "wgsl-unsupported", /the binding of x is missing/],
  [
    "an unknown binding",
    text("@group(0) @binding(B) var<storage> x: array<f32>;"),
    "wgsl-unsupported",
    /binding of x is B/,
  ],
  [
    "another space",
    text("@group(0) @binding(0) var<immediate> x: f32;"),
    "wgsl-unsupported",
    /address space immediate/,
  ],
  ["write only", buffer("var<storage, write> x: array<f32>"), "wgsl-unsupported", /x has the access write/],
  ["vec3", buffer("var<storage> x: array<vec3<f32>>"), "wgsl-unsupported", /takes 16 bytes of which 12 are used/],
  ["mat3", buffer("var<storage> x: array<mat3x3<f32>>"), "wgsl-unsupported", /columns of mat3x3f take 4 scalars/],
  [
    "a gap",
    buffer("var<storage> x: array<S>", "struct S { a: f32, b: vec2<f32> }"),
    "wgsl-unsupported",
    /before field b of S are 4 unused bytes/,
  ],
  [
    "a gap at the end",
    buffer("var<storage> x: array<S>", "struct S { b: vec2<f32>, a: f32 }"),
    "wgsl-unsupported",
    /at the end of S are 4 unused bytes/,
  ],
  [
    "halves among words",
    buffer("var<storage> x: array<S>", "struct S { a: f16, b: f16, c: f32 }"),
    "wgsl-unsupported",
    /mixes halves/,
  ],
  ["booleans", buffer("var<storage> x: array<bool>"), "wgsl-unsupported", /bool is no type of numbers/],
  [
    "a tail",
    buffer("var<storage> x: S", "struct S { n: u32, data: array<f32> }"),
    "wgsl-unsupported",
    /ends in an array without a size/,
  ],
  ["an unknown type", buffer("var<storage> x: array<Nothing>"), "wgsl-unsupported", /x is array<Nothing>/],
  [
    "an unknown size",
    buffer("var<storage> x: array<f32, f(2)>"),
    "wgsl-unsupported",
    /the size of x, f\(2\), was not understood/,
  ],
  [
    "one binding twice",
    text("@group(0) @binding(0) var<storage> x: array<f32>;\n@group(0) @binding(0) var<storage> y: array<f32>;", [
      "x",
      "y",
    ]),
    "wgsl-unsupported",
    /both have binding 0/,
  ],
  [
    "another extension",
    `enable chromium_thing;\n${main}\nfn use() {}`,
    "wgsl-unsupported",
    /1:1: the extension chromium_thing/,
  ],
])("%s is refused with its place", (_, source, code, message) => {
  let error: unknown;
  try {
    reflectWgsl(source, { name: "mine" });
  } catch (e) {
    error = e;
  }
  expect(error).toBeInstanceOf(SinterError);
  const { diagnostic } = error as SinterError;
  expect(diagnostic.code).toBe(code);
  expect(`${diagnostic.message} ${diagnostic.cause}`).toMatch(message);
  expect(diagnostic.message).toMatch(/^mine: /);
  expect(diagnostic.hint).toBeTruthy();
});

test("an entry point that is not there is named with those that are", () => {
  const source = `${main}\nfn use() {}`;
  expect(() => reflectWgsl(source, { entry: "mian" })).toThrow(
    /no compute entry point "mian", but main \(1:30\)[\s\S]*did you mean "main"/,
  );
});

test("the shader compiler says where a text is wrong", async () => {
  expect(await compileWgsl(tiledMatmul)).toEqual([]);
  const wrong = tiledMatmul.replace("sum * sizes.scale", "sum * sizes.missing");
  const line = wrong.split("\n").findIndex((l) => l.includes("missing")) + 1;
  const [problem] = await compileWgsl(wrong);
  expect(problem).toMatchObject({ line, message: expect.stringContaining("missing") });
  expect(wrong.split("\n")[line - 1]?.slice((problem?.column ?? 0) - 1)).toMatch(/^sizes\.missing/);
});

test("a text that does not compile is refused with its line, at the call", async () => {
  await checkWgsl(tiledMatmul, { name: "multiply" });
  const place = { file: "/kernels/own.kernel.ts", line: 3, column: 9 };
  const wrong = tiledMatmul.replace("var sum = 0.0;", "var sum = 0.0 + 1u;");
  await expect(checkWgsl(wrong, { name: "multiply", place })).rejects.toMatchObject({
    code: "wgsl-compile",
    diagnostic: {
      message: expect.stringMatching(/^multiply: WGSL 27:\d+: no matching overload.*\)'$/),
      cause: 'the line is "var sum = 0.0 + 1u;"',
      place,
    },
  });
});

test("a build hears of every text", async () => {
  const texts: ReadText[] = [];
  const kernel = await readingWgsl(texts, async () => {
    wgslKernel(tiledMatmul);
    return wgslKernel(histogram, { name: "histogram" });
  });
  expect(kernel.signature?.entry).toBe("main");
  expect(texts.map((t) => t.name)).toEqual(["wgslKernel", "histogram"]);
  expect(texts[0]?.place?.file).toMatch(/reflect\.test\.ts$/);
  expect(wgslKernel(histogram).signature).toBeUndefined();
});
