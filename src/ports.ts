import { fail } from "./base/diagnostic.ts";
import { BatchTensor } from "./batch-tensor.ts";
import type { HostTensor } from "./frontend/host.ts";
import { TensorSpec } from "./frontend/spec.ts";
import { isOutputName, loneOutput, type Trace } from "./frontend/trace.ts";
import { mapTree } from "./frontend/tree.ts";
import { flattenValues, hostData } from "./frontend/values.ts";
import type { Graph, InputRole } from "./ir/graph.ts";
import type { PortSpec } from "./manifest/manifest.ts";
import type { InputValue } from "./runtime/inputs.ts";
import { GpuTensor } from "./runtime/tensor.ts";

const where: Readonly<Record<InputRole, string>> = {
  data: "run",
  weight: "load({ weights })",
  state: "load({ state })",
};

export type Roles = ReadonlyMap<string, InputRole>;

/** The role of each input by path. */
export const rolesOf = (graph: Graph): Roles =>
  new Map(graph.inputs.map((n) => [n.attrs.name as string, n.attrs.role as InputRole]));

/** The values for the inputs of one role by path, from a tree that holds these and no others. */
export const valuesFor = (
  traced: Trace,
  roles: Roles,
  role: InputRole,
  values: unknown,
  options: { readonly at?: string; readonly partial?: boolean } = {},
): Map<string, unknown> =>
  flattenValues(traced.specs, values, {
    where: options.at ?? where[role],
    has: (path) => roles.get(path) === role,
    elsewhere: (path) => `give it to ${where[roles.get(path) as InputRole]}`,
    partial: options.partial ?? false,
  });

const isHostTensor = (v: unknown): v is HostTensor =>
  typeof v === "object" && v !== null && !(v instanceof GpuTensor) && "data" in v && "shape" in v && "dtype" in v;

/** What the runtime takes for a value: a CPU tensor's elements, a batch result's tensor, else the value itself. */
export function plainValue(port: PortSpec, value: unknown): InputValue {
  if (value instanceof BatchTensor) return value.tensor;
  if (!isHostTensor(value)) return value as InputValue;
  return hostData(port.name, new TensorSpec(port.dtype, port.shape), value) as InputValue;
}

/** The runtime's values for ports, by name. */
export function plainValues(
  ports: readonly PortSpec[],
  values: ReadonlyMap<string, unknown>,
): Record<string, InputValue> {
  const given = ports.filter((port) => values.has(port.name));
  return Object.fromEntries(given.map((port) => [port.name, plainValue(port, values.get(port.name))]));
}

/** The entry of a record by name; a name like `constructor` is nothing special. */
export const entryOf = <T>(record: Readonly<Record<string, T>>, name: string): T | undefined =>
  Object.hasOwn(record, name) ? record[name] : undefined;

/** The tree of a program's results with the given leaves. */
export const resultTree = (traced: Trace, leaf: (name: string) => unknown): unknown =>
  mapTree(traced.outputs, isOutputName, loneOutput, (_, { name }) => {
    return (
      leaf(name) ??
      fail("no-output", `the program has no output ${JSON.stringify(name)}`, {
        hint: "please report it with the program's text: String(program)",
      })
    );
  });

/**
 * As {@link resultTree}, prepared for many runs: `fixed` are leaves that are the same tensor every time. Branches of nothing else
 * are made once, and all trees share them.
 */
export function resultTrees(
  traced: Trace,
  fixed: (name: string) => unknown,
): (leaf: (name: string) => unknown) => unknown {
  type Make = (leaf: (name: string) => unknown) => unknown;
  const prepare = (v: unknown): { readonly value: unknown } | Make => {
    if (isOutputName(v)) {
      const value = fixed(v.name);
      return value === undefined ? (leaf) => resultTree({ ...traced, outputs: v }, leaf) : { value };
    }
    const list = Array.isArray(v);
    const parts = Object.entries(v as object).map(([key, e]) => [key, prepare(e)] as const);
    const make: Make = (leaf) => {
      const made = parts.map(([key, p]) => [key, typeof p === "function" ? p(leaf) : p.value] as const);
      return list ? made.map(([, e]) => e) : Object.fromEntries(made);
    };
    return parts.some(([, p]) => typeof p === "function") ? make : { value: make(() => undefined) };
  };
  const root = prepare(traced.outputs);
  return (leaf) => (typeof root === "function" ? root(leaf) : root.value);
}
