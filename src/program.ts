import { fail } from "./base/diagnostic.ts";
import { type Compiled, type CompileOptions as CompilerOptions, compileGraph } from "./compiler.ts";
import { checkDims, type Dims, dimsText, requireDims } from "./frontend/dims.ts";
import { enter } from "./frontend/enter.ts";
import { oneOf, readOptions } from "./frontend/options.ts";
import { withPrecision } from "./frontend/precision.ts";
import { type Trace, type Traced, type TraceOptions, trace } from "./frontend/trace.ts";
import { type ExplainReport, makeReport } from "./fuse/explain.ts";
import { bindGraph, type Graph, graphDims } from "./ir/graph.ts";
import { type ProductPrecision, productPrecisions } from "./ir/ops/contraction.ts";
import { print } from "./ir/print.ts";
import type { Capabilities, Manifest } from "./manifest/manifest.ts";
import { type ManifestSet, makeManifestSet } from "./manifest/set.ts";
import type { TuningTable } from "./manifest/tuning.ts";
import { type MemoryReport, memoryReport } from "./plan/memory.ts";
import { checkCapabilities } from "./runtime/capabilities.ts";
import type { Gpu } from "./runtime/gpu.ts";
import { profiles } from "./runtime/profiles.ts";
import type { Span } from "./runtime/timeline.ts";
import { type LoadOptions, loadProgram, type Session } from "./session.ts";
import { checkTuningTable } from "./tune/table.ts";
import type { InputName, StateName } from "./types.ts";

type FuseMode = NonNullable<CompilerOptions["fuse"]>;
const modes: readonly FuseMode[] = ["profit", "legal", "off"];

/** Options of {@link compile}. */
export interface CompileOptions<W extends string = string, D extends string = string> extends TraceOptions<W, D> {
  /** Which fusions to make: those that pay by measurement (`profit`, default), all that are legal, or none. */
  readonly fuse?: FuseMode;
  /**
   * Let independent kernels share a dispatch where they would leave a GPU partly idle one by one. Default true, with `profit`.
   */
  readonly bundles?: boolean;
  /**
   * How products of f32 are computed that do not say it themselves, gradients' included: `"f16x3"` lets devices with matrix units use
   * them, as accurately as `"f32"`, the default, but for infinities. Others compute in f32 either way.
   */
  readonly precision?: ProductPrecision;
}

/** What {@link Program.manifest} compiles for. */
export interface ManifestOptions {
  /** A size for every named dim. */
  readonly dims?: Dims;
  /** The device to compile for; by default what WebGPU guarantees everywhere, which runs on all. */
  readonly capabilities?: Capabilities;
  readonly fuse?: FuseMode;
  /** Measurements to choose variants and fusions by; none (`off`) by default, so that what is built ahead can be built again. */
  readonly tuning?: TuningTable | "off" | undefined;
}

export interface ManifestSetOptions extends Omit<ManifestOptions, "dims"> {
  /** Several sizes: each a size for every named dim. */
  readonly dims: readonly Dims[];
}

/** What {@link Program.explain} assumes. */
export interface ExplainOptions {
  /** Sizes of named dims; one that is left out is assumed to have its hint's size, and the report says so. */
  readonly dims?: Dims;
  /** The device to plan for; by default what WebGPU guarantees everywhere. */
  readonly capabilities?: Capabilities;
  readonly fuse?: FuseMode;
  /** Measurements to choose variants and fusions by; none (`off`) by default, so that what is built ahead can be built again. */
  readonly tuning?: TuningTable | "off" | undefined;
}

const ids = new WeakMap<TuningTable, number>();
let tables = 0;

/** What tells tuning tables apart in keys. */
function idOf(table: TuningTable | undefined): number {
  if (!table) return 0;
  const id = ids.get(table) ?? ++tables;
  ids.set(table, id);
  return id;
}

/** The table that an option names: `off` is none. */
function tableOf(where: string, tuning: ManifestOptions["tuning"]): TuningTable | undefined {
  if (tuning === undefined) return undefined;
  if (typeof tuning !== "string") return checkTuningTable(tuning);
  oneOf(where, "tuning", tuning, ["off"]);
  return undefined;
}

