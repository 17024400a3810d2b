import type { Node } from "../ir/graph.ts";
import { add, type Index, ravel, scale, unravel } from "../ir/index-expr.ts";
import { least } from "./agree.ts";
import { dynamicStarts } from "./dynamic-starts.ts";
import { elements, lane, shapeOf } from "./emitter.ts";
import { closeFrame, type Frame, type Kernel } from "./kernel.ts";
import { writePoints } from "./pointwise.ts";

const groupSize = 64;

/** A block of a tensor replaced: in the tensor's place only the block is written, else everything is. */
export function writeDynamicUpdate(frame: Frame, node: Node, inPlace: boolean): Kernel {
  const { e, capabilities } = frame;
  const [x, update, ...starts] = node.args as [Node, Node, ...Node[]];
  const sizes = shapeOf(update);
  const inner = sizes.at(-1) ?? 1;
  const packed = node.type.dtype === "f16" && !capabilities.features.f16;
  // Halves are written two at a time, which a block that begins anywhere in a row cannot do.
  const whole = !packed || (inner === shapeOf(x).at(-1) && inner % 2 === 0);
  if (!inPlace || !whole) return writePoints(frame, "update_select");
  const width = least(frame.region, inner % 4 === 0 ? 4 : inner % 2 === 0 ? 2 : 1);
  const steps = elements(update) / width;
  const groups = Math.ceil(steps / groupSize);
  const i = e.index("i", Math.max(0, steps - 1), `group * ${groupSize}u + lid`);
  e.line(`if (i >= ${steps}u) { return; }`);
  e.width = width;
  const at = unravel(add(scale(i, width), lane(width)), sizes);
  const first = dynamicStarts(e, starts, shapeOf(x), sizes);
  const value = e.result(update, at);
  const to = at.map((a, axis) => add(a, first[axis] as Index));
  e.store(frame.outputs.get(node)!, ravel(to, shapeOf(x)), value);
  return closeFrame(frame, { variant: `update_block_x${width}`, workgroupSize: [groupSize, 1, 1], groups });
}
