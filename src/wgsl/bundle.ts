import { type WgslDeclaration, wgslDeclarations, wgslReachable } from "../base/wgsl-text.ts";
import type { Capabilities, Requirements, Window } from "../manifest/manifest.ts";
import { type BoundAt, type BundleBindings, type BundlePart, bindTogether } from "./bundle-bindings.ts";
import { foldGroups, type Kernel, moduleText, type Pieces } from "./kernel.ts";
import { WorkgroupMemory } from "./workgroup-memory.ts";

/** One kernel that does the work of several. */
export interface BundledKernel {
  readonly kernel: Kernel;
  readonly windows: readonly Window[];
}

/** Characters of the text of kernels that may be written anew for each place that their tensors lie at. */
const shortText = 16_384;

/**
 * A kernel whose first workgroups do what those of the first part do, the next ones what those of the second do, and so on:
 * which part a workgroup belongs to is uniform, so that parts may have barriers. Workgroup memory is shared, as each
 * workgroup needs that of one part. Parts of smaller workgroups than the largest must have neither barriers nor workgroup
 * memory: several of their workgroups then become one. Where each window by itself would be too many bindings, parts find
 * their tensors by offsets in bindings that span several; parts of one text are then written once, with a table of offsets.
 * Undefined where the parts do not go together, by WebGPU's rules or the device's limits.
 */
export function bundleKernels(parts: readonly BundlePart[], capabilities: Capabilities): BundledKernel | undefined {
  const { limits } = capabilities;
  const size = Math.max(...parts.map((p) => p.kernel.workgroupSize[0]));
  const shares = parts.map(({ kernel }) => sharesOf(kernel, size));
  if (shares.includes(undefined)) return undefined;
  const most = limits.maxStorageBuffersPerShaderStage;
  const bound =
    bindTogether(parts, most) ??
    (mayCover(parts) ? bindTogether(parts, most, limits.maxStorageBufferBindingSize) : undefined);
  if (!bound) return undefined;
  const memory = new WorkgroupMemory();
  const known = new Map<string, string>();
  const declarations: string[] = [];
  const bodies: string[] = [];
  let begin = 0;
  const runs = runsOf(parts, bound);
  for (const [i, run] of runs.entries()) {
    const { kernel } = parts[run.first] as BundlePart;
    const pieces = kernel.pieces as Pieces;
    const names = new Map((bound.at[run.first] as readonly BoundAt[]).map((b, n) => [`b${n}`, run.places(b, n)]));
    declarations.push(...separate(pieces, i, names, memory, known).map((text) => renamed(text, names)));
    const share = shares[run.first] as number;
    const each = Math.ceil(kernel.groups / share);
    const ahead = begin;
    begin += each * run.count;
    const lines = [
      ...(ahead > 0 ? [`let group = group - ${ahead}u;`] : []),
      ...run.lines(`group / ${each}u`),
      ...(run.count > 1 ? [`let group = group % ${each}u;`] : []),
      ...(share > 1 ? [`let group = group * ${share}u + lid / ${size / share}u;`] : []),
      ...(share > 1 ? [`let lid = lid % ${size / share}u;`] : []),
      ...(kernel.groups % share > 0 ? [`if (group >= ${kernel.groups}u) { return; }`] : []),
    ];
    const condition = i === runs.length - 1 ? "{" : `if (group < ${begin}u) {`;
    // Each name is declared in a block of its own.
    const blocks = lines.map((l) => (l.startsWith("let ") ? `  { ${l}` : `  ${l}`));
    const ends = "}".repeat(lines.filter((l) => l.startsWith("let ")).length);
    bodies.push(`${i ? "  } else " : "  "}${condition}`, ...blocks, "  {", renamed(pieces.body, names), `  }${ends}`);
  }
  if (memory.bytes > limits.maxComputeWorkgroupStorageSize) return undefined;
  const [x, y] = foldGroups(begin, limits.maxComputeWorkgroupsPerDimension);
  const requires = together(
    parts.map((p) => p.kernel.requires),
    memory.bytes,
  );
  const wgsl = moduleText(
    requires,
    [size, 1, 1],
    [...bound.declarations, ...memory.declarations(), ...known.values(), ...declarations],
    false,
    [
      `  let group = ${y === 1 ? "wid.x" : `wid.x + wid.y * ${x}u`};`,
      ...(x * y > begin ? [`  if (group >= ${begin}u) { return; }`] : []),
      ...bodies,
      "  }",
    ],
  );
  return {
    kernel: {
      wgsl,
      bindings: bound.accesses,
      variant: parts.map((p) => p.kernel.variant).join(" | "),
      workgroupSize: [size, 1, 1],
      workgroups: [x, y, 1],
      groups: begin,
      requires,
      units: [],
      parts: parts.map((p) => p.kernel),
    },
    windows: bound.windows,
  };
}

