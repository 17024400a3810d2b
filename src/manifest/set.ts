import { fail } from "../base/diagnostic.ts";
import { suggest } from "../base/suggest.ts";
import { checkManifest, integer, kernel, list, record, wrong } from "./check.ts";
import type { KernelSpec, Manifest } from "./manifest.ts";

/** Sizes by the names of a program's dims. */
export type SizesByName = Readonly<Record<string, number>>;

/** One program of a {@link ManifestSet}. */
export interface SizedPlan {
  /** The sizes that it is for, sorted by name. */
  readonly dims: SizesByName;
  /** Positions in the set's `kernels`; the plan's dispatches count in this list. */
  readonly kernels: readonly number[];
  readonly plan: Omit<Manifest, "kernels">;
}

/** A program at several sizes as plain data: every kernel once, however many sizes use it. */
export interface ManifestSet {
  readonly version: 1;
  readonly kernels: readonly KernelSpec[];
  readonly programs: readonly SizedPlan[];
}

export const isManifestSet = (value: unknown): value is ManifestSet =>
  typeof value === "object" && value !== null && Object.hasOwn(value, "programs");

/** @internal Sizes in an order that does not depend on how they were given. */
const sortedSizes = (dims: SizesByName): SizesByName =>
  Object.fromEntries(Object.entries(dims).sort(([a], [b]) => (a < b ? -1 : 1)));

const sizesText = (dims: SizesByName): string =>
  Object.entries(dims)
    .map(([name, size]) => `${name} = ${size}`)
    .join(", ") || "no dims";

/** Puts manifests of one program together; equal sizes count once. */
export function makeManifestSet(
  programs: readonly { readonly dims: SizesByName; readonly manifest: Manifest }[],
): ManifestSet {
  const kernels: KernelSpec[] = [];
  const position = new Map<string, number>();
  const entries = new Map<string, SizedPlan>();
  for (const { dims: given, manifest } of programs) {
    const dims = sortedSizes(given);
    const name = sizesText(dims);
    if (entries.has(name)) continue;
    const { kernels: own, ...plan } = manifest;
    const used = own.map((k) => {
      const at = position.get(k.key) ?? kernels.push(k) - 1;
      position.set(k.key, at);
      return at;
    });
    entries.set(name, { dims, kernels: used, plan });
  }
  return { version: 1, kernels, programs: [...entries.values()] };
}

const manifestOf = (set: ManifestSet, { kernels, plan }: SizedPlan): Manifest => ({
  ...plan,
  kernels: kernels.map((i) => set.kernels[i] as KernelSpec),
});

/** The manifest of every program of a set, or the one manifest. */
export const manifestsOf = (m: Manifest | ManifestSet): readonly Manifest[] =>
  isManifestSet(m) ? m.programs.map((p) => manifestOf(m, p)) : [m];

/**
 * The program of a set for some sizes; they may be left out where there is one program only. Fails with `unknown-dim` for
 * a name that the program does not have and `unbound-dim` for sizes that it was not built for.
 */
export function manifestAt(set: ManifestSet, dims: SizesByName | undefined): Manifest {
  const [first] = set.programs;
  if (!dims && set.programs.length === 1) return manifestOf(set, first as SizedPlan);
  const names = Object.keys((first as SizedPlan).dims);
  for (const name of Object.keys(dims ?? {})) {
    if (names.includes(name)) continue;
    const near = suggest(name, names);
    fail("unknown-dim", `the manifest has no dim ${JSON.stringify(name)}`, {
      hint: near ? `did you mean ${JSON.stringify(near)}?` : `known: ${names.join(", ") || "none"}`,
    });
  }
  const found = dims && set.programs.find((p) => names.every((n) => p.dims[n] === dims[n]));
  if (found) return manifestOf(set, found);
  const known = set.programs.map((p) => sizesText(p.dims));
  const shown = known.length > 8 ? [...known.slice(0, 8), `${known.length - 8} more`] : known;
  return fail(
    "unbound-dim",
    dims ? `the manifest holds no program for ${sizesText(dims)}` : "the manifest holds programs for several sizes",
    {
      cause: `it was built for ${shown.join("; ")}`,
      hint: dims
        ? "load one of these, or build the manifest for these sizes too"
        : `choose one: loadManifest(gpu, manifest, { dims: { ${names.map((n) => `${n}: …`).join(", ")} } })`,
    },
  );
}

const version = (v: unknown, p: string): 1 =>
  v === 1 ? 1 : wrong(p, `is ${JSON.stringify(v) ?? "missing"}, and this runtime reads version 1`);

const sizes = (v: unknown, p: string): SizesByName => {
  if (typeof v !== "object" || v === null || Array.isArray(v)) return wrong(p, "is not an object");
  return Object.fromEntries(Object.entries(v).map(([name, size]) => [name, integer(0)(size, `${p}.${name}`)]));
};

const header = record<{ version: 1; kernels: KernelSpec[]; programs: unknown[] }>({
  version,
  kernels: list(kernel),
  programs: list((v) => v),
});

const entry = record<{ dims: SizesByName; kernels: number[]; plan: object }>({
  dims: sizes,
  kernels: list(integer(0)),
  plan: (v, p) => (typeof v === "object" && v !== null && !Array.isArray(v) ? v : wrong(p, "is not an object")),
});

/** Checks a set and each of its programs as {@link checkManifest} does. Fails with `bad-manifest` and the path. */
export function checkManifestSet(value: unknown): ManifestSet {
  const set = header(value, "manifest");
  if (set.programs.length === 0) wrong("manifest.programs", "is empty");
  const keys = new Set<string>();
  set.kernels.forEach((k, i) => {
    if (keys.has(k.key)) wrong(`manifest.kernels[${i}].key`, "repeats that of another kernel");
    keys.add(k.key);
  });
  const seen = new Set<string>();
  let names: string | undefined;
  const programs = set.programs.map((program, i): SizedPlan => {
    const path = `manifest.programs[${i}]`;
    const { dims, kernels, plan } = entry(program, path);
    const own = JSON.stringify(Object.keys(dims).sort());
    names ??= own;
    if (own !== names) wrong(`${path}.dims`, "has other names than the first program's");
    if (seen.has(sizesText(sortedSizes(dims)))) wrong(`${path}.dims`, "repeats the sizes of another program");
    seen.add(sizesText(sortedSizes(dims)));
    const specs = kernels.map(
      (k, j) => set.kernels[k] ?? wrong(`${path}.kernels[${j}]`, `is ${k} of ${set.kernels.length}`),
    );
    const { kernels: _, ...checked } = checkManifest({ ...plan, kernels: specs }, `${path}.plan`);
    return { dims: sortedSizes(dims), kernels, plan: checked };
  });
  return { version: 1, kernels: set.kernels, programs };
}
