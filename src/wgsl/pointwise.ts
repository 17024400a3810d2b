import type { Region } from "../fuse/region.ts";
import { add, scale, unravel } from "../ir/index-expr.ts";
import type { Capabilities } from "../manifest/manifest.ts";
import { always, least, settled } from "./agree.ts";
import { elements, lane } from "./emitter.ts";
import { closeFrame, type Frame, type Kernel, openFrame, writeAt } from "./kernel.ts";

/** Invocations a workgroup: a GPU moves more bytes with larger ones, where there are enough for all of it. */
const groupSizeFor = (steps: number, { software }: Capabilities): number => (!software && steps >= 2 ** 16 ? 256 : 64);

export const writePointwise = (region: Region, capabilities: Capabilities): Kernel =>
  writePoints(openFrame(region, capabilities), "pointwise");

/** One invocation computes `width` consecutive elements of every output. */
export function writePoints(frame: Frame, name: string): Kernel {
  const { e, region, capabilities } = frame;
  const total = Math.max(...region.outputs.map(elements));
  const packed = !capabilities.features.f16 && region.outputs.some((n) => n.type.dtype === "f16");
  // Rows of all sizes are no multiples of a width by what they are many of.
  const length = region.uniform && !packed ? (region.space.findLast((d) => d !== 1) ?? 1) : total;
  const width = least(region, length % 4 === 0 ? 4 : packed || length % 2 === 0 ? 2 : 1);
  const steps = Math.ceil(total / width);
  e.width = width;
  const groupSize = settled(region, "group", groupSizeFor(steps, capabilities));
  const groups = Math.ceil(steps / groupSize);
  const at = e.index("i", steps - 1, `group * ${groupSize}u + lid`);
  const whole = steps % groupSize === 0 && groups <= capabilities.limits.maxComputeWorkgroupsPerDimension;
  if (!always(region, whole)) {
    e.line(`if (i >= ${steps}u) { return; }`);
  }
  const linear = add(scale(at, width), lane(width));
  writeAt(frame, region.outputs, unravel(linear, region.space), linear);
  return closeFrame(frame, { variant: `${name}_x${width}`, workgroupSize: [groupSize, 1, 1], groups });
}
