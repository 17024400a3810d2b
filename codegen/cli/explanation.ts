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
  readonly data: object;
  readonly text: string;
  /** The memory of one run, drawn. */
  svg(): string;
}

/** Of several exports each takes the sizes that it has dims for. */
export const ownDims = (program: Program, dims: Wishes["dims"]): Wishes["dims"] =>
  Object.fromEntries(Object.entries(dims).filter(([d]) => program.dims.has(d)));
