import { sha256 } from "../base/sha256.ts";
import type { KernelSpec } from "./manifest.ts";

/**
 * Part of every kernel's key, so that what an older toolchain wrote is never taken for what this one would write.
 * Changes when the meaning of a manifest changes.
 */
export const toolchainVersion = "sinter-0.1.0/manifest-1";

/** The identity of a pipeline: SHA-256 of the toolchain version, the interface and the final WGSL. Labels and places do not count. */
export function kernelKey(kernel: Omit<KernelSpec, "key" | "label" | "place">): string {
  const { f16, subgroups, subgroupMatrix, workgroupBytes } = kernel.requires;
  // JSON of an array: no two different lists of fields have the same text.
  return sha256(
    JSON.stringify([
      toolchainVersion,
      kernel.entryPoint,
      kernel.bindings,
      kernel.workgroupSize,
      f16,
      subgroups,
      ...(subgroupMatrix ? ["subgroupMatrix"] : []),
      workgroupBytes,
      kernel.wgsl,
    ]),
  );
}
