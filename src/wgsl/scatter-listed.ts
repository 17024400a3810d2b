import type { Node } from "../ir/graph.ts";
import { add, type Index, indexText, int, ravel, unravel } from "../ir/index-expr.ts";
import type { Emitter, Value } from "./emitter.ts";
import { closeFrame, type Kernel } from "./kernel.ts";
import { addressed, joined } from "./scatter.ts";
import { type Slices, sliceIndex, store } from "./scatter-slices.ts";
import { typeOf } from "./storage.ts";

const threads = 256;
/** Slices of the result that a workgroup computes. */
const owned = 128;
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
  readonly acc: string;
  readonly at: readonly Index[];
  readonly guard: string;
}

/**
 * A workgroup owns consecutive slices. It looks through the indices once, lists the updates of its slices, sorts the list by
 * slice and number, and joins them in that order: which invocation found one changes nothing. Where the list is too short for a block
 * of updates, they are taken fewer at a time, and slices that are not done stay in the result's memory meanwhile.
 */
export function writeListed(s: Slices): Kernel {
  const { frame, node } = s;
  const { e } = frame;
  const slices = s.target.reduce((p, d) => p * d, 1);
  const block = Math.min(blockSize, Math.ceil(s.updates / threads) * threads);
  const words = Math.ceil(block / threads / 32);
  const several = s.updates > block;
  const team = teamOf(s.vectors);

  e.line(`let first = group * ${owned}u;`);
  const origin = several ? "origin" : "0u";
  if (several) e.open(`for (var origin = 0u; origin < ${s.updates}u; origin += ${block}u) {`, ["origin"]);
  e.line("var own = 0u;");
  e.open(`for (var w = 0u; w < ${words}u; w++) {`, ["w"]);
  e.line("var found = 0u;");
  e.open(`for (var b = 0u; b < 32u; b += ${looked}u) {`, ["b"]);
  const own = Array.from({ length: looked }, (_, j) =>
    sliceOf(s, `${origin} + (w * 32u + b + ${j}u) * ${threads}u + lid`, "first"),
  );
  own.forEach(({ mine, inside }, j) => {
    e.line(`found |= select(0u, ${1 << j}u << b, ${inside} && ${mine} < ${owned}u);`);
  });
  e.close();
  e.line(`bits[w * ${threads}u + lid] = found;`);
  e.line("own += countOneBits(found);");
  e.close();
  e.line("counts[lid] = own;");
  sums(e);
  e.line(`let all = workgroupUniformLoad(&counts[${threads - 1}u]);`);
  e.line(`let part = select(${fewer}u, ${block}u, all <= ${capacity}u);`);
  e.open(`for (var low = 0u; low < ${block}u; low += part) {`, ["low"]);
  list(s, origin);
  sort(e);
  join(s, slices, team, origin);
  e.line("workgroupBarrier();");
  e.close();
  if (several) e.close();

  const arrays = { counts: threads, list: capacity, starts: owned + 1, bits: words * threads };
  return closeFrame(frame, {
    variant: `scatter_listed${s.inPlace ? "_in_place" : ""}`,
    workgroupSize: [threads, 1, 1],
    groups: Math.ceil(slices / owned),
    declarations: Object.entries(arrays).map(([name, n]) => `var<workgroup> ${name}: array<u32, ${n}>;`),
    workgroupBytes: 4 * Object.values(arrays).reduce((a, b) => a + b, 0),
  });

  /** Joins what is listed to the slices it addresses, each by a team. */
  function join(s: Slices, slices: number, team: number, origin: string): void {
    e.open(`for (var o = lid / ${team}u; o < ${owned}u; o += ${threads / team}u) {`, ["o"]);
    e.line("let begin = starts[o];");
    e.line("let end = starts[o + 1u];");
    const fresh = several ? "(origin == 0u && low == 0u)" : "low == 0u";
    const needed = s.inPlace ? "begin < end" : `(begin < end || ${fresh})`;
    e.open(`if (${[...(slices % owned ? [`first + o < ${slices}u`] : []), needed].join(" && ")}) {`);
    const last = Math.max(0, slices - 1);
    const slice = e.index("slice", last, slices % owned ? `min(first + o, ${last}u)` : "first + o");
    const vectors = vectorsOf(s, slice, team, s.inPlace ? undefined : fresh);
    e.line("var i = begin;");
    const update = (at: string): Index => {
      const number = `list[min(${at}, ${capacity - 1}u)] % ${perSlice}u`;
      return e.index(e.fresh("m"), s.updates - 1, `min(${origin} + ${number}, ${s.updates - 1}u)`);
    };
    e.open(`for (; i + ${ahead}u <= end; i += ${ahead}u) {`);
    joinAll(
      vectors,
      Array.from({ length: ahead }, (_, j) => update(j ? `i + ${j}u` : "i")),
    );
    e.close();
    e.open("for (; i < end; i++) {");
    joinAll(vectors, [update("i")]);
    e.close();
    for (const { acc, at, guard } of vectors) {
      e.open(guard ? `if (${guard}) {` : "{");
      e.width = s.width;
      store(s, unravel(slice, s.target), at, acc);
      e.width = 1;
      e.close();
    }
    e.close();
    e.close();
  }

  /** All loads first. */
  function joinAll(vectors: readonly Vector[], updates: readonly Index[]): void {
    e.width = s.width;
    const values = updates.map((u) =>
      vectors.map(({ at }) => e.value(node.args[2] as Node, [...unravel(u, s.outer), ...at])),
    );
    for (const row of values) {
      vectors.forEach(({ acc }, i) => {
        e.line(`${acc} = ${joined(e, node, acc, s.width, row[i] as Value)};`);
      });
    }
    e.width = 1;
  }
}

