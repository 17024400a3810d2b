import type { Capabilities } from "../manifest/manifest.ts";

const baseLimits: Capabilities["limits"] = {
  maxStorageBuffersPerShaderStage: 8,
  maxStorageBufferBindingSize: 128 * 2 ** 20,
  maxBufferSize: 256 * 2 ** 20,
  maxComputeWorkgroupStorageSize: 16384,
  maxComputeInvocationsPerWorkgroup: 256,
  maxComputeWorkgroupSizeX: 256,
  maxComputeWorkgroupSizeY: 256,
  maxComputeWorkgroupSizeZ: 64,
  maxComputeWorkgroupsPerDimension: 65535,
  minStorageBufferOffsetAlignment: 256,
};

/** What WebGPU guarantees on every device. */
const base: Capabilities = {
  name: "base",
  features: { f16: false, subgroups: false },
  subgroupMinSize: 4,
  subgroupMaxSize: 128,
  software: false,
  limits: baseLimits,
};

/**
 * Capability profiles for planning without a device, and for asking a device for no more than a profile has. `base`,
 * `subgroups` and `f16` keep WebGPU's default limits; `lavapipe` and `h200` are what Dawn 2026 offers on these adapters.
 */
export const profiles = {
  base,
  subgroups: { ...base, name: "subgroups", features: { f16: false, subgroups: true } },
  f16: { ...base, name: "f16", features: { f16: true, subgroups: true } },
  lavapipe: {
    name: "lavapipe",
    features: { f16: true, subgroups: true },
    subgroupMinSize: 8,
    subgroupMaxSize: 8,
    software: true,
    limits: {
      ...baseLimits,
      maxStorageBuffersPerShaderStage: 16,
      maxBufferSize: 2 ** 32 - 4,
      maxComputeWorkgroupStorageSize: 32768,
      maxComputeInvocationsPerWorkgroup: 1024,
      maxComputeWorkgroupSizeX: 1024,
      maxComputeWorkgroupSizeY: 1024,
      maxComputeWorkgroupSizeZ: 1024,
    },
  },
  h200: {
    name: "h200",
    features: { f16: true, subgroups: true, subgroupMatrix: true },
    subgroupMinSize: 32,
    subgroupMaxSize: 32,
    software: false,
    limits: {
      ...baseLimits,
      maxStorageBuffersPerShaderStage: 16,
      maxStorageBufferBindingSize: 2 ** 31 - 4,
      maxBufferSize: 2 ** 40,
      maxComputeWorkgroupStorageSize: 49152,
      maxComputeInvocationsPerWorkgroup: 1024,
      maxComputeWorkgroupSizeX: 1024,
      maxComputeWorkgroupSizeY: 1024,
    },
  },
} as const satisfies Readonly<Record<string, Capabilities>>;

/** A name in {@link profiles}. */
export type ProfileName = keyof typeof profiles;
