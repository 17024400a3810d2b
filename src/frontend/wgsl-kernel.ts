import { fail } from "../base/diagnostic.ts";
import { sha256 } from "../base/sha256.ts";
import type { Dim } from "../ir/dim.ts";
import { type GraphBuilder, type Node, typeText } from "../ir/graph.ts";
import { setOwnMeaning } from "../ir/ops/wgsl.ts";
import { attachMethods } from "./attach.ts";
import { enter } from "./enter.ts";
import { readOptions, unknownName } from "./options.ts";
import { checkShape, TensorSpec } from "./spec.ts";
import { describe, isTensor, type Tensor, wrap } from "./tensor.ts";
import { meaningOf, type WgslCpu } from "./wgsl-cpu.ts";
import { fieldWords, isFields, type WgslFields, type WgslNumber } from "./wgsl-params.ts";
import { type WgslBinding, type WgslSignature, wgslReflector } from "./wgsl-signature.ts";
import { instantiate, type WgslOverrides } from "./wgsl-text.ts";

/** Options of {@link wgslKernel}. */
export interface WgslKernelOptions {
  /** What people call it; the entry point's name by default. */
  readonly name?: string;
  /** The entry point, where the text has several. */
  readonly entry?: string;
  /** What it computes, for the interpreter. Without it a program that uses the kernel runs on devices only. */
  readonly cpu?: WgslCpu;
}

/** Buffers that are read, by the names of their variables: tensors, or numbers for the fields of a uniform. */
export type WgslInputs = Readonly<Record<string, Tensor | WgslFields | WgslNumber>>;

/** What a call of your own WGSL says besides its inputs. */
export interface WgslCall<O> {
  /** dtype and shape of every buffer that is written, by the names of their variables. */
  readonly outputs: O;
  /** Workgroups along x, y and z; sizes may depend on named dims. */
  readonly workgroups: readonly Dim[];
  /** Values of overrides. They become constants of the text. */
  readonly overrides?: WgslOverrides;
}

/** A compute shader of the user's, to be called in a traced function. */
export interface WgslKernel {
  <const O extends Readonly<Record<string, TensorSpec>>>(
    inputs: WgslInputs,
    call: WgslCall<O>,
  ): { readonly [K in keyof O]: Tensor };
  readonly source: string;
  /** What the text says of its interface; undefined outside a build. */
  readonly signature: WgslSignature | undefined;
}

/**
 * A compute shader in WGSL of your own, as an op of programs: it reads and writes whole tensors, and nothing is fused into
 * it. Its interface is read from the text. A storage buffer that is only read is an input, one that is read_write an output,
 * and one given as both begins with the input's elements; outputs begin with anything. Numbers of uniforms may be sizes and scalars
 * computed by the program.
 *
 * ```ts
 * const scale = wgslKernel(source);
 * const { y } = scale({ x, params: { n: x.size(0), alpha: 0.5 } }, { outputs: { y: f32(n) }, workgroups: [dimCeilDiv(n, 64)] });
 * ```
 * @param signature the interface; a build reads it by itself
 */
export function wgslKernel(source: string, options?: WgslKernelOptions, signature?: WgslSignature): WgslKernel {
  return enter(({ place }) => {
    if (typeof source !== "string") {
      fail("bad-option", `wgslKernel takes the text of a shader, not ${describe(source)}`, {
        hint: "write wgslKernel(`@group(0) @binding(0) var<storage, read> x: array<f32>; …`)",
      });
    }
    const o = readOptions("wgslKernel", options, { name: undefined, entry: undefined, cpu: undefined });
    const name = checkName(o.name ?? signature?.entry ?? o.entry ?? "wgslKernel");
    const given = { name, entry: o.entry, place };
    let known = signature ?? wgslReflector()?.(source, given);
    const read = (): WgslSignature => {
      known ??= wgslReflector()?.(source, given) ?? notBuilt(name);
      return known;
    };
    const cpu = o.cpu && `${name} ${sha256(JSON.stringify([source, o.entry]))}`;
    const call = (inputs: WgslInputs, options: WgslCall<Readonly<Record<string, TensorSpec>>>): unknown =>
      enter((b) => {
        attachMethods();
        const found = read();
        if (o.cpu && cpu) setOwnMeaning(cpu, meaningOf(name, found, o.cpu));
        return apply(b, o.name ?? found.entry, source, found, inputs, options, cpu);
      });
    Object.defineProperties(call, { source: { value: source }, signature: { get: () => known } });
    return call as unknown as WgslKernel;
  });
}

