import { unknownName } from "../../src/frontend/options.ts";
import type { Capabilities } from "../../src/manifest/manifest.ts";
import type { Program } from "../../src/program.ts";

/** What is asked of an explanation. */
export interface Wishes {
  readonly dims: Readonly<Record<string, number>>;
  /** Where it was chosen. */
  readonly capabilities: Capabilities | undefined;
  readonly dtype: "f32" | "f16" | undefined;
  /** With the WGSL of every step. */
  readonly wgsl: boolean;
}

/** One export explained. */
export interface Explanation {
  readonly name: string;
  /** Names of its dims. */
  readonly dims: readonly string[];
  readonly data: object;
  readonly text: string;
  /** The memory of one run, drawn. */
  svg(): string;
}

/** Fails with `unknown-dim` where sizes are given for dims that none of several has. */
export function checkNames(dims: Wishes["dims"], known: Iterable<string>): void {
  const names = [...new Set(known)];
  for (const name of Object.keys(dims)) {
    if (!names.includes(name)) unknownName("unknown-dim", "no kernel or program here has a dim", name, names);
  }
}

/** Of several exports each takes the sizes that it has dims for. */
export const ownDims = (program: Program, dims: Wishes["dims"]): Wishes["dims"] =>
  Object.fromEntries(Object.entries(dims).filter(([d]) => program.dims.has(d)));
