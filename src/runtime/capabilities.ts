import { fail } from "../base/diagnostic.ts";
import type { Capabilities } from "../manifest/manifest.ts";
import { describe } from "./describe.ts";

/** Whether an adapter computes on the CPU. */
export const isSoftware = (info: GPUAdapterInfo | undefined): boolean =>
  info !== undefined &&
  (info.isFallbackAdapter === true ||
    /swiftshader|llvmpipe|lavapipe|basic render|software/i.test(`${info.description} ${info.architecture}`));

type LimitName = keyof Capabilities["limits"];
/** Every limit that plans depend on. The alignment is left at WebGPU's 256, which windows are laid out for. */
const requested: readonly LimitName[] = [
  "maxStorageBuffersPerShaderStage",
  "maxStorageBufferBindingSize",
  "maxBufferSize",
  "maxComputeWorkgroupStorageSize",
  "maxComputeInvocationsPerWorkgroup",
  "maxComputeWorkgroupSizeX",
  "maxComputeWorkgroupSizeY",
  "maxComputeWorkgroupSizeZ",
  "maxComputeWorkgroupsPerDimension",
];

const features = {
  f16: "shader-f16",
  subgroups: "subgroups",
  subgroupMatrix: "chromium-experimental-subgroup-matrix",
} as const;
const timestamps = "timestamp-query";

/** The descriptor that asks an adapter for all that kernels can use, or for exactly what `profile` has. */
export function deviceDescriptor(adapter: GPUAdapter, profile?: Capabilities): GPUDeviceDescriptor {
  const wanted = (Object.keys(features) as (keyof typeof features)[]).filter((f) =>
    profile ? profile.features[f] : adapter.features.has(features[f]),
  );
  for (const f of wanted) {
    if (!adapter.features.has(features[f])) tooSmall(profile!, `the feature ${features[f]}`);
  }
  const requiredLimits: Record<string, number> = {};
  for (const name of requested) {
    const offered = adapter.limits[name];
    const needed = profile ? profile.limits[name] : offered;
    if (needed > offered) tooSmall(profile!, `${name} ${needed} (it has ${offered})`);
    requiredLimits[name] = needed;
  }
  return {
    requiredFeatures: [
      ...wanted.map((f) => features[f]),
      ...(adapter.features.has(timestamps) ? [timestamps] : []),
    ] as GPUFeatureName[],
    requiredLimits,
  };
}

const tooSmall = (profile: Capabilities, what: string): never =>
  fail("profile-unavailable", `the adapter does not offer ${what}, which profile ${profile.name} has`, {
    hint: "open the device without a profile, or choose a smaller one",
  });

/** A kind of subgroup matrix that an adapter multiplies; lib.dom does not know them yet. */
interface MatrixConfig {
  readonly componentType: string;
  readonly resultComponentType: string;
  readonly M: number;
  readonly N: number;
  readonly K: number;
}

/** Whether subgroups have 32 lanes and multiply 16 × 16 halves into f32: what kernels with subgroup matrices are written for. */
function multipliesHalves(info: GPUAdapterInfo | undefined): boolean {
  const configs = (info as { subgroupMatrixConfigs?: Iterable<MatrixConfig> } | undefined)?.subgroupMatrixConfigs ?? [];
  const fits = [...configs].some(
    (c) =>
      [c.componentType, c.resultComponentType].join() === "f16,f32" && [c.M, c.N, c.K].every((size) => size === 16),
  );
  return fits && info?.subgroupMinSize === 32 && info.subgroupMaxSize === 32;
}

/** Fails with `bad-option` unless a value says what devices offer, as `profiles` and `gpu.capabilities` do. */
export function checkCapabilities(call: string, option: string, v: unknown): Capabilities {
  const { features, limits } = Object(v) as Partial<Capabilities>;
  if (Object(features) === features && requested.every((name) => typeof limits?.[name] === "number"))
    return v as Capabilities;
  return fail("bad-option", `${call}: ${option} cannot be ${describe(v)}`, {
    hint: "give one of profiles, such as profiles.base, or what an open device has: gpu.capabilities",
  });
}

/** What an open device offers. */
export function capabilitiesOf(device: GPUDevice, info: GPUAdapterInfo | undefined, name: string): Capabilities {
  const limits = {} as Record<LimitName, number>;
  for (const n of requested) limits[n] = device.limits[n];
  const has = (f: keyof typeof features): boolean => device.features.has(features[f]);
  return {
    name,
    features: {
      f16: has("f16"),
      subgroups: has("subgroups"),
      ...(has("f16") && has("subgroupMatrix") && multipliesHalves(info) ? { subgroupMatrix: true } : {}),
    },
    subgroupMinSize: info?.subgroupMinSize || 4,
    subgroupMaxSize: info?.subgroupMaxSize || 128,
    software: isSoftware(info),
    limits: { ...limits, minStorageBufferOffsetAlignment: 256 },
  };
}
