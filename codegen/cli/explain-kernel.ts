import type { KernelDefinition, KernelDType } from "../../src/frontend/define-kernel.ts";
import { dimsText } from "../../src/frontend/dims.ts";
import type { ExplainReport } from "../../src/fuse/explain.ts";
import type { Capabilities } from "../../src/manifest/manifest.ts";
import type { SizeExpr, UniformCode, UniformVariant } from "../../src/manifest/uniform.ts";
import { compile, type Program } from "../../src/program.ts";
import { profiles } from "../../src/runtime/profiles.ts";
import { compileUniform } from "../uniform/compile.ts";
import { misused } from "./context.ts";
import { type Explanation, ownDims, type Wishes } from "./explanation.ts";
import { reportData, type Traffic, trafficOf, trafficText } from "./traffic.ts";

interface Planned {
  readonly dtype: KernelDType;
  readonly profile: string;
  readonly dims: Readonly<Record<string, number>>;
  readonly report: ExplainReport;
  readonly traffic: Traffic;
  /** Texts for classes of sizes. */
  readonly variants: readonly UniformVariant[];
  svg(): string;
}

/** What a kernel becomes: its fusion at the hinted sizes, and the variants that it is generated in. */
export function explainKernel(name: string, kernel: KernelDefinition, wishes: Wishes, several: boolean): Explanation {
  const dtypes = kernel.dtypes.filter((d) => wishes.dtype === undefined || d === wishes.dtype);
  const { codes, dims, scalars } = compileUniform(kernel);
  const planned = dtypes.flatMap((dtype) => {
    const program = compile(kernel.inputs(dtype) as never, kernel.body as never, {
      donate: kernel.donate as never,
    }) as unknown as Program;
    return codes
      .filter(
        (c) =>
          c.dtype === dtype && (!wishes.capabilities || c.profile === profileFor(wishes.capabilities, codes, dtype)),
      )
      .map((code) => plan(program, code, several ? { ...wishes, dims: ownDims(program, wishes.dims) } : wishes));
  });
  if (planned.length === 0) {
    misused("bad-usage", `${name} is not built for ${wishes.dtype}`, { hint: `choose ${kernel.dtypes.join(" or ")}` });
  }
  return {
    name,
    dims,
    data: { name, kind: "kernel", dims, scalars, plans: planned.map((p) => planData(p, wishes)) },
    text: planned.map((p, i) => planText(name, p, planned[i - 1], wishes)).join("\n\n"),
    svg: () => (planned[0] as Planned).svg(),
  };
}

/** Which texts a device of these capabilities runs. */
const profileFor = (c: Capabilities, codes: readonly UniformCode[], dtype: KernelDType): UniformCode["profile"] =>
  c.features.subgroups && codes.some((k) => k.dtype === dtype && k.profile === "subgroups") ? "subgroups" : "base";

function plan(program: Program, code: UniformCode, wishes: Wishes): Planned {
  const { dtype, profile } = code;
  const chosen: Capabilities = wishes.capabilities ?? profiles[profile];
  // Scalars are words of the argument block and take no binding, and f16 texts need the feature.
  const scalars = program.graph.inputs.filter((n) => n.type.shape.length === 0).length;
  const capabilities: Capabilities = {
    ...chosen,
    features: { ...chosen.features, f16: dtype === "f16" },
    limits: {
      ...chosen.limits,
      maxStorageBuffersPerShaderStage: chosen.limits.maxStorageBuffersPerShaderStage + scalars,
    },
  };
  const options = { dims: wishes.dims, capabilities, fuse: "legal" } as const;
  const dims = { ...Object.fromEntries(program.dims), ...wishes.dims };
  const report = program.explain(options);
  return {
    dtype,
    profile: chosen.name,
    dims,
    report,
    traffic: trafficOf(program.bind(dims), report),
    variants: code.variants,
    svg: () => program.memory(options).svg(),
  };
}

function planData({ dtype, profile, dims, report, traffic, variants }: Planned, { wgsl }: Wishes): object {
  const texts = variants.map((v) => ({
    ...v,
    steps: v.steps.map(({ wgsl: text, ...s }) => (wgsl ? { ...s, wgsl: text } : s)),
  }));
  return { dtype, profile, dims, traffic, ...reportData(report), variants: texts };
}

function planText(name: string, p: Planned, before: Planned | undefined, { wgsl }: Wishes): string {
  const known = before?.report.text === p.report.text ? `as for profile ${before.profile}` : undefined;
  const sizes = Object.keys(p.dims).length ? ` at ${dimsText(p.dims)}` : "";
  return [
    `${name}: kernel, ${p.dtype}, profile ${p.profile}${sizes}`,
    trafficText(p.traffic),
    "",
    known ?? p.report.text.replace(/^assuming .*\n/, "").trimEnd(),
    "",
    "variants, tried in this order:",
    ...p.variants.flatMap((v) => [
      `  ${v.name}: ${conditionText(v)}`,
      ...v.steps.flatMap((s) => {
        const [x, y, z] = s.workgroupSize;
        const size = z > 1 ? `${x} × ${y} × ${z}` : y > 1 ? `${x} × ${y}` : `${x}`;
        return [
          `    ${s.label}`,
          `      ${sizeText(s.groups)} workgroups of ${size}; ${s.bindings.length} bindings, ${s.args.length} words of arguments${
            s.requires.workgroupBytes ? `, ${s.requires.workgroupBytes} B of workgroup memory` : ""
          }`,
          ...(wgsl ? ["", s.wgsl.trimEnd(), ""] : []),
        ];
      }),
    ]),
  ].join("\n");
}

function conditionText(v: UniformVariant): string {
  const each = (sizes: Readonly<Record<string, number>>, text: (name: string, n: number) => string): string[] =>
    Object.entries(sizes).map(([name, n]) => text(name, n));
  const all = [
    ...each(v.multiples, (name, n) => `${name} a multiple of ${n}`),
    ...each(v.min, (name, n) => `${name} ≥ ${n}`),
    ...each(v.max, (name, n) => `${name} ≤ ${n}`),
    ...(v.align > 1 ? [`offsets multiples of ${v.align}`] : []),
  ];
  return all.length ? all.join(", ") : "all sizes";
}

const infix: Readonly<Record<string, string>> = { add: "+", sub: "-", mul: "·", mod: "mod" };

/** A size as people write it. */
function sizeText(e: SizeExpr, inner = false): string {
  if (typeof e !== "object") return String(e);
  const [op, a, b] = e;
  if (op === "ceil" || op === "floor") return `${op}(${sizeText(a)} / ${sizeText(b, true)})`;
  const sign = infix[op];
  if (sign === undefined) return `${op}(${sizeText(a)}, ${sizeText(b)})`;
  const text = `${sizeText(a, true)} ${sign} ${sizeText(b, true)}`;
  return inner ? `(${text})` : text;
}
