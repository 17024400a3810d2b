import type { Region } from "../fuse/region.ts";
import type { Node } from "../ir/graph.ts";
import { type Index, indexText, int, ravel, unravel, variable } from "../ir/index-expr.ts";
import type { Capabilities } from "../manifest/manifest.ts";
import { type Emitter, elements, shapeOf, type Value } from "./emitter.ts";
import { closeFrame, type Frame, type Kernel, openFrame } from "./kernel.ts";
import { typeOf } from "./storage.ts";

const groupSize = 64;

/**
 * Scatter without atomics: every element of the result looks through the updates in row-major order for those that
 * address it, so later updates win and sums are the same from run to run.
 */
export function writeScatter(region: Region, capabilities: Capabilities): Kernel {
  const frame = openFrame(region, capabilities);
  const { e } = frame;
  const [node] = region.anchors as [Node];
  const total = elements(node);
  const groups = Math.ceil(total / groupSize);
  const i = e.index("i", total - 1, `group * ${groupSize}u + lid`);
  e.line(`if (i >= ${total}u) { return; }`);
  const at = unravel(i, shapeOf(node));
  const start = e.value(node.args[0] as Node, at);
  const dtype = node.type.dtype;
  e.line(`var acc: ${typeOf(dtype, 1)} = ${start.text};`);
  (node.op === "scatterND" ? lookND : lookElements)(frame, node, at);
  e.store(frame.outputs.get(node)!, ravel(at, shapeOf(node)), { text: "acc", width: 1, dtype, depth: e.depth });
  return closeFrame(frame, { variant: "scatter_look", workgroupSize: [groupSize, 1, 1], groups });
}

function lookElements(frame: Frame, node: Node, at: readonly Index[]): void {
  const { e } = frame;
  const [, indices, updates] = node.args as [Node, Node, Node];
  const axis = node.attrs.axis as number;
  const shape = shapeOf(indices);
  const guards = at.flatMap((a, d) =>
    d === axis || a.max < (shape[d] as number) ? [] : [`${indexText(a)} < ${shape[d]}u`],
  );
  if (guards.length) e.open(`if (${guards.join(" && ")}) {`);
  const n = shape[axis] as number;
  e.open(`for (var u = 0u; u < ${frame.end(n)}; u++) {`, ["u"]);
  const here = at.map((a, d) => (d === axis ? variable("u", Math.max(0, n - 1)) : a));
  const hit = addresses(e, e.value(indices, here), at[axis] as Index, shapeOf(node)[axis] as number);
  e.open(`if (${hit}) {`);
  update(e, node, e.value(updates, here));
  e.close();
  e.close();
  if (guards.length) e.close();
}

function lookND(frame: Frame, node: Node, at: readonly Index[]): void {
  const { e } = frame;
  const [, indices, updates] = node.args as [Node, Node, Node];
  const shape = shapeOf(indices);
  const outer = shape.slice(0, -1);
  const depth = shape[shape.length - 1] as number;
  const n = outer.reduce((p, d) => p * d, 1);
  e.open(`for (var u = 0u; u < ${frame.end(n)}; u++) {`, ["u"]);
  const tuple = unravel(variable("u", Math.max(0, n - 1)), outer);
  const hits = Array.from({ length: depth }, (_, k) =>
    addresses(e, e.value(indices, [...tuple, int(k)]), at[k] as Index, shapeOf(node)[k] as number),
  );
  e.open(hits.length ? `if (${hits.join(" && ")}) {` : "{");
  update(e, node, e.value(updates, [...tuple, ...at.slice(depth)]));
  e.close();
  e.close();
}

/** Does the index value address this position? Negative values count from the end. */
function addresses(e: Emitter, v: Value, position: Index, size: number): string {
  const p = indexText(position);
  if (v.dtype === "u32") return `${v.text} == ${p}`;
  const wrapped = e.let(`select(${v.text}, ${v.text} + ${size}i, ${v.text} < 0i)`, 1, "i32");
  return `${wrapped.text} == i32(${p})`;
}

const combineOf: Readonly<Record<string, string>> = { add: "add", mul: "mul", min: "min", max: "max" };

function update(e: Emitter, node: Node, value: Value): void {
  const op = combineOf[node.attrs.reduction as string];
  const dtype = node.type.dtype;
  const acc: Value = { text: "acc", width: 1, dtype, depth: e.depth };
  e.line(`acc = ${op ? e.apply(op, [acc, { ...value, depth: e.depth }], dtype).text : value.text};`);
}