/** The device that an option names: what all have, where it names none. */
const capabilitiesFor = (where: string, given: Capabilities | undefined): Capabilities =>
  given ? checkCapabilities(where, "capabilities", given) : profiles.base;

/** Manifests kept for programs that run at changing sizes. */
const kept = 64;

/** A tensor program: traced once, loaded onto any number of devices at any sizes. */
export class Program<S = unknown, R = unknown, W extends string = never, D extends string = never> {
  /** The traced graph; named dims are unbound. */
  readonly graph: Graph;
  /** Named dims and the sizes that {@link explain} assumes for them. */
  readonly dims: ReadonlyMap<string, number>;
  /** @internal */
  readonly traced: Trace;
  readonly #fuse: FuseMode;
  readonly #bundles: Pick<CompilerOptions, "bundles">;
  readonly #compiled = new Map<string, Compiled & { readonly span: Span }>();
  /** @internal When it was traced. */
  readonly span: Span;
  /** Never there: carries the types of inputs and results. */
  declare readonly types: { readonly specs: S; readonly result: R; readonly weights: W; readonly donated: D };

  /** @internal Use {@link compile}. */
  constructor(traced: Trace, { fuse, bundles = true }: { fuse: FuseMode; bundles?: boolean }, began: number) {
    this.span = { lane: "trace", name: "trace", began, ended: performance.now() };
    this.graph = traced.graph;
    this.dims = graphDims(traced.graph);
    this.traced = traced;
    this.#fuse = fuse;
    // Where bundles are not refused, the fusion mode and the device decide.
    this.#bundles = bundles ? {} : { bundles };
  }

  /** The graph with every named dim replaced by its size. Fails with `unbound-dim`, `unknown-dim` or where sizes clash. */
  bind(dims: Dims = {}): Graph {
    checkDims(dims, this.dims.keys());
    requireDims(dims, this.dims.keys(), (missing) => `bind them: bind({ ${missing} })`);
    return this.dims.size === 0 ? this.graph : bindGraph(this.graph, dims);
  }

