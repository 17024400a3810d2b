import fc from "fast-check";
import { expect, test } from "vitest";
import { minifyWgsl } from "../../../codegen/emit/index.ts";
import { wgslTokens } from "../../../codegen/emit/wgsl-tokens.ts";

const texts = (s: string): string[] => wgslTokens(s).map((t) => t.text);

test("comments and blanks go where they separate nothing", () => {
  const cases: readonly (readonly [string, string])[] = [
    ["a // b\n c", "a c"],
    ["a /* b /* nested */ still */ c", "a c"],
    ["a /* never ends", "a"],
    ["let x = a - -b;", "let x=a- -b;"],
    ["y = a / *p;", "y=a/ *p;"],
    ["x = array<bool> = z;", "x=array<bool> =z;"],
    [
      "@group(0) @binding(1)\nvar<storage, read_write> b: array<vec4<f32>, 4>;",
      "@group(0)@binding(1)var<storage,read_write>b:array<vec4f,4>;",
    ],
    ["x = 1.0 * 2. ; y = 0x1e - 5; z = 1e-5f + .5;", "x=1.0*2.;y=0x1e-5;z=1e-5f+.5;"],
    ["a\u2028b\u0085c // d\u2028e", "a b c e"],
    ["x = 1 .x", "x=1 .x"],
    ["if a { } else if b { }", "if a{}else if b{}"],
  ];
  for (const [before, after] of cases) expect(minifyWgsl(before)).toBe(after);
});

test("what is declared gets short names, by scope, and what others know by its name keeps it", () => {
  const before = `
    enable f16;
    diagnostic(off, width);
    alias V = vec4<f32>;
    const width = 4u;
    override total: u32 = width;
    struct S { @align(width) value: f32, x: V }
    @group(0) @binding(0) var<storage, read_write> out: array<S, width>;
    var<private> a: f32;
    fn helper(value: f32, other: ptr<function, S>) -> f32 { return value + (*other).value + a; }
    fn unused() { unusedToo(); }
    fn unusedToo() {}
    @must_use fn attributed() -> u32 { return width; }
    @compute @workgroup_size(width) fn main(@builtin(workgroup_id) workgroup_id: vec3<u32>) {
      let value = helper(1.0, &s);
      for (var i = 0u; i < total; i++) { let inner = value + f32(i); out[i] = inner; }
      { let inner = value.x; { let value = inner + value; out[0] = value; } out[1] = value; }
      var<function> s: S;
      s.value = 1.0;
      loop { let value = 2; continuing { break if value > 1; } }
      switch (1) { case 1: { let other = 1; } default { let a = width; } }
    }`;
  expect(minifyWgsl(before)).toBe(
    "enable f16;diagnostic(off,width);alias A=vec4f;const B=4u;override total:u32=B;struct C{@align(B)value:f32,x:A}" +
      "@group(0)@binding(0)var<storage,read_write>out:array<C,B>;var<private>D:f32;" +
      "fn E(a:f32,b:ptr<function,C>)->f32{return a+(*b).value+D;}" +
      "@must_use fn F()->u32{return B;}" +
      "@compute@workgroup_size(B)fn main(@builtin(workgroup_id)a:vec3u){" +
      "let b=E(1.0,&s);for(var c=0u;c<total;c++){let d=b+f32(c);out[c]=d;}" +
      "{let c=b.x;{let d=c+b;out[0]=d;}out[1]=b;}" +
      "var<function>c:C;c.value=1.0;loop{let d=2;continuing{break if d>1;}}" +
      "switch(1){case 1:{let d=1;}default{let d=B;}}}",
  );
});

test("a name is not seen in its own initial value", () => {
  expect(minifyWgsl("@compute fn f(x: f32) { { let x = x + 1.0; g(x); } }")).toBe(
    "@compute fn f(a:f32){{let b=a+1.0;g(b);}}",
  );
});

test("types keep their names where a text has a meaning of its own for the short ones", () => {
  expect(minifyWgsl("alias vec2f = f32; var<private> v: vec2<f32> = 1; var<private> w: vec3<f32>;")).toBe(
    "alias A=f32;var<private>B:vec2<f32> =1;var<private>C:vec3f;",
  );
});

test("short names collide with nothing, however many there are", () => {
  const locals = Array.from({ length: 200 }, (_, i) => `let v${i} = a + Z + e0;`).join("");
  const short = minifyWgsl(`@compute fn f() { ${locals} }`);
  const names = [...short.matchAll(/let (\w+)=/g)].map((m) => m[1]);
  expect(new Set(names).size).toBe(200);
  expect(names.filter((n) => ["a", "Z", "e0"].includes(n as string))).toEqual([]);
});

const pieces = [
  "let",
  "x",
  "a1",
  "1",
  "2.5f",
  "0x1fu",
  "+",
  "-",
  "*",
  "/",
  "<",
  ">",
  "=",
  "&",
  "!",
  "(",
  ")",
  ";",
  ",",
  ".",
  "@",
  "/*c*/",
  "//c\n",
  " ",
  "\n",
  "\t",
];

test("tokens stay the same, whatever the text", () => {
  fc.assert(
    fc.property(fc.array(fc.constantFrom(...pieces), { maxLength: 40 }), (parts) => {
      const before = parts.join("");
      expect(texts(minifyWgsl(before))).toEqual(texts(before));
    }),
  );
});

test("minifying again changes nothing", () => {
  fc.assert(
    fc.property(fc.array(fc.constantFrom(...pieces), { maxLength: 40 }), (parts) => {
      const once = minifyWgsl(parts.join(""));
      expect(minifyWgsl(once)).toBe(once);
    }),
  );
});
