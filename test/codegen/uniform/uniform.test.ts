import { attention, defineKernel, dim, f32, gelu, grad, i32, layerNorm, matmul, softmax } from "sinter";
import { describe, expect, test } from "vitest";
import { agreedKernels, following, noting, scheduleOf } from "../../../codegen/uniform/agree.ts";
import { compileUniform } from "../../../codegen/uniform/compile.ts";
import { evaluate } from "../../../codegen/uniform/fit.ts";
import { type Point, pointsFor } from "../../../codegen/uniform/points.ts";
import { kernelsAt, lowered, type PointStep } from "../../../codegen/uniform/regions.ts";
import { samplePoints } from "../../../codegen/uniform/sample.ts";
import type { KernelDefinition } from "../../../src/frontend/define-kernel.ts";
import type { ArgumentSpec, UniformStep } from "../../../src/manifest/uniform.ts";
import type { Decide } from "../../../src/passes/split-reductions.ts";
import { compile, type Program } from "../../../src/program.ts";
import { profiles } from "../../../src/runtime/profiles.ts";
import type { Kernel } from "../../../src/wgsl/kernel.ts";

const rows = dim("rows", { hint: 1024 });
const cols = dim("cols", { hint: 1024 });
const inner = dim("inner", { hint: 768 });
const n = dim("n", { hint: 100_000 });
const batch = dim("batch", { hint: 4 });
const length = dim("length", { hint: 128 });

const definitions: readonly KernelDefinition[] = [
  defineKernel({ name: "gelu", inputs: (float) => ({ x: float(n) }) }, ({ x }) => gelu(x)),
  defineKernel({ name: "softmax", inputs: (float) => ({ x: float(rows, cols) }) }, ({ x }) => softmax(x)),
  defineKernel(
    { name: "layerNorm", inputs: { x: f32(rows, cols), gamma: f32(cols), beta: f32(cols) } },
    ({ x, gamma, beta }) => layerNorm(x, { scale: gamma, bias: beta }),
  ),
  defineKernel({ name: "linear", inputs: { x: f32(rows, inner), w: f32(inner, cols), b: f32(cols) } }, ({ x, w, b }) =>
    gelu(matmul(x, w).add(b)),
  ),
  defineKernel({ name: "sum", inputs: { x: f32(n) } }, ({ x }) => x.sum()),
  defineKernel({ name: "columns", inputs: { x: f32(rows, cols) } }, ({ x }) => x.sum({ axes: 0 })),
  defineKernel({ name: "gather", inputs: { t: f32(rows, cols), i: i32(n) } }, ({ t, i }) => t.gather(i)),
  defineKernel({ name: "shifted", inputs: { x: f32(n), by: f32(), at: i32() } }, ({ x, by, at }) =>
    x.add(by).mul(at.cast("f32")),
  ),
  defineKernel(
    { name: "attention", inputs: { q: f32(batch, length, 32), k: f32(batch, length, 32), v: f32(batch, length, 32) } },
    ({ q, k, v }) => {
      const by = grad((p: { q: typeof q; k: typeof q }) => attention(p.q, p.k, v, { causal: true }).sum())({ q, k });
      return { y: attention(q, k, v, { causal: true }), dq: by.q, dk: by.k };
    },
  ),
] as unknown as KernelDefinition[];

/** The text with the argument block's words put back as numbers: what a kernel for these sizes says. */
function filledIn(step: UniformStep, sizes: Point): string {
  const value = (a: ArgumentSpec): string => {
    if (a.kind === "size") return `${evaluate(a.value, sizes)}u`;
    if (a.kind === "offset") return `%o${a.binding}%`;
    if (a.kind === "scalar") return `%${a.name}%`;
    const v = evaluate(a.value, sizes);
    return `float ${Math.fround({ of: v, inverse: 1 / v, root: Math.sqrt(v), inverseRoot: 1 / Math.sqrt(v) }[a.fn ?? "of"])}`;
  };
  return step.wgsl
    .split("\n")
    .filter((l) => !/^struct Args|> args: Args/.test(l))
    .join("\n")
    .replace(/args\.a(\d+)\b/g, (_, i) => value(step.args[Number(i)] as ArgumentSpec))
    .replace(/i32\((\d+)u\)/g, "$1i");
}

const numbers = (text: string): string =>
  text.replace(/bitcast<f32>\(0x([0-9a-f]{8})u\)|\b(\d+\.\d+)f\b/g, (_, hex?: string, float?: string) => {
    const bits = new DataView(new ArrayBuffer(4));
    if (hex) bits.setUint32(0, Number.parseInt(hex, 16));
    return `float ${Math.fround(hex ? bits.getFloat32(0) : Number(float))}`;
  });

