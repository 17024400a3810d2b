import { fail } from "../base/diagnostic.ts";
import type { Family, Region } from "../fuse/region.ts";
import type { Capabilities } from "../manifest/manifest.ts";
import { writeAttention } from "./attention-schedule.ts";
import { writeContraction } from "./contraction-schedule.ts";
import type { Kernel } from "./kernel.ts";
import { writeOpaque } from "./opaque.ts";
import { writePointwise } from "./pointwise.ts";
import { writeRow } from "./row.ts";
import { writeScan } from "./scan.ts";
import { writeScatter } from "./scatter.ts";

const writers: Readonly<Record<Family, (r: Region, c: Capabilities) => Kernel>> = {
  pointwise: writePointwise,
  row: writeRow,
  contraction: writeContraction,
  attention: writeAttention,
  scan: writeScan,
  scatter: writeScatter,
  opaque: writeOpaque,
};

/** The kernel of a region in the variant that suits the device. The result's limits are checked against the device's. */
export function writeKernel(region: Region, capabilities: Capabilities): Kernel {
  const kernel = writers[region.family](region, capabilities);
  const { limits } = capabilities;
  const invocations = kernel.workgroupSize.reduce((n, d) => n * d, 1);
  const bindings = kernel.bindings.length;
  const checks: [boolean, string][] = [
    [invocations <= limits.maxComputeInvocationsPerWorkgroup, `${invocations} invocations a workgroup`],
    [
      kernel.requires.workgroupBytes <= limits.maxComputeWorkgroupStorageSize,
      `${kernel.requires.workgroupBytes} bytes of workgroup memory`,
    ],
    [bindings <= limits.maxStorageBuffersPerShaderStage, `${bindings} storage buffers`],
    [
      kernel.workgroups.every((n) => n <= limits.maxComputeWorkgroupsPerDimension),
      `${kernel.workgroups.join("×")} workgroups`,
    ],
  ];
  for (const [ok, what] of checks) {
    if (!ok) {
      const at = [...region.anchors, ...region.members].find((n) => n.place)?.place;
      fail(
        "kernel-limits",
        `a ${region.family} kernel needs ${what}, more than the device (${capabilities.name}) allows`,
        {
          ...(at ? { place: at } : {}),
          cause: "the kernel cannot be split further: these operands and results belong to one operation",
          hint: "give the operation fewer operands, or use a device with higher limits",
        },
      );
    }
  }
  return kernel;
}
