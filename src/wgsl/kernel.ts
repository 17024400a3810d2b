import { permutedFrom } from "../fuse/pull.ts";
import { type Region, slotsOf } from "../fuse/region.ts";
import type { Node } from "../ir/graph.ts";
import { type Index, ravel, unravel } from "../ir/index-expr.ts";
import type { Access, Capabilities, Requirements } from "../manifest/manifest.ts";
import { Emitter, elements } from "./emitter.ts";
import { type Binding, Storage } from "./storage.ts";

/** A kernel text with what is needed to run it. Its bindings are those of the region's slots, in order. */
export interface Kernel {
  readonly wgsl: string;
  /** Access of each binding. */
  readonly bindings: readonly Access[];
  readonly variant: string;
  readonly workgroupSize: readonly [number, number, number];
  readonly workgroups: readonly [number, number, number];
  /** Workgroups in all, before they are folded to two dimensions. */
  readonly groups: number;
  readonly requires: Requirements;
  /** Elements in a unit of each binding's declaration. */
  readonly units: readonly number[];
  /** The text is the user's: nothing in it may be changed but the numbers of bindings. */
  readonly own?: boolean;
  /** The kernels that it does the work of, where these are several. */
  readonly parts?: readonly Kernel[];
  /** What the text was put together from; absent where it is the user's, or for all sizes. */
  readonly pieces?: Pieces;
}

/** The text of a kernel before it is a module. */
export interface Pieces {
  /** Type of each binding's array. */
  readonly types: readonly string[];
  /** Declarations at module scope, those of bindings left out. */
  readonly declarations: readonly string[];
  /** Statements over `group`, `lid` and, with subgroups, `sg_size` and `sg_lane`. Groups past the last are not guarded. */
  readonly body: string;
}

/** What the family writers share: an emitter whose inputs are bound, and the buffers of the outputs. */
export interface Frame {
  readonly e: Emitter;
  readonly outputs: ReadonlyMap<Node, Binding>;
  /** The input in whose place an output is stored. */
  readonly inPlace: ReadonlyMap<Node, Node>;
  readonly capabilities: Capabilities;
  readonly region: Region;
  /**
   * The end of a loop of `n` steps, as text. On a CPU adapter it is hidden from the compiler: Mesa unrolls loops of up
   * to 32 known steps completely, and LLVM then takes seconds to minutes for the kernel.
   */
  end(n: number): string;
}

export function openFrame(region: Region, capabilities: Capabilities): Frame {
  const e = new Emitter(new Storage(capabilities.features.f16, region));
  const outputs = new Map<Node, Binding>();
  const inPlace = new Map<Node, Node>();
  const uniform = region.uniform !== undefined;
  e.folds = !uniform;
  slotsOf(region).forEach(({ input, output, access, part, anywhere }, i) => {
    const n = (input ?? output) as Node;
    const binding =
      uniform && isScalarInput(n)
        ? e.storage.addScalar(n.type.dtype, i)
        : e.storage.add(n.type.dtype, elements(n), access, part, uniform);
    if (anywhere) binding.scalar = true;
    if (input) e.bind(input, binding);
    if (output) outputs.set(output, binding);
    if (input && output) inPlace.set(output, input);
  });
  let hidden = false;
  const end = (n: number): string => {
    if (uniform || !capabilities.software) return `${n}u`;
    // No buffer has 2^31 elements, but no compiler knows.
    if (!hidden) e.line("let zero = arrayLength(&b0) & 0x80000000u;", 0);
    hidden = true;
    return `(${n}u | zero)`;
  };
  return { e, outputs, inPlace, capabilities, region, end };
}

/** An input of shape []: of a kernel whose sizes are data, a number that is given with them. */
export const isScalarInput = (n: Node): boolean => n.op === "input" && n.type.shape.length === 0;

export interface Parts {
  readonly variant: string;
  readonly workgroupSize: readonly [number, number, number];
  /** Total workgroups; the dispatch is folded to two dimensions where one is too long. */
  readonly groups: number;
  readonly declarations?: readonly string[];
  readonly workgroupBytes?: number;
  readonly subgroups?: boolean;
  /** The body uses subgroup matrices of halves, at places that are the same for a whole subgroup. */
  readonly subgroupMatrix?: boolean;
}

/**
 * Puts the module together. The body may use `group` (the linear workgroup number), `lid` (local invocation index) and,
 * with subgroups, `sg_size` and `sg_lane`.
 */
