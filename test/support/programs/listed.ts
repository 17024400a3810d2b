import type { Program } from "../../../src/index.ts";

export interface ProgramOptions {
  readonly dims?: Readonly<Record<string, number>>;
  /** Ranges [low, high) of inputs by name, where the usual ones do not do. */
  readonly ranges?: Readonly<Record<string, readonly [number, number]>>;
}

/** A program of the corpus: its name, the program, and what its inputs need. */
export type Listed = readonly [name: string, program: Pick<Program, "bind">, options?: ProgramOptions];
