/** Compiled kernels as files: modules, WGSL and the manifest of a folder. Texts only; nothing is read or written. */
export {
  type BuildManifest,
  type ManifestFile,
  type ManifestKernel,
  manifestName,
  manifestText,
  readManifest,
  withoutTexts,
} from "./build-manifest.ts";
export { type ShortTexts, shortTexts } from "./code.ts";
export type { KernelDoc } from "./doc.ts";
export { hasHeader, hashOf } from "./header.ts";
export { minifyWgsl } from "./minify-wgsl.ts";
export { type EmittedFile, kernelModules, type ModuleOptions } from "./module.ts";
export { wgslFiles } from "./wgsl-files.ts";
