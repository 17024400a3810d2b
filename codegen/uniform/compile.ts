import { fail } from "../../src/base/diagnostic.ts";
import type { KernelDefinition, KernelDType, KernelVariantOptions } from "../../src/frontend/define-kernel.ts";
import { type Dim, dimNames, dimText, isSym, type Shape, shapeSize } from "../../src/ir/dim.ts";
import type { Graph, Node } from "../../src/ir/graph.ts";
import type { Capabilities } from "../../src/manifest/manifest.ts";
import type {
  ArgumentSpec,
  UniformCode,
  UniformKernel,
  UniformStep,
  UniformTensor,
  UniformVariant,
} from "../../src/manifest/uniform.ts";
import { compile, type Program } from "../../src/program.ts";
import { profiles } from "../../src/runtime/profiles.ts";
import { isScalarInput, type Kernel } from "../../src/wgsl/kernel.ts";
import { agreedKernels, alone, following, noting, scheduleOf } from "./agree.ts";
import { fitterFor, sizeExpr } from "./fit.ts";
import { leastSizes } from "./least.ts";
import { type Point, pointsFor } from "./points.ts";
import { type Held, kernelsAt, lowered, type PointKernels, type PointStep } from "./regions.ts";
import { type Samples, samplePoints } from "./sample.ts";
import { NotUniform, type ScalarArgument, skeletonOf, uniformKey, unify } from "./text.ts";

/** Factors of the hinted sizes, tried in turn where a schedule changes between the points around one size. */
const factors = [1, 0.72, 1.37, 2.1, 0.5];

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

/** The last variant takes all sizes, and tensors that begin at any element. */
const any: KernelVariantOptions = { name: "any" };

/** The texts for each capability profile; that with subgroups only where it makes a difference. */
function codesOf(definition: KernelDefinition, program: Program, dtype: KernelDType): UniformCode[] {
  const variants = [...(definition.variants ?? defaultVariants(program)), any];
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
  return [{ name: "aligned", multiples: Object.fromEntries([...new Set(names)].sort().map((n) => [n, 4])) }];
}