/** How many workgroups of a part one of `size` invocations does; undefined where it cannot. */
export function sharesOf({ workgroupSize, pieces, requires }: Kernel, size: number): number | undefined {
  const [own, y, z] = workgroupSize;
  if (!pieces || y !== 1 || z !== 1) return undefined;
  if (own === size) return 1;
  const free = requires.workgroupBytes === 0 && !requires.subgroups && !requires.subgroupMatrix;
  return size % own === 0 && free && !/Barrier\(/.test(pieces.body) ? size / own : undefined;
}

/**
 * May these find their tensors at offsets? Their text then differs from place to place, so it must be short; and a name of a
 * buffer must be nothing else in it.
 */
export const mayCover = (parts: readonly { readonly kernel: Kernel }[]): boolean =>
  parts.every(
    ({ kernel: { pieces, wgsl } }) =>
      pieces && wgsl.length <= shortText && !/\b(?:let|var) b\d+\b|\(&b\d+, /.test(pieces.body),
  );

/** Parts one after the other that one text does. */
interface Run {
  readonly first: number;
  readonly count: number;
  /** Where the text finds what its binding number `n` is bound to. */
  places(bound: BoundAt, n: number): Place;
  /** Statements that find out where that is, for the part whose number within the run is the text `part`. */
  lines(part: string): readonly string[];
}

interface Place {
  readonly name: string;
  /** Text of the element that it begins at; absent for the first. */
  readonly origin?: string;
}

function runsOf(parts: readonly BundlePart[], { at }: BundleBindings): Run[] {
  const runs: Run[] = [];
  for (let next = 0; next < parts.length; ) {
    const first = next;
    const text = parts[first]?.kernel.wgsl;
    const names = (i: number): string => `${at[i]?.map((b) => b.name)}`;
    let end = first + 1;
    while (end < parts.length && parts[end]?.kernel.wgsl === text && names(end) === names(first)) end++;
    const count = end - first;
    const origins = (n: number): number[] => at.slice(first, end).map((list) => list[n]?.origin as number);
    const moves = (n: number): boolean => new Set(origins(n)).size > 1;
    const table = (n: number): string =>
      origins(n)
        .map((o) => `${o}u`)
        .join(", ");
    runs.push({
      first,
      count,
      places: ({ name, origin }, n) =>
        moves(n) ? { name, origin: `at_${n}` } : origin > 0 ? { name, origin: `${origin}u` } : { name },
      lines: (part) =>
        (at[first] as readonly BoundAt[]).flatMap((_, n) =>
          moves(n) ? [`let at_${n} = array<u32, ${count}>(${table(n)})[${part}];`] : [],
        ),
    });
    next = end;
  }
  return runs;
}

/**
 * Finds names for what a part declares, beside those of its buffers: workgroup variables are the bundle's; what needs neither
 * is declared once for all parts that have the same text; the rest, which is returned, is the part's own.
 */
function separate(
  pieces: Pieces,
  part: number,
  names: Map<string, Place>,
  memory: WorkgroupMemory,
  known: Map<string, string>,
): readonly string[] {
  const text = pieces.declarations.join("\n");
  const list = wgslDeclarations(text);
  const textOf = (d: WgslDeclaration): string => text.slice(d.start, d.end);
  const shared = list.filter((d) => d.kind === "var" && d.space === "workgroup");
  for (const [name, to] of memory.place(shared)) names.set(name, { name: to });
  const mentions = (d: WgslDeclaration): boolean =>
    new RegExp(`\\b(?:${[...names.keys()].join("|")})\\b`).test(textOf(d));
  const rest: string[] = [];
  for (const d of list) {
    if (shared.includes(d)) continue;
    const needed = [...wgslReachable(text, list, d)];
    const free = !needed.some((x) => x.kind === "var" || mentions(x));
    const same = needed.every((x) => (known.get(x.name) ?? textOf(x)) === textOf(x));
    if (free && same) {
      known.set(d.name, textOf(d));
      continue;
    }
    names.set(d.name, { name: `${d.name}_${part}` });
    rest.push(textOf(d));
  }
  return rest;
}

/** The text with every name that is in the table replaced; what stands after a point is a component or member. */
const renamed = (text: string, names: ReadonlyMap<string, Place>): string =>
  text.replace(/(?<![.\w])([A-Za-z_]\w*)(\[?)/g, (found, name, bracket) => {
    const to = names.get(name);
    if (!to) return found;
    return bracket && to.origin ? `${to.name}[${to.origin} + ` : `${to.name}${bracket}`;
  });

function together(list: readonly Requirements[], workgroupBytes: number): Requirements {
  const any = (pick: (r: Requirements) => boolean | undefined): boolean => list.some((r) => pick(r) === true);
  return {
    f16: any((r) => r.f16),
    subgroups: any((r) => r.subgroups),
    workgroupBytes,
    ...(any((r) => r.subgroupMatrix) ? { subgroupMatrix: true } : {}),
  };
}
