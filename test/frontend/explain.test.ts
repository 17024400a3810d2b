import { describe, expect, test } from "vitest";
import { compile, dim, f32, profiles } from "../../src/index.ts";
import { expectFused, expectKernels } from "../../src/testing.ts";

const T = dim("T", { hint: 24 });
const program = compile(
  { x: f32(T, 64), w: f32(64, 64), b: f32(64) },
  ({ x, w, b }) => x.matmul(w).add(b).gelu().softmax(),
  { fuse: "off" },
);

describe("explain", () => {
  test("assumes the hints of unbound dims and says so", () => {
    const report = program.explain();
    expect(report.notes[0]).toBe("assuming T = 24: explain({ dims }) for other sizes");
    expect(String(report)).toContain("assuming T = 24");
    const bound = program.explain({ dims: { T: 8 } });
    expect(bound.notes).toEqual([]);
    expect(report.totals.bytesMoved).toBeGreaterThan(bound.totals.bytesMoved);
  });

  test("follows the program's fusion mode unless it is overridden", () => {
    const off = program.explain();
    const legal = program.explain({ fuse: "legal", capabilities: profiles.f16 });
    expect(off.kernels.length).toBeGreaterThan(legal.kernels.length);
    expect(program.explain().text).toBe(off.text);
  });

  test("refuses unknown dims and options", () => {
    expect(() => program.explain({ dims: { t: 8 } })).toThrow(/no dim "t".*did you mean "T"/s);
    expect(() => program.explain({ dim: 1 } as never)).toThrow(/no option "dim".*did you mean "dims"/s);
    expect(() => program.explain({ fuse: "all" as never })).toThrow(/fuse cannot be "all"/);
  });
});

describe("bind", () => {
  test("replaces dims everywhere, or names those that have no size", () => {
    expect(program.bind({ T: 3 }).outputs[0]?.node.type.shape).toEqual([3, 64]);
    expect(() => program.bind()).toThrow(/dim T of the program has no size.*bind\(\{ T: … \}\)/s);
    expect([...program.dims]).toEqual([["T", 24]]);
  });
});

describe("the testing helpers", () => {
  test("accept what is so, and return what they found", () => {
    const report = expectKernels(program, 2);
    expect(report.kernels).toHaveLength(2);
    expect(expectFused(program, "matmul", "add", "gelu").family).toBe("contraction");
    expectKernels(program, program.explain().kernels.length, { fuse: "off" });
  });

  test("list the kernels when it is not so", () => {
    expect(() => expectKernels(program, 1)).toThrow(/the program has 2 kernels, not 1.*matmul add gelu.*not fused/s);
    expect(() => expectFused(program, "matmul", "exp")).toThrow(/no kernel computes matmul and exp together.*k0.*k1/s);
    expect(() => expectFused(program, "matmul", "matmul")).toThrow(/no kernel/);
    expect(() => expectFused(program, "matmul", "gelu", { fuse: "off" })).toThrow(/no kernel/);
    expect(() => expectFused(program, "matmul", "gellu")).toThrow(/no kernel/);
  });
});
