import { fail } from "../../src/base/diagnostic.ts";
import type { KernelDefinition, KernelDType, KernelVariantOptions } from "../../src/frontend/define-kernel.ts";
import { type Dim, dimNames, isSym, type Shape } from "../../src/ir/dim.ts";
import type { Graph, Node } from "../../src/ir/graph.ts";
import type { Capabilities } from "../../src/manifest/manifest.ts";
import type {
  UniformCode,
  UniformKernel,
  UniformStep,
  UniformTensor,
  UniformVariant,
} from "../../src/manifest/uniform.ts";
import { compile, type Program } from "../../src/program.ts";
import { profiles } from "../../src/runtime/profiles.ts";
import { isScalarInput } from "../../src/wgsl/kernel.ts";
import { Fitter, sizeExpr } from "./fit.ts";
import { type Point, pointsFor } from "./points.ts";
import { type Held, kernelsAt, lowered, type PointKernels } from "./regions.ts";
import { NotUniform, type ScalarArgument, uniformKey, unify } from "./text.ts";

/** Factors of the hinted sizes, tried in turn where a schedule changes between the points around one size. */
const scales = [1, 0.72, 1.37, 2.1, 0.5];

type Profile = UniformCode["profile"];

/**
 * A kernel whose sizes are data, from a definition with named dims. It is compiled at several sizes; what the texts have in
 * common becomes the kernel, and numbers that differ become words of an argument block, each one expression in the sizes.
 * At the sizes it was made from it is the specialised kernel, byte for byte.
 * @throws SinterError `not-uniform` where kernels of different sizes differ by more than numbers
 */
export function compileUniform(definition: KernelDefinition): UniformKernel {
  const programs = definition.dtypes.map((dtype) => ({ dtype, program: traced(definition, dtype) }));
  const [first] = programs as [{ dtype: KernelDType; program: Program }];
  const { graph } = first.program;
  return {
    name: definition.name,
    dims: [...first.program.dims.keys()].sort(),
    scalars: graph.inputs.filter(isScalarInput).map((n) => ({ name: n.attrs.name as string, dtype: scalarType(n) })),
    tensors: Object.fromEntries(programs.map(({ dtype, program }) => [dtype, tensorsOf(program.graph)])),
    codes: programs.flatMap(({ dtype, program }) => codesOf(definition, program, dtype)),
  };
}

function traced(definition: KernelDefinition, dtype: KernelDType): Program {
  return compile(definition.inputs(dtype) as never, definition.body as never, {
    donate: definition.donate as never,
  }) as unknown as Program;
}

const scalarType = (n: Node): ScalarArgument["dtype"] =>
  n.type.dtype === "bool" || n.type.dtype === "f16" ? "f32" : n.type.dtype;

function tensorsOf(graph: Graph): UniformTensor[] {
  const outputs = new Set(graph.outputs.map((o) => o.name));
  const shape = (s: Shape) => s.map(sizeExpr);
  const inputs = graph.inputs.filter((n) => !isScalarInput(n));
  const names = new Set(inputs.map((n) => n.attrs.name as string));
  const clash = graph.outputs.find((o) => names.has(o.name) && !isState(graph, o.name));
  if (clash) {
    fail("name-clash", `${JSON.stringify(clash.name)} names an input and an output`, {
      cause: "tensors of a call are given by name",
      hint: `rename one of them, or list it in donate: ["${clash.name}"] to replace it in place`,
      ...(clash.node.place ? { place: clash.node.place } : {}),
    });
  }
  return [
    ...inputs.map((n): UniformTensor => {
      const name = n.attrs.name as string;
      return { name, dtype: n.type.dtype, shape: shape(n.type.shape), access: outputs.has(name) ? "update" : "read" };
    }),
    ...graph.outputs
      .filter((o) => !names.has(o.name))
      .map(
        (o): UniformTensor => ({
          name: o.name,
          dtype: o.node.type.dtype,
          shape: shape(o.node.type.shape),
          access: "write",
        }),
      ),
  ];
}

const isState = (graph: Graph, name: string): boolean =>
  graph.inputs.some((n) => n.attrs.name === name && n.attrs.role === "state");

/** The texts for each capability profile; that with subgroups only where it makes a difference. */
function codesOf(definition: KernelDefinition, program: Program, dtype: KernelDType): UniformCode[] {
  const variants = [...(definition.variants ?? defaultVariants(program)), { name: "any" }];
  const made = variants.map((v) => variantOf(definition, program, dtype, v));
  return (["base", "subgroups"] as const).flatMap((profile): UniformCode[] => {
    const list = distinct(made.map((m) => m[profile]));
    const base = JSON.stringify(distinct(made.map((m) => m.base)).map(keys));
    return profile === "base" || JSON.stringify(list.map(keys)) !== base ? [{ dtype, profile, variants: list }] : [];
  });
}

const keys = (v: UniformVariant): string[] => v.steps.map((s) => s.key);

/** Without variants whose texts the next one has too. */
const distinct = (list: readonly UniformVariant[]): UniformVariant[] =>
  list.filter((v, i) => i === list.length - 1 || keys(v).join() !== keys(list[i + 1] as UniformVariant).join());

/** Vectors of four need innermost sizes, and offsets, divisible by four. */
function defaultVariants(program: Program): KernelVariantOptions[] {
  const innermost = (s: Shape): Dim[] => s.slice(-1).filter(isSym);
  const { inputs, outputs } = program.graph;
  const names = [...inputs, ...outputs.map((o) => o.node)].flatMap((n) =>
    innermost(n.type.shape).flatMap((d) => [...dimNames(d).keys()]),
  );
  return names.length
    ? [{ name: "aligned", multiples: Object.fromEntries([...new Set(names)].sort().map((n) => [n, 4])) }]
    : [];
}