export function closeFrame(frame: Frame, parts: Parts): Kernel {
  const { e, capabilities } = frame;
  const body = e.storage.resolve(e.body());
  const functions = e.declarations().map((d) => e.storage.resolve(d));
  const [x, y] = foldGroups(parts.groups, capabilities.limits.maxComputeWorkgroupsPerDimension);
  const subgroups = parts.subgroups ?? false;
  const f16 = e.storage.usesHalf() || parts.subgroupMatrix === true;
  const uniform = frame.region.uniform !== undefined;
  const group = uniform ? "wid.x + wid.y * nwg.x" : y === 1 ? "wid.x" : `wid.x + wid.y * ${x}u`;
  const requires: Requirements = {
    ...{ f16, subgroups, workgroupBytes: parts.workgroupBytes ?? 0 },
    ...(parts.subgroupMatrix ? { subgroupMatrix: true } : {}),
  };
  const declarations = [...e.storage.functions(), ...(parts.declarations ?? []), e.helpers.text(), ...functions].filter(
    (l) => l !== "",
  );
  const wgsl = moduleText(requires, parts.workgroupSize, [...e.storage.declarations(), ...declarations], uniform, [
    `  let group = ${group};`,
    ...(uniform || (y > 1 && x * y > parts.groups) ? [`  if (group >= ${parts.groups}u) { return; }`] : []),
    body,
  ]);
  return {
    wgsl,
    bindings: e.storage.accesses(),
    variant: parts.variant,
    workgroupSize: parts.workgroupSize,
    workgroups: [x, y, 1],
    groups: parts.groups,
    requires,
    units: e.storage.units(),
    ...(uniform ? {} : { pieces: { types: e.storage.types(), declarations, body } }),
  };
}

/** A module of declarations and an entry point. */
export function moduleText(
  { f16, subgroups, subgroupMatrix }: Requirements,
  workgroupSize: readonly number[],
  declarations: readonly string[],
  uniform: boolean,
  body: readonly string[],
): string {
  return [
    ...(f16 ? ["enable f16;"] : []),
    ...(subgroups ? ["enable subgroups;"] : []),
    ...(subgroupMatrix ? matrixDirectives : []),
    ...declarations,
    `@compute @workgroup_size(${workgroupSize.join(", ")})`,
    `fn main(@builtin(workgroup_id) wid: vec3<u32>, ${
      uniform ? "@builtin(num_workgroups) nwg: vec3<u32>, " : ""
    }@builtin(local_invocation_index) lid: u32${
      subgroups ? ", @builtin(subgroup_size) sg_size: u32, @builtin(subgroup_invocation_id) sg_lane: u32" : ""
    }) {`,
    ...body,
    "}",
    "",
  ]
    .filter((l) => l !== "")
    .join("\n");
}

/** That a place is the same for a subgroup cannot be seen where it is computed from the invocation's number. */
const matrixDirectives: readonly string[] = [
  "enable chromium_experimental_subgroup_matrix;",
  "diagnostic(off, chromium.subgroup_matrix_uniformity);",
];

/** Two factors whose product is at least `n`, neither above `limit`. */
export function foldGroups(n: number, limit: number): [number, number] {
  if (n <= limit) return [n, 1];
  const y = Math.ceil(n / limit);
  return [Math.ceil(n / y), y];
}

/**
 * Computes every given output at a point of the region's space, then stores them: one may be in the place of what another
 * is computed from. An output that is a permutation of a computed node is stored where the permutation puts the element.
 * `linear` is the point's row-major offset where it is known in a simpler form than the index gives (vectors that reach
 * past the end, for one).
 */
export function writeAt(frame: Frame, list: readonly Node[], index: readonly Index[], linear?: Index): void {
  for (const store of storesAt(frame, list, index, linear)) store();
}

/** Computes outputs at a point as {@link writeAt} does, and returns what stores them. */
export function storesAt(
  frame: Frame,
  list: readonly Node[],
  index: readonly Index[],
  linear?: Index,
): readonly (() => void)[] {
  const { e, region, outputs } = frame;
  return list.map((n) => {
    const base = region.members.includes(permutedFrom(n)) ? permutedFrom(n) : n;
    const at = indexFor(base, index, region.space);
    const value = e.result(base, at);
    return (): void => e.store(outputs.get(n)!, base === n && linear ? linear : placeOf(n, base, at), value);
  });
}

/** Offset in `n` of the element that is at `at` in `base`, through the transposes and reshapes between them. */
function placeOf(n: Node, base: Node, at: readonly Index[]): Index {
  const chain: Node[] = [];
  for (let v = n; v !== base; v = v.args[0] as Node) chain.unshift(v);
  let index = at;
  let shape = base.type.shape as readonly number[];
  for (const v of chain) {
    const to = v.type.shape as readonly number[];
    index =
      v.op === "transpose"
        ? (v.attrs.perm as number[]).map((p) => index[p] as Index)
        : unravel(ravel(index, shape), to);
    shape = to;
  }
  return ravel(index, shape);
}

/** The index at which `node` is read when the region is at `index` of its space: the same element in row-major order. */
export function indexFor(node: Node, index: readonly Index[], space: readonly number[]): readonly Index[] {
  const shape = node.type.shape as readonly number[];
  if (shape.length === space.length && shape.every((d, i) => d === space[i])) return index;
  return unravel(ravel(index, space), shape);
}