function checkName(name: string): string {
  if (typeof name === "string" && /^[\p{ID_Start}_$][\p{ID_Continue}$]{0,99}$/u.test(name)) return name;
  return fail("bad-kernel-name", `wgslKernel: ${JSON.stringify(String(name).slice(0, 60))} cannot name a kernel`, {
    hint: "use up to 100 letters, digits, _ and $, and no digit first",
  });
}

const notBuilt = (name: string): never =>
  fail("not-built", `${name}: the interface of this WGSL was not read`, {
    cause: "that is done when a kernel file is built, so that no program carries the reader",
    hint: 'build it with sinter build, sinter/vite or sinter/esbuild; in Node, wgslKernel(source, {}, reflectWgsl(source)) with reflectWgsl of "sinter/build"',
  });

function apply(
  b: GraphBuilder,
  op: string,
  source: string,
  signature: WgslSignature,
  inputs: WgslInputs,
  given: WgslCall<Readonly<Record<string, TensorSpec>>>,
  cpu: string | undefined,
): Record<string, Tensor> {
  const call = readOptions<typeof given, { outputs: undefined; workgroups: undefined; overrides: WgslOverrides }>(
    op,
    given,
    { outputs: undefined, workgroups: undefined, overrides: {} },
  );
  const outputs = record(op, "outputs", call.outputs);
  const args: Node[] = [];
  const made: { readonly name: string; readonly spec: TensorSpec }[] = [];
  const bound = checkBuffers(op, signature, record(op, "inputs", inputs), outputs).map((s) => {
    const spec = outputs[s.name] as TensorSpec | undefined;
    const arg = Object.hasOwn(inputs, s.name) ? argument(op, b, s, inputs[s.name]) : undefined;
    if (spec) checkOutput(op, s, spec);
    return {
      name: s.name,
      binding: s.binding,
      dtype: arg?.type.dtype ?? s.dtype,
      argument: arg ? args.push(arg) - 1 : -1,
      result: spec ? made.push({ name: s.name, spec }) - 1 : -1,
      unit: s.count === null ? s.unit : -s.count,
    };
  });
  const text = instantiate(op, source, signature, call.overrides);
  const node = b.add("wgsl", args, {
    name: op,
    source: text.source,
    names: bound.map((x) => x.name).join(" "),
    bindings: bound.map((x) => x.binding),
    dtypes: bound.map((x) => x.dtype).join(" "),
    arguments: bound.map((x) => x.argument),
    results: bound.map((x) => x.result),
    units: bound.map((x) => x.unit),
    ranks: made.map((m) => m.spec.shape.length),
    sizes: made.flatMap((m) => m.spec.shape),
    workgroups: checkWorkgroups(op, call.workgroups),
    workgroupSize: text.workgroupSize,
    workgroupBytes: text.workgroupBytes,
    features: signature.requires.join(" "),
    ...(cpu ? { cpu } : {}),
  });
  return Object.fromEntries(b.results(node).map((r, i) => [made[i]?.name, wrap(r)]));
}

function record<T>(
  op: string,
  what: string,
  given: Readonly<Record<string, T>> | undefined,
): Readonly<Record<string, T>> {
  if (typeof given === "object" && given !== null && !Array.isArray(given) && !isTensor(given)) return given;
  return fail("bad-option", `${op}: ${what} are ${describe(given)}, not an object`, {
    hint: "write k({ x }, { outputs: { y: f32(8) }, workgroups: [1] }), with the names of the buffers",
  });
}

