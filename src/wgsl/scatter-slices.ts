import type { Node } from "../ir/graph.ts";
import { add, div, type Index, indexText, int, mod, ravel, scale, unravel, variable } from "../ir/index-expr.ts";
import { always, least, settled } from "./agree.ts";
import { lane, shapeOf } from "./emitter.ts";
import { closeFrame, type Frame, type Kernel } from "./kernel.ts";
import { addressed, addresses, joined } from "./scatter.ts";
import { suitsListed, writeListed } from "./scatter-listed.ts";
import { typeOf } from "./storage.ts";

/** A scatter of slices: `updates` of them, each replacing or joining one of `rows` slices of the tensor. */
export interface Slices {
  readonly frame: Frame;
  readonly node: Node;
  readonly inPlace: boolean;
  readonly updates: number;
  readonly outer: readonly number[];
  /** Sizes of the indexed axes, and of a slice. */
  readonly target: readonly number[];
  readonly slice: readonly number[];
  readonly width: number;
  /** Vectors a slice. */
  readonly vectors: number;
  /** What a kernel is divided into: the updates in place, the slices of the result otherwise. */
  readonly owners: number;
}

const product = (list: readonly number[]): number => list.reduce((p, d) => p * d, 1);

/**
 * scatterND: for each slice, all updates that address it are joined in order. In place that is done on behalf of the
 * first of them, otherwise for every slice of the result. Where there are many, a workgroup looks for them together.
 */
export function writeScatterSlices(frame: Frame, node: Node, inPlace: boolean): Kernel {
  const indices = shapeOf(node.args[1] as Node);
  const depth = indices.at(-1) as number;
  const outer = indices.slice(0, -1);
  const target = shapeOf(node).slice(0, depth);
  const slice = shapeOf(node).slice(depth);
  const updates = product(outer);
  const inner = slice.at(-1) ?? 1;
  const width = least(frame.region, inner % 4 === 0 ? 4 : inner % 2 === 0 ? 2 : 1);
  const s: Slices = {
    frame,
    node,
    inPlace,
    updates,
    outer,
    target,
    slice,
    width,
    vectors: product(slice) / width,
    owners: inPlace ? updates : product(target),
  };
  if (!frame.region.uniform && suitsListed(s)) return writeListed(s);
  const { software, limits } = frame.capabilities;
  const together =
    !software && s.updates >= 64 && s.vectors >= 16 && limits.maxComputeInvocationsPerWorkgroup >= threads;
  return settled(frame.region, "together", together) ? writeTogether(s) : writeAlone(s);
}

const alone = 64;
const mostVectors = 32;

/** An invocation looks through the updates for a part of a slice. */
function writeAlone(s: Slices): Kernel {
  const { frame, node } = s;
  const { e } = frame;
  const dtype = node.type.dtype;
  const each = settled(frame.region, "each", Math.min(mostVectors, Math.max(1, s.vectors)));
  const parts = Math.ceil(s.vectors / each);
  const total = s.owners * parts;
  const groups = Math.ceil(total / alone);
  const id = e.index("id", Math.max(0, total - 1), `group * ${alone}u + lid`);
  e.line(`if (id >= ${total}u) { return; }`);
  const owner = div(id, parts);
  const { position, inside } = positionOf(s, owner);
  if (inside) e.line(`if (!(${inside})) { return; }`);
  if (s.inPlace) {
    e.open(`for (var f = 0u; f < ${indexText(owner)}; f++) {`, ["f"]);
    e.line(`if (${matches(s, variable("f", owner.max), position)}) { return; }`);
    e.close();
  }
  const type = typeOf(dtype, s.width);
  e.line(`var acc: array<${type}, ${each}>;`);
  const left = always(frame.region, s.vectors % each === 0)
    ? frame.end(each)
    : `min(${each}u, ${s.vectors}u - ${indexText(mod(id, parts))} * ${each}u)`;
  const eachVector = (body: (acc: string, at: readonly Index[]) => void): void => {
    const c = e.fresh("c");
    e.open(`for (var ${c} = 0u; ${c} < ${left}; ${c}++) {`, [c]);
    e.width = s.width;
    const vector = add(scale(mod(id, parts), each), variable(c, each - 1));
    body(`acc[${c}]`, sliceIndex(s, vector));
    e.width = 1;
    e.close();
  };
  const put = (acc: string, text: string, width: number): void =>
    e.line(`${acc} = ${width === s.width ? text : `${type}(${text})`};`);
  eachVector((acc, at) => {
    const v = e.value(node.args[0] as Node, [...position, ...at]);
    put(acc, v.text, v.width);
  });
  e.open(`for (var u = ${s.inPlace ? indexText(owner) : "0u"}; u < ${frame.end(s.updates)}; u++) {`, ["u"]);
  const u = variable("u", Math.max(0, s.updates - 1));
  e.open(`if (${matches(s, u, position)}) {`);
  eachVector((acc, at) => {
    const v = e.value(node.args[2] as Node, [...unravel(u, s.outer), ...at]);
    put(acc, joined(e, node, acc, s.width, v), s.width);
  });
  e.close();
  e.close();
  eachVector((acc, at) => store(s, position, at, acc));
  return closeFrame(frame, { variant: variantOf(s, "alone"), workgroupSize: [alone, 1, 1], groups });
}

const threads = 64;
/** Indices that are looked through between two barriers. */
const blockSize = 32768;

