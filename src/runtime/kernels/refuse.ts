import { fail } from "../../base/diagnostic.ts";
import { suggest } from "../../base/suggest.ts";
import type { Kernel, Sizes } from "../../manifest/kernel-module.ts";
import { describe } from "../describe.ts";

// What a call of a kernel is refused for. Each throws; all are reached only then.

const quote = (name: string): string => JSON.stringify(name);

const refuse = (k: Kernel, code: string, what: string, hint: string, cause?: string): never =>
  fail(code, `kernel ${k.name}: ${what}`, { ...(cause && { cause }), hint });

/** Names one thing that is missing or too much. */
function names(k: Kernel, kind: string, known: readonly string[], given: object | null | undefined): never {
  const missing = known.find((n) => ((given ?? {}) as Record<string, unknown>)[n] == null);
  const extra = Object.keys(given ?? {}).find((n) => !known.includes(n));
  const near = extra && suggest(extra, known);
  const all = known.join(", ");
  if (missing !== undefined && (!near || near !== missing)) {
    return refuse(k, "missing-input", `${kind} ${quote(missing)} is missing`, `give all of ${all}`);
  }
  const hint = near ? `did you mean ${quote(near)}?` : all ? `its names are ${all}` : "leave it out";
  return refuse(k, "extra-input", `there is no ${kind} ${quote(extra!)}`, hint);
}

export function tensorNames(k: Kernel, given: object): never {
  const known = k.tensors.map((t) => t.name);
  return names(k, "tensor", known, given);
}

export const sizeNames = (k: Kernel, given: Sizes): never =>
  names(k, "size or scalar", [...k.sizes, ...k.scalars], given);

export function size(k: Kernel, given: Sizes, name: string): never {
  const value = given[name];
  if (value == null) sizeNames(k, given);
  return refuse(
    k,
    "bad-dim",
    `${quote(name)} cannot be ${describe(value)}`,
    "give a whole number from 0 to 4294967295",
  );
}

/** Sizes that no variant takes: one of them is too small. */
export function sizes(k: Kernel, takes: (d: Sizes) => boolean, given: Sizes): never {
  const large = Object.fromEntries(k.sizes.map((n) => [n, 65536]));
  const name = k.sizes.find((n) => !takes({ ...large, [n]: given[n]! }))!;
  let least = given[name]!;
  while (least < 65536 && !takes({ ...large, [name]: least })) least++;
  return refuse(k, "bad-dim", `${quote(name)} is ${given[name]}`, `give at least ${least}`);
}

export function scalar(k: Kernel, given: Sizes, name: string): never {
  const value = given[name];
  if (value == null) sizeNames(k, given);
  return refuse(k, "wrong-value", `${quote(name)} cannot be ${describe(value)}`, "give a number");
}

export const tensor = (k: Kernel, name: string, value: unknown): never =>
  refuse(
    k,
    "wrong-value",
    `${quote(name)} cannot be ${describe(value)}`,
    "give a GPUBuffer, or { buffer, offset } with the offset in elements",
  );

export const usage = (k: Kernel, name: string): never =>
  refuse(k, "bad-buffer", `the buffer of ${quote(name)} lacks a usage`, "create it with GPUBufferUsage.STORAGE");

export const offset = (k: Kernel, name: string, value: unknown): never =>
  refuse(
    k,
    "bad-buffer",
    `${quote(name)} cannot begin at element ${describe(value)}`,
    "give a whole number of elements, 0 or more",
  );

interface Extent {
  readonly size: number;
  readonly count: number;
  readonly offset: number;
  readonly bytes: number;
  readonly end: number;
}

export const tooSmall = (k: Kernel, name: string, e: Extent): never =>
  refuse(
    k,
    "bad-buffer",
    `the buffer of ${quote(name)} has ${e.size} bytes, and ${e.end} are needed`,
    "give a larger buffer, or check sizes and offset (in elements)",
    `these sizes make ${e.count} elements of ${e.bytes} bytes, from element ${e.offset} on, in whole words`,
  );

export const tooLarge = (k: Kernel, what: string, bytes: number, most: number): never =>
  refuse(
    k,
    "tensor-too-large",
    `${what} takes ${bytes} bytes, and a binding of this device holds ${most}`,
    "ask for a larger maxStorageBufferBindingSize where adapter.limits has it, or split the work",
  );

export const groups = (k: Kernel, count: number, most: number): never =>
  refuse(
    k,
    "too-many-workgroups",
    `it would run in ${count} workgroups, more than ${most} times ${most}`,
    "split the work into several calls",
  );

export const unaligned = (k: Kernel, tensor: number): never =>
  refuse(
    k,
    "bad-buffer",
    `${quote(k.tensors[tensor]!.name)} begins inside a binding`,
    "give it an offset that is a multiple of 256 bytes",
    "it is read by WGSL of the user's own, which reads from the beginning",
  );

export const alias = (k: Kernel, a: number, b: number, align: number): never =>
  refuse(
    k,
    "aliased-buffers",
    `${quote(k.tensors[a]!.name)} and ${quote(k.tensors[b]!.name)} share memory that is written`,
    "give each a buffer of its own",
    `in one call a buffer is read or written, not both; tensors that are written may share one from different multiples of ${align} bytes on`,
  );
