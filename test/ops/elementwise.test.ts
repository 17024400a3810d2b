import { describe, expect, test } from "vitest";
import { SinterError } from "../../src/base/diagnostic.ts";
import { type DType, dtypes } from "../../src/base/dtype.ts";
import { dim } from "../../src/ir/dim.ts";
import type { Attrs } from "../../src/ir/graph.ts";
import { elementwiseRows } from "../../src/ir/ops/elementwise.ts";
import { erf, erfc } from "../../src/ir/ops/elementwise-number.ts";
import { rowOf } from "../../src/ir/ops.ts";

const { NaN: nan, POSITIVE_INFINITY: inf } = Number;
const least = -(2 ** 31);

function cpu(op: string, x: readonly number[], dtype: DType = "f32", attrs: Attrs = {}): number {
  const row = rowOf(op);
  const args = row.params.map((_, i): DType => (op === "where" && i === 0 ? "bool" : dtype));
  const { dtype: result } = row.infer(
    args.map((d) => ({ dtype: d, shape: [] })),
    attrs,
  ) as { dtype: DType };
  return row.elementwise?.cpu(x, { args, result }, attrs) as number;
}

/** op, arguments, value; from mpmath, IEEE 754 and NumPy. */
type Fact = readonly [string, readonly number[], number];

const checkAll = (facts: readonly Fact[], dtype?: DType): void => {
  for (const [op, x, want] of facts) expect([op, x, cpu(op, x, dtype)]).toEqual([op, x, want]);
};

test("the error function and its complement are exact to 1e-15", () => {
  const values = [
    [0.1, 0.11246291601828488, 0.8875370839817152],
    [0.5, 0.5204998778130465, 0.4795001221869535],
    [1, 0.8427007929497149, 0.15729920705028513],
    [2, 0.9953222650189527, 0.004677734981047266],
    [2.25, 0.9985372834133188, 0.0014627165866811518],
    [2.5, 0.999593047982555, 0.0004069520174449589],
    [3.5, 0.9999992569016276, 7.430983723414128e-7],
    [5, 0.9999999999984626, 1.537459794428035e-12],
    [-0.75, -0.7111556336535151, 1.7111556336535152],
  ] as const;
  for (const [x, y, c] of values) {
    expect(Math.abs(erf(x) / y - 1)).toBeLessThan(1e-15);
    expect(Math.abs(erfc(x) / c - 1)).toBeLessThan(5e-15);
  }
  expect(erfc(10) / 2.088487583762545e-45).toBeCloseTo(1, 12);
  expect(erfc(26) / 5.663192408856143e-296).toBeCloseTo(1, 12);
  expect([erf(-0), erf(inf), erf(-inf), erf(nan)]).toEqual([-0, 1, -1, nan]);
});

test("gelu keeps its relative accuracy for negative arguments", () => {
  const values = [
    [-8, -4.976768459417427e-15, -3.1077829375011112e-21],
    [-3, -0.0040496940948902835, -0.0036373920817730186],
    [-0.5, -0.15426876936299344, -0.15428599017485609],
    [0.5, 0.34573123063700656, 0.34571400982514394],
    [2, 1.9544997361036416, 1.954597694087775],
  ] as const;
  for (const [x, exact, tanh] of values) {
    expect(Math.abs(cpu("gelu", [x], "f32", { approximate: "none" }) / exact - 1)).toBeLessThan(1e-13);
    expect(Math.abs(cpu("gelu", [x], "f32", { approximate: "tanh" }) / tanh - 1)).toBeLessThan(1e-13);
  }
});

test("rounding goes to even and keeps the sign of zero", () => {
  checkAll([
    ["round", [0.5], 0],
    ["round", [1.5], 2],
    ["round", [2.5], 2],
    ["round", [-0.5], -0],
    ["round", [-1.5], -2],
    ["round", [0.49999999999999994], 0],
    ["ceil", [-0.5], -0],
    ["trunc", [-0.5], -0],
    ["floor", [-0.5], -1],
    ["sign", [-0], 0],
    ["sign", [-3], -1],
    ["sign", [nan], nan],
  ]);
});

test("NaN passes through minimum, maximum, clamp and rectifiers", () => {
  for (const [op, x] of [
    ["min", [nan, 1]],
    ["min", [1, nan]],
    ["max", [nan, 1]],
    ["max", [1, nan]],
    ["clamp", [nan, 0, 1]],
    ["clamp", [0, nan, 1]],
    ["relu", [nan]],
    ["elu", [nan]],
    ["leakyRelu", [nan]],
    ["hardSigmoid", [nan]],
    ["hardSwish", [nan]],
    ["gelu", [nan]],
    ["softplus", [nan]],
  ] as const) {
    expect([op, cpu(op, x)]).toEqual([op, nan]);
  }
  checkAll([["clamp", [5, 8, 2], 2]]);
});

