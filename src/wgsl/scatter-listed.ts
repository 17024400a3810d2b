import type { Node } from "../ir/graph.ts";
import { add, type Index, indexText, int, ravel, unravel } from "../ir/index-expr.ts";
import type { Emitter, Value } from "./emitter.ts";
import { closeFrame, type Kernel } from "./kernel.ts";
import { addressed, joined } from "./scatter.ts";
import { type Slices, sliceIndex, store } from "./scatter-slices.ts";
import { typeOf } from "./storage.ts";

const threads = 256;
/** Slices of the result that a workgroup computes, at most. */
const mostOwned = 128;
/** Updates that are looked at before any is joined: a bit for each is kept in workgroup memory. */
const blockSize = 65536;
/** Entries of the list of those that address the workgroup's slices. */
const capacity = 1024;
/** Updates at a time where more address them: every round of all invocations is a bit of theirs. */
const fewer = 1024;
const rounds = fewer / threads;
/** An entry is a slice's number in the workgroup and an update's number in its block. */
const perSlice = 65536;
/** Vectors of a slice that an invocation has at most. */
const mostVectors = 4;
/** Updates whose loads are under way at a time, and indices. */
const ahead = 4;
const looked = 8;

/** Invocations that compute a slice together. */
const teamOf = (vectors: number): number => (vectors <= 256 ? 64 : threads);

/** Many updates of long slices, on a GPU. */
export function suitsListed(s: Slices): boolean {
  const { software, limits } = s.frame.capabilities;
  const perMember = Math.ceil(s.vectors / teamOf(s.vectors));
  return (
    !software &&
    s.node.type.dtype !== "f16" &&
    s.vectors >= 16 &&
    perMember <= mostVectors &&
    s.updates >= (s.inPlace ? 2048 : 64) &&
    limits.maxComputeInvocationsPerWorkgroup >= threads
  );
}

/** A vector of a slice that an invocation computes. */
interface Vector {
  readonly at: readonly Index[];
  readonly guard: string;
}

/** How a kernel is laid out. */
interface Layout {
  readonly slices: number;
  /** Slice i is of workgroup i % groups: slices that many updates address are often neighbours. */
  readonly groups: number;
  readonly owned: number;
  readonly block: number;
  readonly team: number;
  /** Where the block at hand begins. */
  readonly origin: string;
}

/**
 * A workgroup owns some of the slices. It looks through the indices once, lists the updates of its slices, sorts the list by
 * slice and number, and joins them in that order: which invocation found one changes nothing. Where the list is too short for a block
 * of updates, they are taken fewer at a time, and slices that are not done stay in the result's memory meanwhile.
 */
export function writeListed(s: Slices): Kernel {
  const { frame } = s;
  const { e } = frame;
  const slices = s.target.reduce((p, d) => p * d, 1);
  const groups = Math.ceil(slices / mostOwned);
  const block = Math.min(blockSize, Math.ceil(s.updates / threads) * threads);
  const words = Math.ceil(block / threads / 32);
  const several = s.updates > block;
  const team = teamOf(s.vectors);
  const layout: Layout = {
    ...{ slices, groups, owned: Math.ceil(slices / groups), block, team },
    origin: several ? "origin" : "0u",
  };

  if (several) e.open(`for (var origin = 0u; origin < ${s.updates}u; origin += ${block}u) {`, ["origin"]);
  look(s, layout, words);
  e.line("counts[lid] = own;");
  sums(e);
  e.line(`let all = workgroupUniformLoad(&counts[${threads - 1}u]);`);
  e.line(`let whole = all <= ${capacity}u;`);
  e.line(`let part = select(${fewer}u, ${block}u, whole);`);
  e.open(`for (var low = 0u; low < ${block}u; low += part) {`, ["low"]);
  list(s, layout);
  sort(e, layout);
  joinLists(s, layout, several);
  e.line("workgroupBarrier();");
  e.close();
  if (several) e.close();

  const arrays = { counts: threads, list: capacity, starts: layout.owned + 1, bits: words * threads };
  return closeFrame(frame, {
    variant: `scatter_listed${s.inPlace ? "_in_place" : ""}`,
    workgroupSize: [threads, 1, 1],
    groups,
    declarations: Object.entries(arrays).map(([name, n]) => `var<workgroup> ${name}: array<u32, ${n}>;`),
    workgroupBytes: 4 * Object.values(arrays).reduce((a, b) => a + b, 0),
  });
}

