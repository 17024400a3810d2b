import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import type { KernelDefinition } from "../../src/index.ts";
import { interpret } from "../../src/ir/interpret.ts";
import { count } from "../../src/ir/ndarray.ts";
import { profiles } from "../../src/runtime/profiles.ts";
import { type KernelCase, roundingOf, type Sizes } from "./cases/case.ts";
import { kernelCases } from "./cases/index.ts";
import { drawn, firstMismatch, programOf, randomFor } from "./inputs.ts";

const sources = new URL("../../kernels/", import.meta.url);

test("every exported kernel has a case", () => {
  const exported = readdirSync(sources)
    .filter((f) => f.endsWith(".kernel.ts"))
    .flatMap((f) => [...readFileSync(new URL(f, sources), "utf8").matchAll(/^export const (\w+)/gm)].map((m) => m[1]));
  expect(kernelCases.map((c) => c.kernel.name).sort()).toEqual(exported.sort());
});

/** What the interpreter makes of a kernel's body, against the reference; undefined where they agree. */
function interpreted(c: KernelCase, dtype: "f32" | "f16", sizes: Sizes, call: number): string | undefined {
  const graph = programOf(c.kernel as KernelDefinition, dtype).bind(
    Object.fromEntries(Object.entries(sizes)) as Record<string, number>,
  );
  const d = { ...sizes, ...c.scalars };
  const random = randomFor(c.kernel.name, call);
  const inputs = Object.fromEntries(
    graph.inputs.map((n) => {
      const name = n.attrs.name as string;
      const shape = n.type.shape as readonly number[];
      const scalar = c.scalars?.[name];
      const data =
        scalar === undefined ? drawn(c.draw?.[name], n.type.dtype, count(shape), d, random) : Float64Array.of(scalar);
      return [name, { dtype: n.type.dtype, shape, data }];
    }),
  );
  const values = Object.fromEntries(Object.entries(inputs).map(([name, x]) => [name, x.data]));
  const expected = c.reference(values, d, roundingOf(dtype));
  const outputs = Object.entries(interpret(graph, inputs)).map(([name, x]) => ({ name, ...x }));
  return firstMismatch(c, outputs, expected, d);
}

describe.each(kernelCases.map((c) => [c.kernel.name, c] as const))("%s", (_, c) => {
  test("is what its reference computes, at odd sizes", () => {
    for (const dtype of c.kernel.dtypes) {
      c.sizes.forEach((sizes, i) => {
        expect(interpreted(c, dtype, sizes, i), `${dtype} ${JSON.stringify(sizes)}`).toBeUndefined();
      });
    }
  });

  test(`is ${c.steps ?? 1} fused kernels`, () => {
    // Scalars are words of an argument block in the library, and take no binding; tensors are the caller's buffers.
    const scalars = Object.keys(c.scalars ?? {}).length;
    for (const dtype of c.kernel.dtypes) {
      const base = profiles[dtype === "f16" ? "f16" : "base"];
      const limits = {
        ...base.limits,
        maxStorageBuffersPerShaderStage: base.limits.maxStorageBuffersPerShaderStage + scalars,
        maxStorageBufferBindingSize: 2 ** 32,
        maxBufferSize: 2 ** 32,
      };
      const report = programOf(c.kernel as KernelDefinition, dtype).explain({ capabilities: { ...base, limits } });
      expect(report.kernels.length + report.setup.length, String(report)).toBe(c.steps ?? 1);
    }
  });
});
