import { type DType, tensorBytes } from "../../src/base/dtype.ts";
import type { KernelDefinition, KernelDType } from "../../src/frontend/define-kernel.ts";
import type { Node } from "../../src/ir/graph.ts";
import { rowOf } from "../../src/ir/ops.ts";
import type { SizeExpr, UniformKernel, UniformStep, UniformTensor } from "../../src/manifest/uniform.ts";
import { compile, type Program } from "../../src/program.ts";
import { evaluate } from "../uniform/fit.ts";

type Sizes = Readonly<Record<string, number>>;

/** Bytes that the dispatches of a call bind, each tensor once a dispatch, and the least: inputs read and outputs written once. */
export interface Traffic {
  readonly moved: number;
  readonly floor: number;
}

const bytesAt = (shape: readonly SizeExpr[], dtype: DType, d: Sizes): number =>
  tensorBytes(
    dtype,
    shape.reduce<number>((n, e) => n * evaluate(e, d), 1),
  );

/** Those of the first variant whose conditions the sizes meet. Undefined where the kernel is not built for the dtype. */
export function trafficAt(kernel: UniformKernel, dtype: KernelDType, d: Sizes): Traffic | undefined {
  const tensors = kernel.tensors[dtype];
  const variants = kernel.codes.find((c) => c.dtype === dtype && c.profile === "base")?.variants ?? [];
  const variant = variants.find((v) => Object.entries(v.multiples).every(([n, m]) => (d[n] as number) % m === 0));
  if (!tensors || !variant) return undefined;
  const of = (t: UniformTensor): number => bytesAt(t.shape, t.dtype, d) * (t.access === "update" ? 2 : 1);
  const bound = (s: UniformStep): number[] =>
    s.bindings.map(({ tensor, scratch, access }) => {
      if (tensor === undefined) return evaluate(variant.scratch[scratch as number] as SizeExpr, d);
      const t = tensors[tensor] as UniformTensor;
      return access === "read" ? bytesAt(t.shape, t.dtype, d) : of(t);
    });
  const total = (list: readonly number[]): number => list.reduce((a, b) => a + b, 0);
  return { moved: total(variant.steps.flatMap(bound)), floor: total(tensors.map(of)) };
}

/** A definition as an ordinary program. */
export const programOf = (definition: KernelDefinition, dtype: KernelDType): Program =>
  compile(definition.inputs(dtype) as never, definition.body as never, {
    donate: definition.donate as never,
  }) as unknown as Program;

/**
 * Ops of a graph whose results may be off by more than the last place, each with what the op table allows: `exp 4 ULP`. Sums
 * allow as much as they have elements.
 */
export function inexactOps(nodes: readonly Node[]): string[] {
  const texts = new Map<string, string>();
  for (const { op } of nodes) {
    const { ulp, atol } = rowOf(op).accuracy ?? {};
    const parts = [
      ...(typeof ulp === "number" && ulp > 1 ? [`${ulp} ULP`] : []),
      ...(typeof ulp === "function" ? [`${growth(ulp)} ULP of n elements`] : []),
      ...(atol === undefined ? [] : [`${atol.toPrecision(2)} absolute`]),
    ];
    if (parts.length) texts.set(op, `\`${op}\` ${parts.join(" and ")}`);
  }
  return [...texts.values()].sort();
}

/** A budget that grows with the number of elements, as `2n + 64`. */
function growth(ulp: (n: number) => number): string {
  const slope = ulp(2) - ulp(1);
  const base = ulp(1) - slope;
  return `${slope === 1 ? "" : slope}n${base > 0 ? ` + ${base}` : base < 0 ? ` - ${-base}` : ""}`;
}