/** Capabilities that texts of a profile are written for. f16 texts need shader-f16. */
const capabilitiesOf = (profile: Profile, dtype: KernelDType): Capabilities => ({
  ...profiles.base,
  name: profile,
  features: { f16: dtype === "f16", subgroups: profile === "subgroups" },
});

function variantOf(
  definition: KernelDefinition,
  program: Program,
  dtype: KernelDType,
  v: KernelVariantOptions,
): Readonly<Record<Profile, UniformVariant>> {
  checkVariant(definition, program, v);
  const reasons: string[] = [];
  for (const scale of scales) {
    const points = pointsFor(program.dims, v, scale);
    try {
      const graphs = points.map((p) => lowered(program.bind(p)));
      const kernels = (profile: Profile): PointKernels[] =>
        graphs.map((g) => kernelsAt(g, capabilitiesOf(profile, dtype)));
      const unite = (list: readonly PointKernels[]): UniformVariant =>
        united(v, points, derivedDims(program.graph), tensorsOf(program.graph), list);
      const base = kernels("base");
      const [first] = graphs as [Graph];
      const same = texts(kernelsAt(first, capabilitiesOf("subgroups", dtype))) === texts(base[0] as PointKernels);
      const made = unite(base);
      return { base: made, subgroups: same ? made : unite(kernels("subgroups")) };
    } catch (e) {
      if (!(e instanceof NotUniform)) throw e;
      reasons.push(e.message);
    }
  }
  return fail(
    "not-uniform",
    `kernel ${definition.name} cannot be written for all sizes (variant ${v.name}, ${dtype})`,
    {
      cause: reasons[0] as string,
      hint: "fix the dims that the structure depends on, or give variants whose sizes lie closer together",
      ...(definition.place ? { place: definition.place } : {}),
    },
  );
}

const texts = (k: PointKernels): string => k.steps.map((s) => s.kernel.wgsl).join();

function checkVariant(definition: KernelDefinition, program: Program, v: KernelVariantOptions): void {
  for (const sizes of [v.multiples, v.min, v.max, v.hints]) {
    const stranger = Object.keys(sizes ?? {}).find((n) => !program.dims.has(n));
    if (stranger !== undefined) {
      fail("unknown-dim", `kernel ${definition.name}: variant ${v.name} names the dim ${JSON.stringify(stranger)}`, {
        hint: `its dims are ${[...program.dims.keys()].join(", ")}`,
        ...(definition.place ? { place: definition.place } : {}),
      });
    }
  }
}

/** Expressions over dims that occur in the program's shapes. */
function derivedDims(graph: Graph): Dim[] {
  const out = new Map<string, Dim>();
  for (const n of graph.nodes) {
    for (const d of n.type.shape) if (isSym(d) && d.dim !== "name") out.set(JSON.stringify(d), d);
  }
  return [...out.values()].slice(0, 6);
}

function united(
  v: KernelVariantOptions,
  points: readonly Point[],
  derived: readonly Dim[],
  tensors: readonly UniformTensor[],
  kernels: readonly PointKernels[],
): UniformVariant {
  const fitter = new Fitter(points, derived);
  const [first] = kernels as [PointKernels];
  if (kernels.some((k) => k.steps.length !== first.steps.length || k.scratch.length !== first.scratch.length)) {
    throw new NotUniform(`it takes ${kernels.map((k) => k.steps.length).join(", ")} kernels at different sizes`);
  }
  const size = (values: readonly number[]) => {
    const e = fitter.find(values);
    if (e === undefined)
      throw new NotUniform(`the numbers ${values.join(", ")} follow from no simple expression in sizes`);
    return e;
  };
  const steps = first.steps.map((s, i): UniformStep => {
    const all = kernels.map((k) => k.steps[i] as (typeof first.steps)[number]);
    const { kernel } = s;
    if (
      all.some(
        (a) => JSON.stringify(a.holds) !== JSON.stringify(s.holds) || String(a.kernel.units) !== String(kernel.units),
      )
    ) {
      throw new NotUniform("its kernels read and write other tensors, or in other vectors, at different sizes");
    }
    const { wgsl, args } = unify(
      all.map((a) => a.kernel.wgsl),
      fitter,
      kernel.units,
      s.scalars,
    );
    return {
      label: s.label,
      wgsl,
      key: uniformKey(wgsl, kernel.bindings),
      bindings: s.holds.map((h, b) => ({
        ...placeOf(h, tensors),
        access: kernel.bindings[b] as "read",
        dtype: s.dtypes[b]!,
      })),
      args,
      groups: size(all.map((a) => a.kernel.groups)),
      workgroupSize: kernel.workgroupSize,
      requires: kernel.requires,
    };
  });
  return {
    name: v.name,
    multiples: v.multiples ?? {},
    min: v.min ?? {},
    max: v.max ?? {},
    align: Math.max(1, ...steps.flatMap((s) => s.args.flatMap((a) => (a.kind === "offset" ? [a.unit] : [])))),
    scratch: first.scratch.map((_, i) => size(kernels.map((k) => k.scratch[i] as number))),
    steps,
  };
}

const placeOf = (h: Held, tensors: readonly UniformTensor[]): { tensor: number } | { scratch: number } =>
  "scratch" in h ? h : { tensor: tensors.findIndex((t) => t.name === h.tensor) };