  /** @internal The kernels and the plan for sizes and a device. */
  compiled(
    dims: Dims,
    capabilities: Capabilities,
    options: Pick<CompilerOptions, "fuse" | "guard" | "tuning"> = {},
  ): Compiled & { readonly span: Span } {
    const { fuse = this.#fuse, guard = 0, tuning } = options;
    const key = JSON.stringify([Object.entries(dims).sort(), capabilities, fuse, guard, idOf(tuning)]);
    const known = this.#compiled.get(key);
    this.#compiled.delete(key);
    const began = performance.now();
    const make = () => compileGraph(this.bind(dims), capabilities, { fuse, guard, tuning, ...this.#bundles });
    const made = known ?? {
      ...make(),
      span: { lane: "compile" as const, name: "graph to WGSL and plan", began, ended: performance.now() },
    };
    this.#compiled.set(key, made);
    if (this.#compiled.size > kept) this.#compiled.delete(this.#compiled.keys().next().value as string);
    return made;
  }

  /**
   * The kernels and the plan as plain data: what `warmup`, and `loadManifest` of `sinter/runtime`, take without the
   * compiler. `manifestToJson` writes it to a file.
   * @throws SinterError `unbound-dim` without a size for every named dim
   */
  manifest(options?: ManifestOptions): Manifest;
  /**
   * The same for several sizes: `warmup` compiles every kernel of them once, and `loadManifest` chooses by its `dims`.
   * @throws SinterError `unbound-dim` where one of them lacks a named dim
   */
  manifest(options: ManifestSetOptions): ManifestSet;
  manifest(options?: ManifestOptions | ManifestSetOptions): Manifest | ManifestSet {
    const several = Array.isArray(options?.dims) ? (options.dims as readonly Dims[]) : undefined;
    const given = (several ? { ...options, dims: undefined } : options) as ManifestOptions | undefined;
    const o = readOptions("manifest", given, {
      dims: undefined,
      capabilities: undefined,
      fuse: this.#fuse,
      tuning: undefined,
    });
    const fuse = oneOf("manifest", "fuse", o.fuse, modes);
    const tuning = tableOf("manifest", o.tuning);
    const capabilities = capabilitiesFor("manifest", o.capabilities);
    const at = (sizes: Dims): Manifest => {
      const dims = checkDims(sizes, this.dims.keys());
      requireDims(dims, this.dims.keys(), (missing) => `bind them: manifest({ dims: { ${missing} } })`);
      return this.compiled(dims, capabilities, { fuse, tuning }).manifest;
    };
    if (!several) return at(o.dims ?? {});
    if (several.length === 0)
      fail("bad-option", "manifest: dims is an empty list", { hint: "list at least one set of sizes" });
    return makeManifestSet(several.map((dims) => ({ dims, manifest: at(dims) })));
  }

  /**
   * What the program becomes: every kernel with its ops and the bytes it moves, and why edges between kernels did not
   * fuse. `String(report)` is a table.
   */
  explain(options?: ExplainOptions): ExplainReport {
    const { compiled, assumed } = this.#assumed("explain", options);
    const { report } = compiled;
    if (Object.keys(assumed).length === 0) return report;
    return makeReport({
      ...report,
      notes: [`assuming ${dimsText(assumed)}: explain({ dims }) for other sizes`, ...report.notes],
    });
  }

  /**
   * What the program takes of memory and when: the planned bytes, the least that any plan of its steps takes, and every
   * tensor with its place and the dispatches that need it. `String(report)` is a table, `report.svg()` a drawing.
   */
  memory(options?: ExplainOptions): MemoryReport {
    return memoryReport(this.#assumed("memory", options).compiled.manifest);
  }

  /** Compiled for what the options say, and with the hints' sizes for dims that they leave out. */
  #assumed(
    where: string,
    options: ExplainOptions | undefined,
  ): { readonly compiled: Compiled; readonly assumed: Dims } {
    const o = readOptions(where, options, {
      dims: undefined,
      capabilities: undefined,
      fuse: this.#fuse,
      tuning: undefined,
    });
    const given = checkDims(o.dims ?? {}, this.dims.keys());
    const assumed = Object.fromEntries([...this.dims].filter(([name]) => !Object.hasOwn(given, name)));
    const fuse = oneOf(where, "fuse", o.fuse, modes);
    const tuning = tableOf(where, o.tuning);
    const capabilities = capabilitiesFor(where, o.capabilities);
    const compiled = this.compiled({ ...given, ...assumed }, capabilities, { fuse, tuning });
    return { compiled, assumed };
  }

  /**
   * Compiles the program for a device, warms its kernels up and uploads weights and state.
   * @throws SinterError `unbound-dim` without a size for every named dim, `missing-input`, `extra-input`
   */
  load(gpu: Gpu, ...options: LoadArguments<S, W, StateName<D, R>>): Promise<Session<S, R, W, StateName<D, R>>> {
    return loadProgram(gpu, this, options[0] ?? {}) as Promise<Session<S, R, W, StateName<D, R>>>;
  }

  /** The text form of the graph. */
  toString(): string {
    return print(this.graph);
  }
}

type LoadArguments<S, W extends string, N extends string> = [W | N] extends [never]
  ? [options?: LoadOptions<S, W, N>]
  : [options: LoadOptions<S, W, N>];

/**
 * Traces `fn` once with symbolic tensors for `specs` and returns the program. `specs` is a nested object or array of
 * specs; `fn` gets the same tree of tensors and returns a tensor or a tree of tensors.
 * @throws SinterError where an op refuses its arguments, at the place of its call
 */
export function compile<const S, R, const W extends InputName<S> = never, const D extends InputName<S> = never>(
  specs: S,
  fn: (inputs: Traced<S>) => R,
  options?: CompileOptions<W, D>,
): Program<S, R, W, D> {
  return enter(() => {
    const o = readOptions("compile", options, {
      weights: [] as readonly W[],
      donate: [] as readonly D[],
      fuse: "profit" as FuseMode,
      precision: "f32" as ProductPrecision,
      bundles: true,
    });
    const fuse = oneOf("compile", "fuse", o.fuse, modes);
    const precision = oneOf("compile", "precision", o.precision, productPrecisions);
    const began = performance.now();
    const traced = withPrecision(precision === "f32" ? undefined : precision, () => trace(specs, fn, o));
    return new Program<S, R, W, D>(traced, { fuse, bundles: o.bundles }, began);
  });
}
