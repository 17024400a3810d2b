import { fail } from "../base/diagnostic.ts";
import { columnSumsOf } from "../fuse/columns.ts";
import type { Family, Region } from "../fuse/region.ts";
import type { Capabilities } from "../manifest/manifest.ts";
import { attentionCandidates } from "./attention-schedule.ts";
import type { Candidate } from "./candidate.ts";
import { contractionCandidates } from "./contraction-schedule.ts";
import type { Kernel } from "./kernel.ts";
import { writeOpaque } from "./opaque.ts";
import { writePointwise } from "./pointwise.ts";
import { writeRow } from "./row.ts";
import { columnSchedules, writeRowColumns } from "./row-columns.ts";
import { rowSchedules } from "./row-schedule.ts";
import { writeScan } from "./scan.ts";
import { writeScatter } from "./scatter.ts";

type Lister = (region: Region, capabilities: Capabilities) => readonly Candidate[];

const only =
  (write: (r: Region, c: Capabilities) => Kernel): Lister =>
  (region, capabilities) => [{ name: region.family, write: () => write(region, capabilities) }];

const listers: Readonly<Record<Family, Lister>> = {
  pointwise: only(writePointwise),
  row: (region, capabilities) => {
    const carries = columnSumsOf(region).length > 0;
    const schedules = carries ? columnSchedules(region, capabilities) : rowSchedules(region, capabilities);
    const write = carries ? writeRowColumns : writeRow;
    return schedules.map((s) => ({ name: `row_${s.name}`, write: () => write(region, capabilities, s) }));
  },
  contraction: contractionCandidates,
  attention: attentionCandidates,
  scan: only(writeScan),
  scatter: only(writeScatter),
  opaque: only(writeOpaque),
};

/** Every way to write a region's kernel for a device, the one that is taken without measurements first. */
export const candidatesOf = (region: Region, capabilities: Capabilities): readonly Candidate[] =>
  listers[region.family](region, capabilities);

/**
 * The kernel of a region in the variant that suits the device, or in the one that is called `name` where that is one of its
 * candidates. The result's limits are checked against the device's.
 */
export function writeKernel(region: Region, capabilities: Capabilities, name?: string): Kernel {
  const candidates = candidatesOf(region, capabilities);
  const chosen = candidates.find((c) => c.name === name) ?? (candidates[0] as Candidate);
  const kernel = chosen.write();
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
