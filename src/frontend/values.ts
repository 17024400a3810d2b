import { fail } from "../base/diagnostic.ts";
import { suggest } from "../base/suggest.ts";
import { shapeText } from "../ir/dim.ts";
import { typeText } from "../ir/graph.ts";
import type { Given } from "./dims.ts";
import type { TensorSpec } from "./spec.ts";
import { describe } from "./tensor.ts";
import { isSpec, loneInput, type SpecTree } from "./trace.ts";
import { isBranch, joinPath } from "./tree.ts";

/** What is wanted of a tree of values: which inputs of a program, and where they are given. */
export interface Wanted {
  /** `run`, `load({ weights })`, `load({ state })` */
  readonly where: string;
  /** Whether the input of this path is to be given there. */
  has(path: string): boolean;
  /** Where the input of this path is given instead. */
  elsewhere(path: string): string;
  /** Inputs may be left out. */
  readonly partial?: boolean;
}

/**
 * The values for a program's inputs by path, from a tree of the shape of its specs. Fails with `missing-input` or
 * `extra-input`, naming paths, or `wrong-value` where a value stands in place of a subtree.
 */
export function flattenValues(specs: SpecTree, values: unknown, wanted: Wanted): Map<string, unknown> {
  const out = new Map<string, unknown>();
  const missing: string[] = [];
  const extra: { readonly path: string; readonly siblings: readonly string[] }[] = [];
  const visit = (spec: SpecTree, value: unknown, path: string): void => {
    if (isSpec(spec)) {
      const name = path === "" ? loneInput : path;
      if (!wanted.has(name)) {
        if (value !== undefined) misplaced(name, wanted);
      } else if (value !== undefined && value !== null) out.set(name, value);
      else if (!wanted.partial) missing.push(`${JSON.stringify(name)} (${typeText(spec)})`);
      return;
    }
    if (value !== undefined && !isBranch(value)) {
      const at = path === "" ? wanted.where : JSON.stringify(path);
      fail(
        "wrong-value",
        `${at} takes ${Array.isArray(spec) ? "an array" : "an object"} of values, not ${describe(value)}`,
        {
          hint: `give { ${wantedKeys(spec, path, wanted).slice(0, 3).join(", ")} }`,
        },
      );
    }
    const branch = spec as Readonly<Record<string, SpecTree>>;
    for (const key of Object.keys(branch)) {
      visit(branch[key] as SpecTree, value && Object.hasOwn(value, key) ? value[key] : undefined, joinPath(path, key));
    }
    for (const key of Object.keys(value ?? {})) {
      if (!Object.hasOwn(branch, key)) extra.push({ path: joinPath(path, key), siblings: Object.keys(branch) });
    }
  };
  visit(specs, values, "");
  if (extra.length > 0) refuseExtra(extra, wanted);
  if (missing.length > 0) {
    fail(
      "missing-input",
      `${wanted.where} lacks ${missing.slice(0, 8).join(", ")}${missing.length > 8 ? ` and ${missing.length - 8} more` : ""}`,
      {
        hint: "give a value for every input of the program",
      },
    );
  }
  return out;
}

/** The keys of a branch under which inputs are to be given. */
const wantedKeys = (branch: SpecTree, path: string, wanted: Wanted): string[] => {
  const wants = (spec: SpecTree, at: string): boolean =>
    isSpec(spec) ? wanted.has(at) : Object.entries(spec).some(([key, s]) => wants(s as SpecTree, joinPath(at, key)));
  return Object.entries(branch).flatMap(([key, s]) => (wants(s as SpecTree, joinPath(path, key)) ? [key] : []));
};

function refuseExtra(extra: readonly { path: string; siblings: readonly string[] }[], wanted: Wanted): never {
  const { path, siblings } = extra[0] as (typeof extra)[number];
  const near = suggest(path.split(".").at(-1) as string, siblings);
  return fail(
    "extra-input",
    `${wanted.where} got ${extra.map((e) => JSON.stringify(e.path)).join(", ")}, which the program has no input for`,
    {
      hint: near ? `did you mean ${JSON.stringify(near)}?` : `inputs here: ${siblings.join(", ") || "none"}`,
    },
  );
}

const misplaced = (name: string, wanted: Wanted): never =>
  fail("extra-input", `${wanted.where} got ${JSON.stringify(name)}, which is not given there`, {
    hint: wanted.elsewhere(name),
  });

/** What can be told of the size of a value: its shape, or the number of its elements. */
export function measure(path: string, spec: TensorSpec, value: unknown): Given {
  const known = { path, declared: spec.shape };
  if (typeof value === "number" || typeof value === "boolean") return { ...known, count: 1 };
  if (ArrayBuffer.isView(value)) return { ...known, count: (value as { length?: number } & ArrayBufferView).length };
  if (Array.isArray(value)) {
    if (!value.some((v) => Array.isArray(v))) return { ...known, count: value.length };
    const shape: number[] = [];
    for (let v: unknown = value; Array.isArray(v); v = v[0]) shape.push(v.length);
    return { ...known, shape };
  }
  const { shape } = (value ?? {}) as { shape?: unknown };
  return Array.isArray(shape) ? { ...known, shape: shape as number[] } : known;
}

/** A CPU tensor's elements, once its dtype and shape are known to be those of the input. */
export function hostData(
  path: string,
  spec: TensorSpec,
  value: { dtype: string; shape: readonly number[]; data: unknown },
): unknown {
  if (value.dtype !== spec.dtype) {
    fail("wrong-dtype", `${JSON.stringify(path)} is ${spec.dtype}, and the tensor given for it is ${value.dtype}`, {
      hint: `make it with tensor(data, shape, ${JSON.stringify(spec.dtype)})`,
    });
  }
  const { shape } = value;
  if (shape.length !== spec.shape.length || shape.some((d, i) => d !== spec.shape[i])) {
    fail(
      "wrong-size",
      `${JSON.stringify(path)} has shape ${shapeText(spec.shape)}, and the tensor given for it ${shapeText(shape)}`,
      {
        hint: "give a tensor of that shape, or bind the program's dims to these sizes",
      },
    );
  }
  return value.data;
}
