import { SinterError } from "../../src/base/diagnostic.ts";
import { type AdapterName, adapterNames, openAdapter } from "../../src/node/adapters.ts";
import { capabilitiesOf, deviceDescriptor } from "../../src/runtime/capabilities.ts";

/** What an adapter of this machine offers, or why there is none of the name. */
export interface AdapterReport {
  readonly name: AdapterName;
  readonly available: boolean;
  readonly description?: string;
  readonly software?: boolean;
  /** WebGPU features that kernels use. */
  readonly features?: readonly string[];
  readonly subgroupSizes?: readonly [number, number];
  readonly limits?: Readonly<Record<string, number>>;
  /** Variants of generated kernels that run on it, best first. */
  readonly variants?: readonly string[];
  readonly reason?: string;
  readonly hint?: string;
}

const used = ["shader-f16", "subgroups", "timestamp-query"] as const;

/** Asks for every adapter that runs something. */
export async function adapterReports(): Promise<readonly AdapterReport[]> {
  const reports: AdapterReport[] = [];
  for (const name of adapterNames) if (name !== "null") reports.push(await adapterReport(name));
  return reports;
}

async function adapterReport(name: AdapterName): Promise<AdapterReport> {
  try {
    const { adapter } = await openAdapter(name);
    const { info } = adapter;
    const features = used.filter((f) => adapter.features.has(f));
    const device = await adapter.requestDevice(deviceDescriptor(adapter));
    const { software, limits, subgroupMinSize, subgroupMaxSize } = capabilitiesOf(device, info, name);
    device.destroy();
    return {
      ...{ name, available: true, software, features, limits },
      description: info.description || [info.vendor, info.architecture].filter(Boolean).join(" ") || "unnamed",
      subgroupSizes: [subgroupMinSize, subgroupMaxSize],
      variants: variantsOf(features),
    };
  } catch (e) {
    const { message, hint } =
      e instanceof SinterError ? e.diagnostic : { message: String((e as Error).message), hint: undefined };
    // What was tried stands in parentheses, behind the name that was asked for.
    const reason = /\(tried \w+: (.*)\)$/.exec(message)?.[1] ?? message;
    return { name, available: false, reason, ...(hint ? { hint } : {}) };
  }
}

const variantsOf = (features: readonly string[]): string[] => {
  const [f16, subgroups] = [features.includes("shader-f16"), features.includes("subgroups")];
  return [
    ...(subgroups ? ["f32-subgroups"] : []),
    "f32",
    ...(f16 && subgroups ? ["f16-subgroups"] : []),
    ...(f16 ? ["f16"] : []),
  ];
};
