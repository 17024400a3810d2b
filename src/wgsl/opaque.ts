import { fail, type Place } from "../base/diagnostic.ts";
import { editWgsl, wgslDeclarations } from "../base/wgsl-text.ts";
import { boundBy } from "../fuse/pull.ts";
import { type Region, slotsOf } from "../fuse/region.ts";
import type { Node } from "../ir/graph.ts";
import { ownBindings } from "../ir/ops/wgsl.ts";
import type { Capabilities } from "../manifest/manifest.ts";
import type { Kernel } from "./kernel.ts";

/** A kernel of the user's: its text with the numbers of its bindings as the plan has them, and nothing else changed. */
export function writeOpaque(region: Region, capabilities: Capabilities): Kernel {
  const [node] = region.anchors as [Node];
  const { attrs } = node;
  const slots = slotsOf(region);
  const number = new Map<string, number>();
  for (const b of ownBindings(attrs)) {
    const arg = b.argument === undefined ? undefined : boundBy(node.args[b.argument] as Node);
    const at = slots.findIndex(({ input, output }) =>
      b.result === undefined ? input === arg : output?.attrs.index === b.result && (arg === undefined || input === arg),
    );
    if (at < 0) throw new Error(`nothing is bound for ${b.name} of ${attrs.name}`);
    number.set(b.name, at);
  }
  checkDevice(node, capabilities, slots.length);
  const large = slots.find((s) => s.part !== undefined);
  if (large) tooLarge(node, (large.input ?? large.output) as Node, capabilities);
  const features = featuresOf(node);
  const [x, y, z] = attrs.workgroups as [number, number, number];
  const [sx, sy, sz] = attrs.workgroupSize as [number, number, number];
  return {
    wgsl: renumbered(attrs.source as string, number),
    bindings: slots.map((s) => s.access),
    variant: `wgsl_${attrs.name}`,
    workgroupSize: [sx, sy, sz],
    workgroups: [x, y, z],
    groups: x * y * z,
    requires: {
      f16: features.includes("f16"),
      subgroups: features.includes("subgroups"),
      workgroupBytes: attrs.workgroupBytes as number,
    },
    units: slots.map(() => 1),
    own: true,
  };
}

function renumbered(source: string, number: ReadonlyMap<string, number>): string {
  const edits = wgslDeclarations(source).flatMap((d) => {
    const to = d.kind === "var" ? number.get(d.name) : undefined;
    const attribute = d.attributes.find((a) => a.name === "binding");
    return to !== undefined && attribute ? [{ start: attribute.argsAt, end: attribute.argsEnd, text: String(to) }] : [];
  });
  return editWgsl(source, edits);
}

const featuresOf = ({ attrs }: Node): readonly string[] => ((attrs.features as string | undefined) ?? "").split(" ");

const placed = ({ place }: Node): { place?: Place } => (place ? { place } : {});

/** What the text asks of a device and the device may lack: the text is the user's to change. */
function checkDevice(node: Node, { name, features, limits }: Capabilities, bindings: number): void {
  const { attrs } = node;
  for (const f of ["f16", "subgroups"] as const) {
    if (features[f] || !featuresOf(node).includes(f)) continue;
    fail("feature-missing", `${attrs.name} enables ${f}, which the device (${name}) lacks`, {
      hint: `write the kernel without ${f}, or choose between two kernels before compiling for a device`,
      ...placed(node),
    });
  }
  const [x, y, z] = attrs.workgroupSize as [number, number, number];
  const most = limits.maxComputeWorkgroupsPerDimension;
  const needs: readonly (readonly [what: string, needed: number, offered: number])[] = [
    ["storage buffers", bindings, limits.maxStorageBuffersPerShaderStage],
    ["bytes of workgroup memory", attrs.workgroupBytes as number, limits.maxComputeWorkgroupStorageSize],
    ["invocations in a workgroup", x * y * z, limits.maxComputeInvocationsPerWorkgroup],
    ["invocations along x", x, limits.maxComputeWorkgroupSizeX],
    ["invocations along y", y, limits.maxComputeWorkgroupSizeY],
    ["invocations along z", z, limits.maxComputeWorkgroupSizeZ],
    ...(attrs.workgroups as number[]).map((n, i) => [`workgroups along ${"xyz"[i]}`, n, most] as const),
  ];
  for (const [what, needed, offered] of needs) {
    if (needed <= offered) continue;
    fail("kernel-limits", `${attrs.name} needs ${needed} ${what}, and the device (${name}) has ${offered}`, {
      hint: "change the text, its overrides or the number of workgroups",
      ...placed(node),
    });
  }
}

function tooLarge(node: Node, tensor: Node, { limits }: Capabilities): never {
  const { dtype, shape } = tensor.type;
  return fail(
    "tensor-too-large",
    `${node.attrs.name}: a ${dtype}[${shape.join(", ")}] tensor is larger than a binding`,
    {
      cause: `a binding holds ${limits.maxStorageBufferBindingSize} bytes, and the text reads the tensor through one`,
      hint: "split the tensor along an axis and call the kernel for each part",
      ...placed(node),
    },
  );
}
