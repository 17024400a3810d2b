import type { Region } from "../fuse/region.ts";
import type { Node } from "../ir/graph.ts";
import { type Index, int, ravel, sub, unravel, variable } from "../ir/index-expr.ts";
import type { Capabilities } from "../manifest/manifest.ts";
import { shapeOf } from "./emitter.ts";
import { closeFrame, type Kernel, openFrame } from "./kernel.ts";
import { typeOf } from "./storage.ts";

const groupSize = 64;

/** Cumulative sum: one invocation walks one line of the axis. */
export function writeScan(region: Region, capabilities: Capabilities): Kernel {
  const frame = openFrame(region, capabilities);
  const { e } = frame;
  const [node] = region.anchors as [Node];
  const [x] = node.args as [Node];
  const shape = shapeOf(node);
  const axis = node.attrs.axis as number;
  const length = shape[axis] as number;
  const others = shape.filter((_, i) => i !== axis);
  const lines = others.reduce((p, d) => p * d, 1);
  const groups = Math.ceil(lines / groupSize);
  const line = e.index("line", lines - 1, `group * ${groupSize}u + lid`);
  e.line(`if (line >= ${lines}u) { return; }`);
  const outer = unravel(line, others);
  const at = (position: Index): Index[] => [...outer.slice(0, axis), position, ...outer.slice(axis)];
  const dtype = node.type.dtype;
  e.line(`var acc: ${typeOf(dtype, 1)} = ${typeOf(dtype, 1)}();`);
  e.open(`for (var c = 0u; c < ${frame.end(length)}; c++) {`, ["c"]);
  const step = variable("c", Math.max(0, length - 1));
  const index = at(node.attrs.reverse ? sub(int(length - 1), step) : step);
  const value = { ...e.value(x, index), depth: e.depth };
  const out = frame.outputs.get(node)!;
  const acc = { text: "acc", width: 1, dtype, depth: e.depth };
  if (node.attrs.exclusive) e.store(out, ravel(index, shape), acc);
  e.line(`acc = ${e.apply("add", [acc, value], dtype).text};`);
  if (!node.attrs.exclusive) e.store(out, ravel(index, shape), acc);
  e.close();
  return closeFrame(frame, { variant: "scan_serial", workgroupSize: [groupSize, 1, 1], groups });
}
