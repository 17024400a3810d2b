import { expect, test } from "vitest";
import { HelperSet, helperText, literalText, wgslContext } from "../../src/ir/ops/helpers.ts";

test("literals are exact by bit pattern", () => {
  expect(literalText(0.5, "f32", 1)).toBe("0.5f");
  expect(literalText(-2, "f32", 4)).toBe("vec4<f32>((-2.0f))");
  expect(literalText(0.1, "f32", 1)).toBe("bitcast<f32>(0x3dcccccdu)");
  expect(literalText(0.1, "f16", 1)).toBe("bitcast<f32>(0x3dccc000u)");
  expect(literalText(-0, "f32", 1)).toBe("bits_1(0x80000000u)");
  expect(literalText(Number.POSITIVE_INFINITY, "f32", 1)).toBe("bits_1(0x7f800000u)");
  expect(literalText(Number.NaN, "f32", 2)).toBe("vec2<f32>(bits_1(0x7fc00000u))");
  expect(literalText(-(2 ** 31), "i32", 1)).toBe("bitcast<i32>(0x80000000u)");
  expect(literalText(-5, "i32", 1)).toBe("(-5i)");
  expect(literalText(2 ** 32 - 1, "u32", 1)).toBe("4294967295u");
  expect(literalText(1, "bool", 4)).toBe("vec4<bool>(true)");
});

test("helpers are declared once, after what they call", () => {
  const set = new HelperSet();
  const c = set.context({ width: 4, args: ["f32"], result: "f32" });
  expect(c.call("tanh", "x")).toBe("tanh_4(x)");
  c.call("expm1", "x");
  c.lit(Number.NaN);
  const text = set.text();
  const at = (name: string): number => text.indexOf(`fn ${name}(`);
  expect(at("expm1_4")).toBeGreaterThan(at("expm1Small_4"));
  expect(at("tanh_4")).toBeGreaterThan(at("expm1_4"));
  expect(at("bits_1")).toBeGreaterThan(0);
  expect(text.split("fn expm1_4(").length).toBe(2);
  expect(helperText("mulHigh", 1)).toContain("fn mulHigh_1(a: u32, b: u32) -> u32");
  expect(wgslContext({ width: 1, args: ["i32"], result: "i32" }).lit(3)).toBe("3i");
});

test("an unknown helper is refused", () => {
  expect(() => new HelperSet().use("toString", 1)).toThrow("there is no WGSL helper");
});