/** The buffers, after the checks that each is given as it has to be. */
function checkBuffers(
  op: string,
  { bindings }: WgslSignature,
  inputs: Readonly<Record<string, unknown>>,
  outputs: Readonly<Record<string, TensorSpec>>,
): readonly WgslBinding[] {
  const names = (list: readonly WgslBinding[]): string[] => list.map((s) => s.name);
  const written = bindings.filter((s) => s.access === "read_write");
  for (const name of Object.keys(inputs)) {
    if (!names(bindings).includes(name)) unknownName("unknown-input", `${op} has no buffer`, name, names(bindings));
  }
  for (const name of Object.keys(outputs)) {
    if (names(written).includes(name)) continue;
    if (!names(bindings).includes(name)) unknownName("unknown-output", `${op} writes no buffer`, name, names(written));
    fail("unknown-output", `${op} does not write ${name}`, {
      cause: "the text declares it as read only",
      hint: `give it as an input, or write var<storage, read_write> ${name}`,
    });
  }
  if (written.length === 0) {
    fail("no-output", `${op} writes no buffer`, {
      cause: "what it computes could not be read",
      hint: "declare a result as var<storage, read_write>",
    });
  }
  for (const s of bindings) {
    if (s.access === "read_write" && outputs[s.name] === undefined) {
      fail("missing-output", `${op}: the output ${s.name} is not declared`, {
        cause: "the text may write it",
        hint: `add it to outputs with its shape: { outputs: { ${s.name}: ${s.dtype}(…) } }`,
      });
    }
    if (s.access === "read" && (inputs[s.name] === undefined || inputs[s.name] === null)) {
      fail("missing-input", `${op}: the input ${s.name} was not given`, {
        cause: `the text declares it as ${s.type}`,
        hint: `pass it: { ${[...names(bindings.filter((x) => x.access === "read"))].join(", ")} }`,
      });
    }
  }
  return bindings;
}

function argument(op: string, b: GraphBuilder, s: WgslBinding, given: unknown): Node {
  if (isTensor(given)) {
    // Words are words: those of a struct may come in any dtype of four bytes.
    const words = s.fields && ["f32", "i32", "u32"].includes(given.dtype);
    if (given.dtype === s.dtype || words) return given.node;
    return fail("dtype-mismatch", `${op}: ${s.name} is ${typeText(given.node.type)}`, {
      cause: `the text declares ${s.type}`,
      hint: `cast it first: cast(${s.name}, "${s.dtype}")`,
    });
  }
  if (s.fields && isFields(given)) return fieldWords(op, b, s, given);
  return fail("not-a-tensor", `${op} takes a tensor as ${s.name}, not ${describe(given)}`, {
    cause: `the text declares ${s.type}`,
    hint: "pass a tensor; constant(data, shape) makes one of numbers",
  });
}

function checkOutput(op: string, s: WgslBinding, spec: TensorSpec): void {
  if (!(spec instanceof TensorSpec)) {
    fail("bad-option", `${op}: the output ${s.name} is ${describe(spec)}`, {
      hint: `write { ${s.name}: ${s.dtype}(8) }`,
    });
  }
  if (spec.dtype === s.dtype) return;
  fail("dtype-mismatch", `${op}: the output ${s.name} is ${typeText(spec)}`, {
    cause: `the text declares ${s.type}`,
    hint: `write { ${s.name}: ${s.dtype}(…) }`,
  });
}

function checkWorkgroups(op: string, given: readonly Dim[] | undefined): readonly Dim[] {
  if (!Array.isArray(given) || given.length < 1 || given.length > 3) {
    const got = Array.isArray(given) ? `${given.length} numbers` : describe(given);
    fail("bad-option", `${op}: workgroups are ${got}`, {
      hint: "write { workgroups: [dimCeilDiv(n, 64)] }, one to three numbers",
    });
  }
  return [...checkShape(op, given as readonly Dim[]), 1, 1].slice(0, 3);
}
