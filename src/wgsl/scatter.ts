import { placeOf } from "../fuse/pull.ts";
import type { Region } from "../fuse/region.ts";
import type { Node } from "../ir/graph.ts";
import { type Index, indexText, ravel, unravel, variable } from "../ir/index-expr.ts";
import type { Capabilities } from "../manifest/manifest.ts";
import { writeDynamicUpdate } from "./dynamic-update.ts";
import { type Emitter, elements, shapeOf, type Value } from "./emitter.ts";
import { closeFrame, type Frame, type Kernel, openFrame } from "./kernel.ts";
import { writeScatterSlices } from "./scatter-slices.ts";
import { typeOf } from "./storage.ts";

const groupSize = 64;

/**
 * A tensor with some elements replaced or added to, without atomics: what several updates address is computed by one
 * invocation from all of them in row-major order, so later updates win and sums are the same from run to run. In the place
 * of the tensor only what is addressed is touched.
 */
export function writeScatter(region: Region, capabilities: Capabilities): Kernel {
  const frame = openFrame(region, capabilities);
  const [node] = region.anchors as [Node];
  const input = frame.inPlace.get(node);
  const inPlace = input !== undefined && placeOf(input).root === placeOf(node.args[0] as Node).root;
  if (node.op === "dynamicUpdateSlice") return writeDynamicUpdate(frame, node, inPlace);
  if (node.op === "scatterND") return writeScatterSlices(frame, node, inPlace);
  return inPlace ? writeAddressed(frame, node) : writeLook(frame, node);
}

/** Every element of the result looks through the updates of its line. */
function writeLook(frame: Frame, node: Node): Kernel {
  const { e } = frame;
  const [base, indices] = node.args as [Node, Node];
  const total = elements(node);
  const groups = Math.ceil(total / groupSize);
  const i = e.index("i", total - 1, `group * ${groupSize}u + lid`);
  e.line(`if (i >= ${total}u) { return; }`);
  const at = unravel(i, shapeOf(node));
  const start = e.value(base, at);
  const dtype = node.type.dtype;
  e.line(`var acc: ${typeOf(dtype, 1)} = ${start.text};`);
  const axis = node.attrs.axis as number;
  const shape = shapeOf(indices);
  const guards = at.flatMap((a, d) =>
    d === axis || a.max < (shape[d] as number) ? [] : [`${indexText(a)} < ${shape[d]}u`],
  );
  if (guards.length) e.open(`if (${guards.join(" && ")}) {`);
  const n = shape[axis] as number;
  e.open(`for (var u = 0u; u < ${frame.end(n)}; u++) {`, ["u"]);
  joinMatch(frame, node, at, at[axis] as Index, variable("u", Math.max(0, n - 1)));
  e.close();
  if (guards.length) e.close();
  e.store(frame.outputs.get(node)!, ravel(at, shapeOf(node)), { text: "acc", width: 1, dtype, depth: e.depth });
  return closeFrame(frame, { variant: "scatter_look", workgroupSize: [groupSize, 1, 1], groups });
}

/** In place: the first update of an element joins all of its line that address it too. */
function writeAddressed(frame: Frame, node: Node): Kernel {
  const { e } = frame;
  const [base, indices] = node.args as [Node, Node];
  const axis = node.attrs.axis as number;
  const total = elements(indices);
  const groups = Math.ceil(total / groupSize);
  const i = e.index("i", Math.max(0, total - 1), `group * ${groupSize}u + lid`);
  e.line(`if (i >= ${total}u) { return; }`);
  const at = unravel(i, shapeOf(indices));
  const own = at[axis] as Index;
  const to = addressed(e, e.value(indices, at), shapeOf(node)[axis] as number);
  e.line(`if (!(${to.inside})) { return; }`);
  e.open(`for (var f = 0u; f < ${indexText(own)}; f++) {`, ["f"]);
  const earlier = at.map((a, d) => (d === axis ? variable("f", own.max) : a));
  e.line(`if (${addresses(e, e.value(indices, earlier), to.index, shapeOf(node)[axis] as number)}) { return; }`);
  e.close();
  const place = at.map((a, d) => (d === axis ? to.index : a));
  const dtype = node.type.dtype;
  e.line(`var acc: ${typeOf(dtype, 1)} = ${e.value(base, place).text};`);
  const n = shapeOf(indices)[axis] as number;
  e.open(`for (var u = ${indexText(own)}; u < ${frame.end(n)}; u++) {`, ["u"]);
  joinMatch(frame, node, at, to.index, variable("u", Math.max(0, n - 1)));
  e.close();
  e.store(frame.outputs.get(node)!, ravel(place, shapeOf(node)), { text: "acc", width: 1, dtype, depth: e.depth });
  return closeFrame(frame, { variant: "scatter_addressed", workgroupSize: [groupSize, 1, 1], groups });
}

/** Joins update number `u` of the line through `at` to `acc` if it addresses `position`. */
function joinMatch(frame: Frame, node: Node, at: readonly Index[], position: Index, u: Index): void {
  const { e } = frame;
  const [, indices, updates] = node.args as [Node, Node, Node];
  const axis = node.attrs.axis as number;
  const here = at.map((a, d) => (d === axis ? u : a));
  e.open(`if (${addresses(e, e.value(indices, here), position, shapeOf(node)[axis] as number)}) {`);
  e.line(`acc = ${joined(e, node, "acc", 1, e.value(updates, here))};`);
  e.close();
}

/** Does the index value address this position? Negative values count from the end. */
export function addresses(e: Emitter, v: Value, position: Index, size: number): string {
  const p = indexText(position);
  return v.dtype === "u32" ? `${v.text} == ${p}` : `${fromEnd(e, v, size).text} == i32(${p})`;
}

/** The position that an index value addresses, and whether there is one. */
export function addressed(e: Emitter, v: Value, size: number): { readonly index: Index; readonly inside: string } {
  const last = Math.max(0, size - 1);
  if (v.dtype === "u32") {
    return { index: e.opaque(`min(${v.text}, ${last}u)`, last, v.depth), inside: `${v.text} < ${size}u` };
  }
  const at = fromEnd(e, v, size);
  return { index: e.opaque(`min(u32(${at.text}), ${last}u)`, last, v.depth), inside: `u32(${at.text}) < ${size}u` };
}

const fromEnd = (e: Emitter, v: Value, size: number): Value =>
  e.let(`select(${v.text}, ${v.text} + ${size}i, ${v.text} < 0i)`, 1, "i32", v.depth);

const combineOf: Readonly<Record<string, string>> = { add: "add", mul: "mul", min: "min", max: "max" };

/** Text of what is at an element once an update has joined it. */
export function joined(e: Emitter, node: Node, acc: string, width: number, value: Value): string {
  const op = combineOf[node.attrs.reduction as string];
  const dtype = node.type.dtype;
  const wide = value.width === width ? value.text : `${typeOf(dtype, width)}(${value.text})`;
  if (!op) return wide;
  return e.apply(
    op,
    [
      { text: acc, width, dtype, depth: e.depth },
      { text: wide, width, dtype, depth: e.depth },
    ],
    dtype,
  ).text;
}