const texts = (k: PointKernels): string => k.steps.map((s) => s.write(alone()).wgsl).join();

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
  const hinted = new Map([...program.dims].map(([name, hint]) => [name, v.hints?.[name] ?? hint]));
  const reasons: string[] = [];
  for (const factor of factors) {
    try {
      const hints = new Map([...hinted].map(([name, hint]) => [name, hint * factor]));
      const notes: unknown[] = [];
      const [own] = pointsFor(hints, v) as [Point];
      const suited = lowered(program.bind(own), noting(notes));
      const samples = samplePoints(program.graph, v, hints);
      const graphs = samples.points.map((p) => lowered(program.bind(p), following(notes)));
      const at = (profile: Profile, g: Graph): PointKernels => kernelsAt(g, capabilitiesOf(profile, dtype), v === any);
      const of = (profile: Profile): UniformVariant =>
        united(
          v,
          samples,
          program.graph,
          at(profile, suited),
          graphs.map((g) => at(profile, g)),
        );
      const [base, subgroups] = [at("base", suited), at("subgroups", suited)].map(texts);
      const made = of("base");
      return { base: made, subgroups: subgroups === base ? made : of("subgroups") };
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

/** Numbers of elements of tensors, of their rows, and of their lines along each axis. */
function countsOf(graph: Graph): Dim[] {
  const out = new Map<string, Dim>();
  for (const { type } of graph.nodes) {
    for (const d of [shapeSize(type.shape), shapeSize(type.shape.slice(0, -1))]) if (isSym(d)) out.set(dimText(d), d);
  }
  for (const { type } of graph.nodes) {
    for (const axis of type.shape.keys()) {
      const lines = shapeSize(type.shape.filter((_, i) => i !== axis));
      if (isSym(lines)) out.set(dimText(lines), lines);
    }
  }
  return [...out.values()].slice(0, 32);
}

function united(
  v: KernelVariantOptions,
  { points, needed }: Samples,
  graph: Graph,
  suited: PointKernels,
  all: readonly PointKernels[],
): UniformVariant {
  const tensors = tensorsOf(graph);
  const [first] = all as [PointKernels];
  const same = (k: PointKernels): boolean =>
    k.steps.length === first.steps.length &&
    k.scratch.length === first.scratch.length &&
    k.steps.every((s, i) => JSON.stringify(s.holds) === JSON.stringify(first.steps[i]?.holds));
  const kernels = all.filter((k, i) => i < needed || same(k));
  const at = points.filter((_, i) => i < needed || same(all[i] as PointKernels));
  const fitter = fitterFor(at, derivedDims(graph), countsOf(graph));
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
    const all = kernels.map((k) => k.steps[i] as PointStep);
    // The schedule is that of the hints, if there are the same kernels at sizes so small.
    const model = suited.steps.length === first.steps.length ? (suited.steps[i] as PointStep) : s;
    const written = agreedKernels(all, scheduleOf(model));
    const [kernel] = written as [Kernel];
    if (
      all.some((a) => JSON.stringify(a.holds) !== JSON.stringify(s.holds)) ||
      written.slice(0, needed).some((k) => String(k.units) !== String(kernel.units))
    ) {
      throw new NotUniform("its kernels read and write other tensors, or in other vectors, at different sizes");
    }
    // Texts at sizes that are not needed may be simpler; if they are the same, their numbers count.
    const skeleton = skeletonOf(kernel.wgsl);
    const counted = written.map((k, p) => p < needed || skeletonOf(k.wgsl) === skeleton);
    const texts = written.flatMap((k, p) => (counted[p] ? [k.wgsl] : []));
    const own = counted.every((c) => c)
      ? fitter
      : fitterFor(
          at.filter((_, p) => counted[p]),
          derivedDims(graph),
          countsOf(graph),
        );
    const { wgsl, args } = kernel.own ? ownText(texts) : unify(texts, own, kernel.units, s.scalars);
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
      groups: size(written.map((k) => k.groups)),
      ...(kernel.own
        ? { grid: [0, 1, 2].map((i) => size(written.map((k) => k.workgroups[i] as number))) as never }
        : {}),
      workgroupSize: kernel.workgroupSize,
      requires: kernel.requires,
    };
  });
  return {
    name: v.name,
    multiples: v.multiples ?? {},
    min: atLeast(v.min ?? {}, leastSizes(graph, points)),
    max: v.max ?? {},
    align: Math.max(1, ...steps.flatMap(unitsOf)),
    scratch: first.scratch.map((_, i) => size(kernels.map((k) => k.scratch[i] as number))),
    steps,
  };
}

function atLeast(given: Point, own: Point): Point {
  const names = [...new Set([...Object.keys(given), ...Object.keys(own)])].sort();
  return Object.fromEntries(names.map((n) => [n, Math.max(given[n] ?? 0, own[n] ?? 0)]));
}

/** What the places of tensors are counted in; intermediate results begin at 0, and so must what a text of the user's own reads. */
const unitsOf = ({ args, bindings, grid }: UniformStep): number[] =>
  grid
    ? bindings.flatMap((b) => (b.tensor === undefined ? [] : [ownAlign]))
    : args.flatMap((a) => (a.kind === "offset" && bindings[a.binding]?.tensor !== undefined ? [a.unit] : []));

/** Elements of two bytes in the alignment of a binding. */
const ownAlign = 128;

/** A text of the user's own, which sizes must not be part of. */
function ownText(texts: readonly string[]): { readonly wgsl: string; readonly args: readonly ArgumentSpec[] } {
  const [first] = texts as [string];
  if (texts.every((t) => t === first)) return { wgsl: first, args: [] };
  throw new NotUniform("a kernel in WGSL of your own has another text at other sizes");
}

const placeOf = (h: Held, tensors: readonly UniformTensor[]): { tensor: number } | { scratch: number } =>
  "scratch" in h ? h : { tensor: tensors.findIndex((t) => t.name === h.tensor) };