/** Notes a bit for each update of the block that addresses the workgroup's slices; `own` is how many an invocation found. */
function look(s: Slices, { block, groups, origin }: Layout, words: number): void {
  const { e } = s.frame;
  e.line("var own = 0u;");
  e.open(`for (var w = 0u; w < ${words}u; w++) {`, ["w"]);
  e.line("var found = 0u;");
  const most = block / threads;
  e.open(`for (var b = 0u; b < ${most % 32 ? `min(32u, ${most}u - w * 32u)` : "32u"}; b += ${looked}u) {`, ["b"]);
  const own = Array.from({ length: looked }, (_, j) =>
    addressedBy(s, `${origin} + (w * 32u + b + ${j}u) * ${threads}u + lid`),
  );
  own.forEach(({ slice, inside }, j) => {
    const mine = groups === 1 ? inside : `${inside} && ${slice} % ${groups}u == group`;
    e.line(`found |= select(0u, ${1 << j}u << b, ${mine});`);
  });
  e.close();
  e.line(`bits[w * ${threads}u + lid] = found;`);
  e.line("own += countOneBits(found);");
  e.close();
}

/** Joins what is listed to the slices it addresses, each by a team. */
function joinLists(s: Slices, layout: Layout, several: boolean): void {
  const { e } = s.frame;
  const { owned, team } = layout;
  const teams = threads / team;
  const fresh = several ? "(origin == 0u && low == 0u)" : "low == 0u";
  const vectors = vectorsOf(s, team);
  e.open(`for (var o = lid / ${team}u; o < ${owned}u; o += ${teams}u) {`, ["o"]);
  e.line("let begin = starts[o];");
  e.line("let end = starts[o + 1u];");
  const slice = sliceOf(s, layout, "o");
  const exists = layout.slices === owned * layout.groups ? [] : [slice.exists];
  const needed = s.inPlace ? "begin < end" : `(begin < end || ${fresh})`;
  e.open(`if (${[...exists, needed].join(" && ")}) {`);
  const accs = start(s, slice.index, vectors, s.inPlace ? undefined : fresh);
  joinRun(s, layout, vectors, accs, "begin", "end");
  storeAll(s, slice.index, vectors, accs);
  e.close();
  e.close();
}

/** Joins the updates from one place of the list to another, several loads at a time. */
function joinRun(
  s: Slices,
  layout: Layout,
  vectors: readonly Vector[],
  accs: readonly string[],
  begin: string,
  end: string,
): void {
  const { e } = s.frame;
  const i = e.fresh("i");
  const last = e.let(end, 1, "u32").text;
  e.line(`var ${i} = ${begin};`);
  const step = (count: number): void => {
    const updates = Array.from({ length: count }, (_, j) => updateAt(s, layout, j ? `${i} + ${j}u` : i));
    joinAll(s, accs, valuesOf(s, updates, vectors));
    e.close();
  };
  e.open(`for (; ${i} + ${ahead}u <= ${last}; ${i} += ${ahead}u) {`);
  step(ahead);
  e.open(`for (; ${i} < ${last}; ${i}++) {`);
  step(1);
}

/** The update at a place of the list. */
function updateAt(s: Slices, { origin }: Layout, at: string): Index {
  const { e } = s.frame;
  const number = `list[min(${at}, ${capacity - 1}u)] % ${perSlice}u`;
  return e.index(e.fresh("m"), s.updates - 1, `min(${origin} + ${number}, ${s.updates - 1}u)`);
}

/** What updates have for an invocation's vectors: all loads before anything is made of them. */
function valuesOf(s: Slices, updates: readonly Index[], vectors: readonly Vector[]): Value[][] {
  const { e } = s.frame;
  e.width = s.width;
  const values = updates.map((u) =>
    vectors.map(({ at }) => e.value(s.node.args[2] as Node, [...unravel(u, s.outer), ...at])),
  );
  e.width = 1;
  return values;
}

