import type { Diagnostic, Place } from "../../src/base/diagnostic.ts";
import type { KernelDType } from "../../src/frontend/define-kernel.ts";
import type { UniformKernel } from "../../src/manifest/uniform.ts";
import type { ShortTexts } from "../emit/code.ts";
import type { KernelDoc } from "../emit/doc.ts";
import type { EmittedFile } from "../emit/module.ts";

/** What decides the texts that are generated. */
export interface CompileOptions {
  /** dtypes to build for, of those that a kernel offers. Default all. */
  readonly dtypes?: readonly KernelDType[] | undefined;
  /** WGSL in modules without comments and blanks, with short names. Default false. */
  readonly minify?: boolean | undefined;
  /**
   * How generated modules import each other. Default `.js`: compilers and bundlers know by it the `.ts` file that lies
   * there. `.ts` is for programs that Node runs without a build.
   */
  readonly importExtension?: ".js" | ".ts" | undefined;
}

/** Options of {@link createBuilder}. */
export interface BuilderOptions {
  /** The folder that nothing is written outside of; paths in results are relative to it. Default the current one. */
  readonly root?: string | undefined;
  /**
   * The folder of what was compiled before, or false for none. Default `node_modules/.cache/sinter` in the nearest folder
   * that has `node_modules`.
   */
  readonly cache?: string | false | undefined;
}

/** Options of {@link build} and {@link check}. */
export interface BuildOptions extends CompileOptions, BuilderOptions {
  /** Globs of kernel files, relative to the root. Default `**\/*.kernel.ts` outside `node_modules`, `dist` and dot folders. */
  readonly include?: string | readonly string[] | undefined;
  /** Globs of files to leave out. */
  readonly exclude?: string | readonly string[] | undefined;
  /** Globs, files or folders: of the kernel files, build these and leave the files of the others as they are. */
  readonly only?: readonly string[] | undefined;
  /** Where generated files go, relative to each kernel file's folder, in it. Default `generated`. */
  readonly outDir?: string | undefined;
  /** Compares only: the statuses say what a build would do. */
  readonly check?: boolean | undefined;
  /** Default true. Otherwise the files are only in the result. */
  readonly write?: boolean | undefined;
  /** Compiles again what has not changed. */
  readonly force?: boolean | undefined;
  /** Told of each kernel file. The last event is always `done` or `failed`. */
  readonly onProgress?: ((event: BuildProgress) => void) | undefined;
  /** Ends the build with the signal's reason; nothing is written after that. */
  readonly signal?: AbortSignal | undefined;
}

/** How far a build is. */
export interface BuildProgress {
  /** `file`: a kernel file is compiled, or was found unchanged. */
  readonly status: "start" | "file" | "done" | "failed";
  readonly done: number;
  readonly total: number;
  /** Relative to the root. */
  readonly file?: string;
}

/** A diagnostic of a build. Nothing is written when one is an error. */
export interface BuildDiagnostic extends Diagnostic {
  readonly severity: "error" | "warning";
}

/**
 * - `unchanged`: as a build would write it.
 * - `written`, `removed`: by this build; with `check` or without `write`, never.
 * - `missing`, `stale`: a build would write it, or remove it if no kernel makes it any more.
 * - `foreign`: in a generated folder but not ours. Left alone.
 */
export type FileStatus = "written" | "unchanged" | "removed" | "stale" | "missing" | "foreign";

/** A generated file. */
export interface BuiltFile {
  /** Relative to the root, with `/`. */
  readonly path: string;
  readonly status: FileStatus;
  /** What a build writes; absent for files that a build removes or leaves alone. */
  readonly contents?: string;
  /** SHA-256 of the contents. */
  readonly hash?: string;
}

/** A kernel that a source exports. Plain data, so that it can be kept and sent between threads. */
export interface CompiledKernel {
  /** The names that the source exports it by; `default` is last. */
  readonly exports: readonly string[];
  readonly kernel: UniformKernel;
  /** If asked to minify. */
  readonly short?: ShortTexts;
  readonly doc?: KernelDoc;
  /** Where it is defined. */
  readonly place: Place;
}

/** A kernel of a build. */
export interface BuiltKernel extends CompiledKernel {
  /** The kernel file, relative to the root, with `/`. */
  readonly source: string;
  /** Files generated for it, relative to the root, with `/`; the module that exports it is first. */
  readonly files: readonly string[];
}

/** What a build wrote, or would write, and what is wrong. */
export interface BuildResult {
  /** No diagnostic is an error, and if it was a check no file is stale, missing or foreign. */
  readonly ok: boolean;
  /** Sorted by path. Empty when there was an error. */
  readonly files: readonly BuiltFile[];
  readonly kernels: readonly BuiltKernel[];
  /** Errors first, then by place. */
  readonly diagnostics: readonly BuildDiagnostic[];
  /** Kernel files compiled, and found unchanged. */
  readonly built: number;
  readonly skipped: number;
  /** Absolute paths of the kernel files and of all that they import: a change of one asks for another build. */
  readonly inputs: readonly string[];
  readonly elapsedMs: number;
}

/** A kernel file as modules, for a bundler. */
export interface BuiltSource {
  /** Exports what the kernel file exports that is a kernel. Empty when there was an error. */
  readonly main: EmittedFile;
  /** Modules that it and they import by `./` and their names, with the extension of `importExtension`. All are TypeScript. */
  readonly modules: readonly EmittedFile[];
  readonly kernels: readonly CompiledKernel[];
  readonly diagnostics: readonly BuildDiagnostic[];
  /** Absolute paths of the files that it was made from, itself first. */
  readonly inputs: readonly string[];
}

/** Options of building one kernel file. */
export interface BuildFileOptions extends CompileOptions {
  /** The file's text, if not what is on disk. */
  readonly text?: string | undefined;
}

/** Builds again and again and keeps what did not change. */
export interface Builder {
  build(options?: Omit<BuildOptions, keyof BuilderOptions>): Promise<BuildResult>;
  /** A kernel file as modules in memory. Errors are in its diagnostics. @param file absolute path */
  buildFile(file: string, options?: BuildFileOptions): Promise<BuiltSource>;
  /** Ends its workers. */
  dispose(): Promise<void>;
}
