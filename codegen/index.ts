/**
 * Builds kernel files ahead of time: what `sinter build`, `sinter check` and the bundler plugins call.
 *
 * @module
 */
export { build, check, createBuilder } from "./build/index.ts";
export type {
  BuildDiagnostic,
  Builder,
  BuilderOptions,
  BuildFileOptions,
  BuildOptions,
  BuildProgress,
  BuildResult,
  BuiltFile,
  BuiltKernel,
  BuiltSource,
  CompiledKernel,
  CompileOptions,
  FileStatus,
} from "./build/types.ts";
export { defineConfig, type SinterConfig } from "./config/config.ts";
export type { KernelDoc } from "./emit/doc.ts";
export type { EmittedFile } from "./emit/module.ts";
export { checkWgsl, reflectWgsl } from "./reflect/index.ts";