function joinAll(s: Slices, accs: readonly string[], values: readonly (readonly Value[])[]): void {
  const { e } = s.frame;
  e.width = s.width;
  for (const row of values) {
    accs.forEach((acc, i) => {
      const value = { ...(row[i] as Value), depth: e.depth };
      e.line(`${acc} = ${joined(e, s.node, acc, s.width, value)};`);
    });
  }
  e.width = 1;
}

function storeAll(s: Slices, slice: Index, vectors: readonly Vector[], accs: readonly string[]): void {
  const { e } = s.frame;
  vectors.forEach(({ at, guard }, i) => {
    e.open(guard ? `if (${guard}) {` : "{");
    e.width = s.width;
    store(s, unravel(slice, s.target), at, accs[i] as string);
    e.width = 1;
    e.close();
  });
}

/** The slice that is number `at` of the workgroup's, and whether there is one. */
function sliceOf(
  s: Slices,
  { slices, groups }: Layout,
  at: string,
): { readonly index: Index; readonly exists: string } {
  const { e } = s.frame;
  const raw = e.let(groups === 1 ? at : `${at} * ${groups}u + group`, 1, "u32").text;
  const last = Math.max(0, slices - 1);
  return { index: e.index(e.fresh("slice"), last, `min(${raw}, ${last}u)`), exists: `${raw} < ${slices}u` };
}

/** The number of the slice that an update addresses, and the condition that there is one. */
function addressedBy(s: Slices, update: string): { readonly slice: string; readonly inside: string } {
  const { e } = s.frame;
  const raw = e.fresh("raw");
  e.line(`let ${raw} = ${update};`);
  const u = e.index(e.fresh("u"), s.updates - 1, `min(${raw}, ${s.updates - 1}u)`);
  const tuple = unravel(u, s.outer);
  const list = s.target.map((size, k) => addressed(e, e.value(s.node.args[1] as Node, [...tuple, int(k)]), size));
  const at = list.map((a) => a.index);
  const inside = [`${raw} < ${s.updates}u`, ...list.map((a) => a.inside)].join(" && ");
  return { slice: `(${indexText(ravel(at, s.target))})`, inside: `(${inside})` };
}

/** Sums of `counts` up to each place (Hillis and Steele, Data parallel algorithms, 1986). */
function sums(e: Emitter): void {
  e.line("workgroupBarrier();");
  e.open(`for (var step = 1u; step < ${threads}u; step *= 2u) {`, ["step"]);
  e.line("var before = 0u;");
  e.line("if (lid >= step) { before = counts[lid - step]; }");
  e.line("workgroupBarrier();");
  e.line("counts[lid] += before;");
  e.line("workgroupBarrier();");
  e.close();
}

/** Lists the updates from `low` on, as many as `part`, that address the workgroup's slices; `count` is how many there are. */
function list(s: Slices, { block, groups, origin }: Layout): void {
  const { e } = s.frame;
  // Of a whole block all bits count; else those of the rounds at hand, which are in one word.
  const mask = `select(bits[w * ${threads}u + lid] & (${2 ** rounds - 1}u << ((low / ${threads}u) % 32u)), bits[w * ${threads}u + lid], whole)`;
  const words = (body: () => void): void => {
    e.open("for (var w = firstWord; w <= lastWord; w++) {", ["w"]);
    e.line(`var left = ${mask};`);
    body();
    e.close();
  };
  e.line(`let firstWord = low / ${32 * threads}u;`);
  e.line(`let lastWord = select(firstWord, ${Math.ceil(block / threads / 32) - 1}u, whole);`);
  e.line("var here = own;");
  e.line("var count = all;");
  // What was counted already is that of the whole block.
  e.open("if (!whole) {");
  e.line("here = 0u;");
  words(() => e.line("here += countOneBits(left);"));
  e.line("workgroupBarrier();");
  e.line("counts[lid] = here;");
  sums(e);
  e.line(`count = workgroupUniformLoad(&counts[${threads - 1}u]);`);
  e.close();
  e.line("var to = counts[lid] - here;");
  words(() => {
    e.open("while (left != 0u) {");
    e.line(`let number = (w * 32u + countTrailingZeros(left)) * ${threads}u + lid;`);
    e.line("left &= left - 1u;");
    const { slice } = addressedBy(s, `${origin} + number`);
    const mine = groups === 1 ? slice : `${slice} / ${groups}u`;
    e.line(`list[min(to, ${capacity - 1}u)] = ${mine} * ${perSlice}u + number;`);
    e.line("to++;");
    e.close();
  });
  e.line("workgroupBarrier();");
}