describe("at sizes that it was not made from, the kernel for all sizes is the kernel for those sizes", () => {
  test.each(definitions.map((d) => [d.name, d] as const))("%s", (_, definition) => {
    const kernel = compileUniform(definition);
    const program = compile(definition.inputs("f32") as never, definition.body as never, {
      donate: definition.donate as never,
    }) as unknown as Program;
    const [code] = kernel.codes;
    for (const variant of code?.variants ?? []) {
      const options = { name: variant.name, multiples: variant.multiples };
      const near = new Map([...program.dims].map(([name, hint]) => [name, 1.07 * hint]));
      const [, other] = pointsFor(near, options) as [Point, Point];
      const notes: unknown[] = [];
      const at = (point: Point, decide: Decide) =>
        kernelsAt(lowered(program.bind(point), decide), profiles.base, variant.name === "any");
      const suited = at((pointsFor(program.dims, options) as [Point])[0], noting(notes));
      const from = samplePoints(program.graph, options, program.dims).points;
      const { steps, scratch } = at(other, following(notes));
      const samples = from.map((p) => at(p, following(notes)));
      expect(variant.scratch.map((e) => evaluate(e, other as Point))).toEqual(scratch);
      expect(steps.length).toBe(variant.steps.length);
      steps.forEach((s, i) => {
        const uniform = variant.steps[i] as UniformStep;
        const all = [...samples.map((k) => k.steps[i] as PointStep), s];
        const kernel = agreedKernels(all, scheduleOf(suited.steps[i] as PointStep)).at(-1) as Kernel;
        const named = kernel.wgsl.replace(/%s(\d+)%/g, (_, t) => `%${s.scalars.get(Number(t))?.name}%`);
        expect(numbers(filledIn(uniform, other as Point))).toBe(numbers(named));
        expect(evaluate(uniform.groups, other as Point)).toBe(kernel.groups);
      });
    }
  });
});

describe("what a definition becomes", () => {
  const of = (name: string) => compileUniform(definitions.find((d) => d.name === name) as KernelDefinition);

  test("texts for whole vectors and for any sizes, in f32 and f16, with subgroups where they help", () => {
    const { codes, dims } = of("softmax");
    expect(dims).toEqual(["cols", "rows"]);
    expect(codes.map((c) => `${c.dtype} ${c.profile}: ${c.variants.map((v) => v.name).join(" ")}`)).toEqual([
      "f32 base: aligned any",
      "f32 subgroups: aligned any",
      "f16 base: aligned any",
      "f16 subgroups: aligned any",
    ]);
    expect(codes[0]?.variants.map((v) => [v.multiples, v.align])).toEqual([
      [{ cols: 4 }, 4],
      [{}, 1],
    ]);
    expect(of("gelu").codes.map((c) => c.profile)).toEqual(["base", "base"]);
  });

  test("scalars are words of the argument block, and no binding", () => {
    const { scalars, tensors, codes } = of("shifted");
    expect(scalars).toEqual([
      { name: "by", dtype: "f32" },
      { name: "at", dtype: "i32" },
    ]);
    expect(tensors.f32?.map((t) => `${t.access} ${t.name}`)).toEqual(["read x", "write out"]);
    const [step] = codes[0]?.variants.at(-1)?.steps ?? [];
    expect(step?.bindings.map((b) => b.tensor)).toEqual([0, 1]);
    expect(step?.args.filter((a) => a.kind === "scalar").map((a) => a.name)).toEqual(["at", "by"].sort().reverse());
  });

  test("a long reduction passes partial results on", () => {
    const [code] = of("sum").codes;
    expect(code?.variants.map((v) => [v.steps.length, v.scratch])).toEqual([[2, [4096]]]);
  });
});

describe("refusals", () => {
  const refusal = (fn: () => unknown): string => {
    try {
      fn();
    } catch (e) {
      return (e as Error).message;
    }
    return "";
  };

  test("an input and an output of one name, unless it is replaced in place", () => {
    const twice = (donate: string[]) =>
      defineKernel({ name: "twice", inputs: { x: f32(n) }, donate }, ({ x }) => ({ x: x.mul(2) })) as never;
    expect(refusal(() => compileUniform(twice([])))).toContain("[name-clash]");
    expect(compileUniform(twice(["x"])).tensors.f32).toEqual([
      { name: "x", dtype: "f32", shape: ["n"], access: "update" },
    ]);
  });

  test("a state whose old value is needed after it was replaced", () => {
    const flipped = defineKernel({ name: "flipped", inputs: { x: f32(n) }, donate: ["x"] }, ({ x }) => ({
      x: x.flip(),
    }));
    expect(refusal(() => compileUniform(flipped as never))).toContain("[bad-donation]");
  });

  test("scalars of f16", () => {
    const k = defineKernel({ name: "k", inputs: (float) => ({ x: float(n), s: float() }) }, ({ x, s }) => x.mul(s));
    expect(refusal(() => compileUniform(k as never))).toContain('scalar "s" is f16 [bad-dtype]');
  });

  test("a variant for sizes that the kernel does not have, or for too few", () => {
    const k = (variant: object) =>
      defineKernel({ name: "k", inputs: { x: f32(n) }, variants: [{ name: "v", ...variant }] }, ({ x }) =>
        x.mul(2),
      ) as never;
    expect(refusal(() => compileUniform(k({ multiples: { m: 4 } })))).toContain("[unknown-dim]");
    expect(refusal(() => compileUniform(k({ max: { n: 4 } })))).toContain("[bad-variant]");
  });
});

test("numbers that are the same for all sizes near a small hint still follow from the sizes", () => {
  const m = dim("m", { hint: 96 });
  const k = defineKernel({ name: "k", inputs: { x: f32(m) } }, ({ x }) => x.mul(2)) as never;
  expect(compileUniform(k).codes[0]?.variants.map((v) => v.steps[0]?.groups)).toEqual([
    ["ceil", "m", 256],
    ["ceil", "m", 64],
  ]);
});
