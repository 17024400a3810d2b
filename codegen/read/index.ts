import type { Diagnostic } from "../../src/base/diagnostic.ts";

export interface ReadOptions {
  /** The text of another file that the source imports; undefined where there is none. Default: from disk. */
  readonly read?: (file: string) => string | undefined;
}

/** What a kernel file's source says. */
export interface KernelSource {
  /**
   * The source with the body of every `elementwise(...)` and `reduction(...)` appended as a last argument of that call. Lines stay
   * where they are, and so do columns but for what follows such a call's arguments on their last line.
   */
  readonly text: string;
  /** Everything that is wrong, in the order of the places. The calls concerned are left as they were. */
  readonly diagnostics: readonly Diagnostic[];
  /** Absolute paths of other files that bodies were read from, sorted: the text depends on them. */
  readonly imports: readonly string[];
  readonly exports: readonly KernelExport[];
}

/** A named export of the file. */
export interface KernelExport {
  readonly name: string;
  readonly line: number;
  readonly column: number;
  /** The text of its TSDoc comment, without the marks. */
  readonly doc?: string;
  /** TSDoc of the properties of an object literal `inputs` in its initialiser, by name. */
  readonly inputs?: Readonly<Record<string, string>>;
}

/**
 * Reads the source of a kernel file. Nothing is run and no types are resolved; the parser is loaded on the first call.
 * @param file absolute path
 * @param text the file's text, if not what is on disk
 */
export async function readKernelSource(file: string, text?: string, options: ReadOptions = {}): Promise<KernelSource> {
  const { readSource } = await import("./source.ts");
  return readSource(file, text, options);
}