/** The number in the workgroup of the slice that an update addresses, and the condition that there is one. */
function sliceOf(s: Slices, update: string, first: string): { readonly mine: string; readonly inside: string } {
  const { e } = s.frame;
  const raw = e.fresh("raw");
  e.line(`let ${raw} = ${update};`);
  const u = e.index(e.fresh("u"), s.updates - 1, `min(${raw}, ${s.updates - 1}u)`);
  const tuple = unravel(u, s.outer);
  const list = s.target.map((size, k) => addressed(e, e.value(s.node.args[1] as Node, [...tuple, int(k)]), size));
  const at = list.map((a) => a.index);
  const inside = [`${raw} < ${s.updates}u`, ...list.map((a) => a.inside)].join(" && ");
  return { mine: `(${indexText(ravel(at, s.target))} - ${first})`, inside: `(${inside})` };
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
function list(s: Slices, origin: string): void {
  const { e } = s.frame;
  // Of a whole block all bits count; else those of the rounds at hand, which are in one word.
  const mask = `select(bits[w * ${threads}u + lid] & (${2 ** rounds - 1}u << ((low / ${threads}u) % 32u)), bits[w * ${threads}u + lid], whole)`;
  const words = (body: () => void): void => {
    e.open("for (var w = firstWord; w <= lastWord; w++) {", ["w"]);
    e.line(`var left = ${mask};`);
    body();
    e.close();
  };
  const block = Math.min(blockSize, Math.ceil(s.updates / threads) * threads);
  e.line(`let whole = part == ${block}u;`);
  e.line(`let firstWord = low / ${32 * threads}u;`);
  e.line(`let lastWord = select(firstWord, ${Math.ceil(block / threads / 32) - 1}u, whole);`);
  e.line("var here = 0u;");
  words(() => e.line("here += countOneBits(left);"));
  e.line("workgroupBarrier();");
  e.line("counts[lid] = here;");
  sums(e);
  e.line(`let count = workgroupUniformLoad(&counts[${threads - 1}u]);`);
  e.line("var to = counts[lid] - here;");
  words(() => {
    e.open("while (left != 0u) {");
    e.line(`let number = (w * 32u + countTrailingZeros(left)) * ${threads}u + lid;`);
    e.line("left &= left - 1u;");
    const { mine } = sliceOf(s, `${origin} + number`, "first");
    e.line(`list[min(to, ${capacity - 1}u)] = ${mine} * ${perSlice}u + number;`);
    e.line("to++;");
    e.close();
  });
}

/** Sorts the list (Batcher, Sorting networks and their applications, 1968), and finds where each slice's part of it starts. */
function sort(e: Emitter): void {
  e.line("var size = 1u;");
  e.line("while (size < count) { size *= 2u; }");
  e.line(`for (var i = count + lid; i < size; i += ${threads}u) { list[min(i, ${capacity - 1}u)] = 0xffffffffu; }`);
  e.line("workgroupBarrier();");
  e.open("for (var k = 2u; k <= size; k *= 2u) {", ["k"]);
  e.open("for (var j = k / 2u; j > 0u; j = j / 2u) {", ["j"]);
  e.open(`for (var p = lid; p < size / 2u; p += ${threads}u) {`, ["p"]);
  e.line(`let a = min((p / j) * 2u * j + p % j, ${capacity - 1}u);`);
  e.line(`let b = min(a + j, ${capacity - 1}u);`);
  e.line("let x = list[a];");
  e.line("let y = list[b];");
  e.line("let up = (a / k) % 2u == 0u;");
  e.line("list[a] = select(max(x, y), min(x, y), up);");
  e.line("list[b] = select(min(x, y), max(x, y), up);");
  e.close();
  e.line("workgroupBarrier();");
  e.close();
  e.close();
  e.open(`if (lid <= ${owned}u) {`);
  e.line("var begin = 0u;");
  e.line("var end = count;");
  e.open("while (begin < end) {");
  e.line("let middle = (begin + end) / 2u;");
  e.line(
    `if (list[min(middle, ${capacity - 1}u)] < lid * ${perSlice}u) { begin = middle + 1u; } else { end = middle; }`,
  );
  e.close();
  e.line("starts[lid] = begin;");
  e.close();
  e.line("workgroupBarrier();");
}

/** The vectors of a slice that are an invocation's, as they are before what is listed is joined: as given at first, then as stored. */
function vectorsOf(s: Slices, slice: Index, team: number, fresh: string | undefined): Vector[] {
  const { e, outputs } = s.frame;
  const type = typeOf(s.node.type.dtype, s.width);
  const me = e.index("me", team - 1, `lid % ${team}u`);
  return Array.from({ length: Math.ceil(s.vectors / team) }, (_, i) => {
    const place = add(me, int(i * team));
    const whole = (i + 1) * team <= s.vectors;
    const last = s.vectors - 1;
    const safe = whole ? place : e.opaque(`min(${indexText(place)}, ${last}u)`, last, e.depth);
    e.width = s.width;
    const at = sliceIndex(s, safe);
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
    e.width = 1;
    return { acc, at, guard: whole ? "" : `${indexText(place)} < ${s.vectors}u` };
  });
}
