import { describe, expect, test } from "vitest";
import { compileGraph } from "../../src/compiler.ts";
import { compile, f32, gelu, type Tensor, tanh, where } from "../../src/index.ts";
import type { Graph } from "../../src/ir/graph.ts";
import { profiles } from "../../src/runtime/profiles.ts";
import { programs } from "../support/programs.ts";
import { compiledFor } from "./kernels.ts";

const textOf = ({ graph }: { graph: Graph }): string =>
  compileGraph(graph, profiles.base)
    .manifest.kernels.map((k) => k.wgsl)
    .join("\n");

const bits = (x: number): number => new Uint32Array(Float32Array.of(x).buffer)[0] as number;
const ofBits = (b: number): number => new Float32Array(Uint32Array.of(b).buffer)[0] as number;

describe("constants are exact", () => {
  const values = [
    0.1,
    1 / 3,
    1e-7,
    16777217,
    123456.789,
    -2.5,
    3.4028234663852886e38,
    2 ** -126,
    2 ** -149,
    1e-40,
    Infinity,
    -Infinity,
    NaN,
    -0,
  ];
  test.each(values)("%f", (c) => {
    const text = textOf(compile({ x: f32(8) }, ({ x }) => where(x.less(1), x.neg(), c)));
    const decimal = [...text.matchAll(/(?<![\w.])\(?(-?\d+\.\d+)f\)?/g)].map((m) => Math.fround(Number(m[1])));
    const pattern = [...text.matchAll(/0x([0-9a-f]{8})u/g)].map((m) => ofBits(Number.parseInt(m[1] as string, 16)));
    expect([...decimal, ...pattern].some((v) => Object.is(v, Math.fround(c)))).toBe(true);
  });

  test("no text that a shader compiler refuses: exponents, infinities, what f32 does not hold", () => {
    for (const { manifest } of compiledFor(profiles.base)) {
      for (const k of manifest.kernels) {
        const body = k.wgsl.slice(k.wgsl.indexOf("@compute")).replace(/0x[0-9a-f]+u/g, "");
        expect(body).not.toMatch(/\d[eE][-+]?\d|\binf\b|Infinity|\bNaN\b|undefined/);
        for (const [, x] of body.matchAll(/(\d+\.\d+)f\b/g)) {
          expect(Math.fround(Number(x)), x).toBe(ofBits(bits(Number(x))));
        }
      }
    }
  });
});

test("the argument of tanh is clamped to 15, inside gelu too", () => {
  const forms: Readonly<Record<string, (x: Tensor) => Tensor>> = {
    tanh: (x) => tanh(x),
    gelu: (x) => gelu(x, { approximate: "tanh" }),
    spelled: (x) => x.mul(0.5).mul(tanh(x.mul(0.7978845608028654).mul(x.mul(x).mul(0.044715).add(1))).add(1)),
  };
  for (const [name, fn] of Object.entries(forms)) {
    const text = textOf(compile({ x: f32(8) }, ({ x }) => fn(x)));
    // Drivers differ in what their own tanh makes of large arguments, so no kernel calls it bare.
    for (const [, argument] of text.matchAll(/\btanh\(([^;]*)\)/g)) expect(argument, name).toMatch(/^clamp\(/);
    if (name !== "gelu") expect(text, name).toMatch(/min\(abs\(\w+\), \S*15\.0/);
  }
});

describe("every kernel of every program", () => {
  const devices = [profiles.base, { ...profiles.base, software: true }, profiles.h200];
  test.each(devices.map((c) => [`${c.name}, software: ${c.software}`, c] as const))("%s", (_, c) => {
    for (const { name, manifest } of compiledFor(c, { cases: programs.filter((p) => !p.name.startsWith("integer")) })) {
      for (const k of manifest.kernels) {
        const where = `${name}: ${k.label}\n${k.wgsl}`;
        expect(k.wgsl, where).not.toMatch(/atomic|override\b/);
        expect(k.wgsl, where).not.toMatch(/\/\/|\/\*/);
        // Index arithmetic divides by constants only.
        const body = k.wgsl.slice(k.wgsl.indexOf("@compute"));
        for (const [, index] of body.matchAll(/\bb\d+\[([^\];]*)\]/g))
          expect(index, where).not.toMatch(/[/%] (?!\d+u)/);
      }
    }
  });
});