test("powers, remainders and angles have IEEE 754's and NumPy's special values", () => {
  checkAll([
    ["pow", [-0, -3], -inf],
    ["pow", [0, -2], inf],
    ["pow", [-0, 3], -0],
    ["pow", [-inf, 3], -inf],
    ["pow", [-inf, -3], -0],
    ["pow", [-2, 0.5], nan],
    ["pow", [-2, 3], -8],
    ["pow", [1, nan], 1],
    ["pow", [nan, 0], 1],
    ["pow", [-1, inf], 1],
    ["pow", [0.5, -inf], inf],
    ["mod", [5, -3], -1],
    ["mod", [-5, 3], 1],
    ["mod", [5, inf], 5],
    ["mod", [5, -inf], -inf],
    ["mod", [-0, 3], 0],
    ["mod", [0, -3], -0],
    ["mod", [5, 0], nan],
    ["mod", [inf, 2], nan],
    ["mod", [1e20, 3], 1],
    ["atan2", [0, -1], Math.PI],
    ["atan2", [-0, -1], -Math.PI],
    ["atan2", [-0, 1], -0],
    ["atan2", [inf, -inf], 0.75 * Math.PI],
    ["log", [0], -inf],
    ["log", [-1], nan],
    ["rsqrt", [0], inf],
    ["exp", [1000], inf],
    ["tanh", [1000], 1],
    ["sigmoid", [-1000], 0],
    ["softplus", [1000], 1000],
    ["logSigmoid", [-1000], -1000],
    ["isNaN", [nan], 1],
    ["isNaN", [inf], 0],
    ["isInf", [-inf], 1],
    ["equal", [nan, nan], 0],
    ["notEqual", [nan, nan], 1],
    ["lessEqual", [nan, nan], 0],
  ]);
});

test("integers wrap, divide and shift as WGSL's", () => {
  checkAll(
    [
      ["add", [2 ** 31 - 1, 1], least],
      ["mul", [65536, 65537], 65536],
      ["mul", [2 ** 31 - 1, 2 ** 31 - 1], 1],
      ["div", [7, 0], 7],
      ["div", [least, -1], least],
      ["div", [-7, 2], -3],
      ["mod", [7, 0], 0],
      ["mod", [least, -1], 0],
      ["mod", [-7, 3], 2],
      ["mod", [7, -3], -2],
      ["abs", [least], least],
      ["neg", [least], least],
      ["not", [0], -1],
      ["shiftLeft", [1, 33], 2],
      ["shiftRight", [-8, 1], -4],
      ["xor", [-1, 1], -2],
    ],
    "i32",
  );
  checkAll(
    [
      ["add", [2 ** 32 - 1, 2], 1],
      ["sub", [0, 1], 2 ** 32 - 1],
      ["mul", [2 ** 32 - 1, 2 ** 32 - 1], 1],
      ["div", [7, 0], 7],
      ["not", [0], 2 ** 32 - 1],
      ["shiftRight", [2 ** 31, 31], 1],
      ["shiftLeft", [3, 31], 2 ** 31],
      ["or", [2 ** 31, 1], 2 ** 31 + 1],
    ],
    "u32",
  );
  checkAll(
    [
      ["xor", [1, 1], 0],
      ["and", [1, 0], 0],
      ["not", [0], 1],
    ],
    "bool",
  );
});

test("casts truncate, saturate and round", () => {
  const cast = (x: number, from: DType, dtype: DType): number => cpu("cast", [x], from, { dtype });
  expect([2.9, -2.9, 1e20, -1e20, nan, -0.5].map((x) => cast(x, "f32", "i32"))).toEqual([
    2,
    -2,
    2 ** 31 - 1,
    least,
    0,
    0,
  ]);
  expect([2.9, -2.9, 1e20, nan].map((x) => cast(x, "f32", "u32"))).toEqual([2, 0, 2 ** 32 - 1, 0]);
  expect([65519, 65520, 0.1, 2 ** -24, 2 ** -26].map((x) => cast(x, "f32", "f16"))).toEqual([
    65504,
    inf,
    0.0999755859375,
    2 ** -24,
    0,
  ]);
  expect([0, -0, nan, 0.5].map((x) => cast(x, "f32", "bool"))).toEqual([0, 0, 1, 1]);
  expect([cast(-1, "i32", "u32"), cast(2 ** 32 - 1, "u32", "i32"), cast(1, "bool", "f32")]).toEqual([
    2 ** 32 - 1,
    -1,
    1,
  ]);
  expect(cpu("bitcast", [1], "f32", { dtype: "u32" })).toBe(0x3f800000);
  expect(cpu("bitcast", [-1], "i32", { dtype: "u32" })).toBe(2 ** 32 - 1);
});