/**
 * Sorts the list, and finds where each slice's part of it starts. A short list by counting for each entry those before it, a longer one
 * by exchanges (Batcher, Sorting networks and their applications, 1968).
 */
function sort(e: Emitter, { owned }: Layout): void {
  const last = `${capacity - 1}u`;
  e.open(`if (count <= ${threads}u) {`);
  e.line("let entry = list[lid];");
  e.line("var rank = 0u;");
  e.line(`for (var i = 0u; i < count; i++) { rank += select(0u, 1u, list[min(i, ${last})] < entry); }`);
  e.line("workgroupBarrier();");
  e.line(`if (lid < count) { list[min(rank, ${last})] = entry; }`);
  e.close();
  e.open("else {");
  e.line("var size = 1u;");
  e.line("while (size < count) { size *= 2u; }");
  e.line(`for (var i = count + lid; i < size; i += ${threads}u) { list[min(i, ${last})] = 0xffffffffu; }`);
  e.line("workgroupBarrier();");
  e.open("for (var k = 2u; k <= size; k *= 2u) {", ["k"]);
  e.open("for (var j = k / 2u; j > 0u; j = j / 2u) {", ["j"]);
  e.open(`for (var p = lid; p < size / 2u; p += ${threads}u) {`, ["p"]);
  // Both are powers of two: a pair is j apart, and runs of k rise and fall in turns.
  e.line(`let a = min(2u * p - (p & (j - 1u)), ${last});`);
  e.line(`let b = min(a + j, ${last});`);
  e.line("let x = list[a];");
  e.line("let y = list[b];");
  e.line("let up = (a & k) == 0u;");
  e.line("list[a] = select(max(x, y), min(x, y), up);");
  e.line("list[b] = select(min(x, y), max(x, y), up);");
  e.close();
  e.line("workgroupBarrier();");
  e.close();
  e.close();
  e.close();
  e.line("workgroupBarrier();");
  e.open(`if (lid <= ${owned}u) {`);
  e.line("var begin = 0u;");
  e.line("var end = count;");
  e.open("while (begin < end) {");
  e.line("let middle = (begin + end) / 2u;");
  e.line(`if (list[min(middle, ${last})] < lid * ${perSlice}u) { begin = middle + 1u; } else { end = middle; }`);
  e.close();
  e.line("starts[lid] = begin;");
  e.close();
  e.line("workgroupBarrier();");
}

/** The vectors of a slice that are an invocation's. */
function vectorsOf(s: Slices, team: number): Vector[] {
  const { e } = s.frame;
  const me = e.index("me", team - 1, `lid % ${team}u`);
  return Array.from({ length: Math.ceil(s.vectors / team) }, (_, i) => {
    const place = add(me, int(i * team));
    const whole = (i + 1) * team <= s.vectors;
    const last = s.vectors - 1;
    const safe = whole ? place : e.opaque(`min(${indexText(place)}, ${last}u)`, last, e.depth);
    e.width = s.width;
    const at = sliceIndex(s, safe);
    e.width = 1;
    return { at, guard: whole ? "" : `${indexText(place)} < ${s.vectors}u` };
  });
}

/** An invocation's vectors of a slice before what is listed is joined: as given at first, then as stored. */
function start(s: Slices, slice: Index, vectors: readonly Vector[], fresh: string | undefined): string[] {
  const { e, outputs } = s.frame;
  const type = typeOf(s.node.type.dtype, s.width);
  const accs = vectors.map(({ at }) => {
    e.width = s.width;
    const index = [...unravel(slice, s.target), ...at];
    const acc = e.fresh("acc");
    const put = (v: Value): void => e.line(`${acc} = ${v.width === s.width ? v.text : `${type}(${v.text})`};`);
    e.line(`var ${acc} = ${type}();`);
    if (fresh) e.open(`if (${fresh}) {`);
    put(e.value(s.node.args[0] as Node, index));
    if (fresh) {
      e.close();
      e.open("else {");
      put(e.stored(s.node, outputs.get(s.node)!, index));
      e.close();
    }
    return acc;
  });
  e.width = 1;
  return accs;
}
