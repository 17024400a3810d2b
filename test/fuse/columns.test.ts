import { describe, expect, test } from "vitest";
import { compileGraph } from "../../src/compiler.ts";
import { columnSumOf } from "../../src/fuse/columns.ts";
import { compile, f32, grad, layerNorm, matmul, type Program, rmsNorm, softmax, type Tensor } from "../../src/index.ts";
import { parse } from "../../src/ir/parse.ts";
import type { Capabilities } from "../../src/manifest/manifest.ts";
import { profiles } from "../../src/runtime/profiles.ts";

type Graphed = Pick<Program, "graph">;

const variants = ({ graph }: Graphed, capabilities: Capabilities = profiles.h200) =>
  compileGraph(graph, capabilities).report.kernels.map((k) => k.variant);
const carries = (p: Graphed, capabilities?: Capabilities): boolean =>
  variants(p, capabilities).some((v) => v.startsWith("row_columns"));

/** Gradients of a normalisation of [rows, width] by what is named. */
const gradients = (
  rows: number,
  width: number,
  names: readonly string[] = ["x", "scale", "bias"],
  norm: (t: Record<string, Tensor>) => Tensor = (t) =>
    layerNorm(t.x as Tensor, { scale: t.scale as Tensor, bias: t.bias as Tensor }),
): Graphed => {
  const x = f32(rows, width);
  return compile({ x, scale: f32(width), bias: f32(width), dy: x }, ({ dy, ...t }) =>
    grad((q: Record<string, Tensor>) =>
      norm({ ...t, ...q })
        .mul(dy)
        .sum(),
    )(Object.fromEntries(names.map((n) => [n, t[n as "x"]]))),
  ) as unknown as Graphed;
};

describe("column sums ride on a row kernel", () => {
  test("gradients of scale and bias beside that of the rows", () => {
    expect(variants(gradients(4096, 768))).toEqual(["row_columns_32x4", "row_column_32x8"]);
  });

  test.each([
    ["rows that fill no block", gradients(43691, 768)],
    ["a width that is no vector", gradients(4000, 769)],
    ["long rows", gradients(1024, 4096)],
    [
      "another normalisation",
      gradients(4096, 512, ["x", "scale"], (t) => rmsNorm(t.x as Tensor, { scale: t.scale as Tensor })),
    ],
    [
      "the sum of what a row kernel makes, over several axes",
      compile({ x: f32(8, 512, 768), b: f32(768) }, ({ x, b }) => {
        const y = softmax(x.add(b));
        return { y, sum: y.sum({ axes: [0, 1] }) };
      }),
    ],
  ])("%s", (_, program) => {
    expect(carries(program as Graphed)).toBe(true);
  });
});

describe("column sums have a kernel of their own", () => {
  test.each<[string, Graphed, Capabilities?]>([
    ["on CPU adapters", gradients(4096, 768), profiles.lavapipe],
    ["of a few rows", gradients(512, 768)],
    ["of rows too long for sums in registers", gradients(256, 16384)],
    ["where no kernel goes through the rows", gradients(4096, 768, ["scale", "bias"])],
    [
      "of other rows than the kernel has at hand",
      compile({ x: f32(1024, 1024), dy: f32(1024, 1024) }, ({ x, dy }) => {
        const y = softmax(x);
        return {
          y,
          sum: dy
            .transpose([1, 0])
            .mul(y)
            .sum({ axes: [0] }),
        };
      }),
    ],
    [
      "where another kernel lies between",
      compile({ x: f32(2048, 768), w: f32(768, 768) }, ({ x, w }) => {
        const y = softmax(x);
        return {
          y,
          sum: matmul(y, w)
            .mul(x)
            .sum({ axes: [0] }),
        };
      }),
    ],
  ])("%s", (_, program, capabilities) => {
    expect(carries(program, capabilities)).toBe(false);
  });

  test("where a product that reads the same operand computes them", () => {
    const program = compile({ x: f32(4096, 768), dy: f32(4096, 768) }, ({ x, dy }) => {
      const y = softmax(dy);
      return { y, dw: matmul(x.transpose([1, 0]), y), db: y.sum({ axes: [0] }) };
    });
    expect(carries(program)).toBe(false);
  });
});

test("what a sum over blocks adds up, without the zeros that fill up the last one", () => {
  const of = (pad: string, axes = "1") => {
    const { outputs } = parse(
      `graph(%x: f32[7, 4]) {\n %0 = pad(%x) ${pad} : f32[8, 4]\n %1 = reshape(%0) {shape: [2, 4, 4]} : f32[2, 4, 4]\n` +
        ` %2 = sum(%1) {axes: [${axes}], keepDims: false} : f32[${axes === "1" ? "2" : "4"}, 4]\n return s: %2\n}`,
    );
    const found = columnSumOf(outputs[0]?.node as never);
    return found && [found.of.op, found.parts, found.length];
  };
  expect(of('{low: [0, 0], high: [1, 0], mode: "constant", value: 0}')).toEqual(["input", 2, 4]);
  expect(of('{low: [0, 0], high: [1, 0], mode: "constant", value: 1}')).toEqual(["reshape", 2, 4]);
  expect(of('{low: [1, 0], high: [0, 0], mode: "constant", value: 0}')).toEqual(["reshape", 2, 4]);
  expect(of('{low: [0, 0], high: [1, 0], mode: "edge", value: 0}')).toEqual(["reshape", 2, 4]);
  expect(of('{low: [0, 0], high: [1, 0], mode: "constant", value: 0}', "0")).toBeUndefined();
});