test("flags are true of the CPU meaning", () => {
  const samples: Readonly<Record<string, readonly number[]>> = {
    f32: [-2.5, -1, 0, 0.5, 3],
    i32: [-7, -1, 0, 1, 6],
    u32: [0, 1, 5, 2 ** 31],
    bool: [0, 1],
  };
  let checked = 0;
  for (const row of elementwiseRows) {
    for (const d of dtypes) {
      const { commutative, associative, idempotent, identity, absorbing, involution } = row.flags ?? {};
      if (!row.flags || !accepts(row.name, d)) continue;
      for (const x of samples[d] ?? []) {
        const f = (...v: number[]): number => cpu(row.name, v, d);
        checked++;
        if (identity !== undefined) expect(f(x, identity) + 0).toBe(x);
        if (absorbing !== undefined) expect(f(x, absorbing)).toBe(absorbing);
        if (involution) expect(f(f(x)) + 0).toBe(x);
        if (idempotent) expect(row.params.length === 1 ? f(f(x)) : f(x, x)).toBe(row.params.length === 1 ? f(x) : x);
        for (const y of samples[d] ?? []) {
          if (commutative) expect(f(x, y)).toBe(f(y, x));
          if (associative) for (const z of samples[d] ?? []) expect(f(f(x, y), z)).toBe(f(x, f(y, z)));
        }
      }
    }
  }
  expect(checked).toBeGreaterThan(300);
});

function accepts(op: string, dtype: DType): boolean {
  try {
    cpu(op, [0, 0, 0], dtype);
    return true;
  } catch (e) {
    if (e instanceof SinterError) return false;
    throw e;
  }
}

describe("types", () => {
  const infer = (op: string, args: readonly [DType, readonly unknown[]][], attrs: Attrs = {}): unknown =>
    rowOf(op).infer(
      args.map(([dtype, shape]) => ({ dtype, shape: shape as number[] })),
      attrs,
    );
  const refusal = (f: () => unknown): string => {
    try {
      f();
    } catch (e) {
      return String((e as Error).message);
    }
    return "accepted";
  };

  test("each row takes its dtypes and no others", () => {
    const taken = (op: string): string => dtypes.filter((d) => accepts(op, d)).join(" ");
    expect(
      Object.fromEntries(
        ["add", "exp", "neg", "relu", "and", "not", "less", "equal", "mod", "isNaN", "where", "shiftLeft"].map((op) => [
          op,
          taken(op),
        ]),
      ),
    ).toEqual({
      add: "f32 f16 i32 u32",
      exp: "f32 f16",
      neg: "f32 f16 i32",
      relu: "f32 f16 i32",
      and: "i32 u32 bool",
      not: "i32 u32 bool",
      less: "f32 f16 i32 u32",
      equal: "f32 f16 i32 u32 bool",
      mod: "f32 f16 i32 u32",
      isNaN: "f32 f16",
      where: "f32 f16 i32 u32 bool",
      shiftLeft: "i32 u32",
    });
  });

  test("shapes broadcast as NumPy's, symbolic sizes too", () => {
    const T = dim("T");
    expect(
      infer("add", [
        ["f32", [3, 1]],
        ["f32", [4]],
      ]),
    ).toEqual({ dtype: "f32", shape: [3, 4] });
    expect(
      infer("add", [
        ["f32", [0, 1]],
        ["f32", [1, 5]],
      ]),
    ).toEqual({ dtype: "f32", shape: [0, 5] });
    expect(
      infer("less", [
        ["i32", []],
        ["i32", [2]],
      ]),
    ).toEqual({ dtype: "bool", shape: [2] });
    expect(
      infer("mul", [
        ["f32", [T, 1]],
        ["f32", [1, 8]],
      ]),
    ).toEqual({ dtype: "f32", shape: [T, 8] });
    expect(
      infer("mul", [
        ["f32", [T, 8]],
        ["f32", [4, 8]],
      ]),
    ).toEqual({ dtype: "f32", shape: [4, 8] });
    expect(
      infer("where", [
        ["bool", [2, 1]],
        ["f16", [3]],
        ["f16", []],
      ]),
    ).toEqual({ dtype: "f16", shape: [2, 3] });
  });

  test("refusals name both operands, the cause and a next step", () => {
    const shapes = refusal(() =>
      infer("add", [
        ["f32", [8, 64]],
        ["f32", [8]],
      ]),
    );
    expect(shapes).toContain("add: shapes [8, 64] and [8] do not broadcast [shape-mismatch]");
    expect(shapes).toContain("cause: at axis -1 the sizes are 64 and 8");
    expect(shapes).toContain(
      "next: to align the one-dimensional tensor with axis 0 of the other, reshape it to [8, 1]",
    );
    const mixed = refusal(() =>
      infer("mul", [
        ["f32", [2]],
        ["i32", [2]],
      ]),
    );
    expect(mixed).toContain("mul takes arguments of one dtype, not f32[2] and i32[2] [dtype-mismatch]");
    expect(mixed).toContain('next: cast one of them: cast(x, "f32") or cast(x, "i32")');
    expect(refusal(() => infer("exp", [["i32", [2]]]))).toContain(
      "exp takes f32 or f16, but x is i32[2] [dtype-mismatch]",
    );
    expect(
      refusal(() =>
        infer("where", [
          ["f32", []],
          ["f32", []],
          ["f32", []],
        ]),
      ),
    ).toContain("but cond is f32[]");
    expect(refusal(() => infer("bitcast", [["f16", []]], { dtype: "u32" }))).toContain(
      "bitcast goes between f32, i32 and u32",
    );
  });
});