/** A workgroup looks through the indices, notes a bit for each match, and every invocation joins them for its vectors. */
function writeTogether(s: Slices): Kernel {
  const { frame, node } = s;
  const { e } = frame;
  const dtype = node.type.dtype;
  const own = settled(frame.region, "own", Math.min(4, Math.ceil(s.vectors / threads)));
  const parts = Math.ceil(s.vectors / (own * threads));
  const groups = s.owners * parts;
  // Numbers of updates that are data may be any.
  const many = frame.region.uniform !== undefined || s.updates > blockSize;
  const words = Math.ceil((many ? blockSize : s.updates) / 32);
  const g = e.index("g", Math.max(0, groups - 1), "group");
  const me = e.index("me", threads - 1, "lid");
  const owner = div(g, parts);
  const { position, inside } = positionOf(s, owner);
  e.line(`var live = ${inside || "true"};`);
  const type = typeOf(dtype, s.width);
  // All vectors of an invocation are guarded alike, so that the text has one form for all sizes.
  const whole = always(frame.region, s.vectors % (own * threads) === 0);
  const vectors = Array.from({ length: own }, (_, i) => {
    const at = add(scale(mod(g, parts), own * threads), add(me, int(i * threads)));
    const last = s.vectors - 1;
    const safe = whole ? at : e.opaque(`min(${indexText(at)}, ${last}u)`, last, e.depth);
    e.width = s.width;
    const index = sliceIndex(s, safe);
    const v = e.value(node.args[0] as Node, [...position, ...index]);
    e.width = 1;
    const acc = e.fresh("acc");
    e.line(`var ${acc} = ${v.width === s.width ? v.text : `${type}(${v.text})`};`);
    return { acc, index, guard: whole ? "" : ` && ${indexText(at)} < ${s.vectors}u` };
  });
  if (many) e.open(`for (var first = 0u; first < ${s.updates}u; first += ${blockSize}u) {`, ["first"]);
  const begin = many ? "first + " : "";
  const limit = many ? "count" : `${words}u`;
  if (many) e.line(`let count = min(${words}u, (${s.updates + 31}u - first) / 32u);`);
  e.open(`for (var w = lid; w < ${limit}; w += ${threads}u) {`, ["w"]);
  e.line("var found = 0u;");
  e.open("for (var b = 0u; b < 32u; b++) {", ["b"]);
  const full = s.updates % 32 === 0 && !many;
  e.line(`let raw = ${begin}w * 32u + b;`);
  const u = e.index("u", s.updates - 1, full ? "raw" : `min(raw, ${s.updates - 1}u)`);
  const hit = matches(s, u, position);
  e.line(`found |= select(0u, 1u << b, ${full ? hit : `raw < ${s.updates}u && ${hit}`});`);
  e.close();
  e.line("hits[w] = found;");
  e.close();
  e.line("workgroupBarrier();");

  e.open(`for (var w = 0u; live && w < ${limit}; w++) {`, ["w"]);
  e.line("var left = hits[w];");
  e.open("while (left != 0u) {");
  const m = e.index("m", s.updates - 1, `${begin}w * 32u + countTrailingZeros(left)`);
  e.line("left &= left - 1u;");
  if (s.inPlace) e.line(`if (m < ${indexText(owner)}) { live = false; break; }`);
  for (const { acc, index } of vectors) {
    e.width = s.width;
    const v = e.value(node.args[2] as Node, [...unravel(m, s.outer), ...index]);
    e.line(`${acc} = ${joined(e, node, acc, s.width, v)};`);
    e.width = 1;
  }
  e.close();
  e.close();
  if (many) {
    e.line("workgroupBarrier();");
    e.close();
  }
  for (const { acc, index, guard } of vectors) {
    e.open(`if (live${guard}) {`);
    e.width = s.width;
    store(s, position, index, acc);
    e.width = 1;
    e.close();
  }
  return closeFrame(frame, {
    variant: variantOf(s, "together"),
    workgroupSize: [threads, 1, 1],
    groups,
    declarations: [`var<workgroup> hits: array<u32, ${words}>;`],
    workgroupBytes: words * 4,
  });
}

const variantOf = (s: Slices, how: string): string => `scatter_${how}${s.inPlace ? "_in_place" : ""}`;

/** Where the owner's slice lies in the tensor, and the condition that it lies there at all. */
function positionOf(s: Slices, owner: Index): { readonly position: readonly Index[]; readonly inside: string } {
  if (!s.inPlace) return { position: unravel(owner, s.target), inside: "" };
  const { e } = s.frame;
  const list = s.target.map((size, k) => {
    const v = e.value(s.node.args[1] as Node, [...unravel(owner, s.outer), int(k)]);
    return addressed(e, v, size);
  });
  return { position: list.map((a) => a.index), inside: list.map((a) => a.inside).join(" && ") };
}

/** Does update number `u` address this position? */
function matches(s: Slices, u: Index, position: readonly Index[]): string {
  const { e } = s.frame;
  const indices = s.node.args[1] as Node;
  const tuple = unravel(u, s.outer);
  const hits = s.target.map((size, k) =>
    addresses(e, e.value(indices, [...tuple, int(k)]), position[k] as Index, size),
  );
  return hits.join(" && ") || "true";
}

export const sliceIndex = (s: Slices, vector: Index): readonly Index[] =>
  unravel(s.width === 1 ? vector : add(scale(vector, s.width), lane(s.width)), s.slice);

export function store(s: Slices, position: readonly Index[], at: readonly Index[], acc: string): void {
  const { e, outputs } = s.frame;
  const dtype = s.node.type.dtype;
  const value = e.let(acc, s.width, dtype);
  e.store(outputs.get(s.node)!, ravel([...position, ...at], shapeOf(s.node)), value);
}
