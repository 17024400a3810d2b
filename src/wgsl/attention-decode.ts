import type { Region } from "../fuse/region.ts";
import type { Node } from "../ir/graph.ts";
import { add, div, type Index, indexText, int, mod, scale, unravel, variable } from "../ir/index-expr.ts";
import type { Capabilities } from "../manifest/manifest.ts";
import { addAll, greatest, type Meeting, meetings } from "./attention-decode-meet.ts";
import { keyHeads, provideResult, type Sizes, sizesOf, storeAside, storeAt } from "./attention-parts.ts";
import { lane } from "./emitter.ts";
import { closeFrame, type Frame, type Kernel, openFrame } from "./kernel.ts";

/** The score of a hidden key, and the lowest of one that is not: the next f32. */
const hidden = "bitcast<f32>(0xff7fffffu)";
const lowest = "bitcast<f32>(0xff7ffffeu)";

/** Rows of queries above which tiles that share keys among them are better. */
const mostRows = 8;
/** How a query's keys are spread over invocations. */
interface DecodeSchedule {
  /** Invocations a workgroup, and keys of a chunk: a power of two. */
  readonly threads: number;
  /** Vectors of values that an invocation loads before the weights of their keys are known. */
  readonly early: number;
}

/** Schedules that are taken only where a tuning table names them. */
export const decodeSchedules: readonly DecodeSchedule[] = [
  { threads: 256, early: 0 },
  { threads: 256, early: 8 },
  { threads: 256, early: 16 },
  { threads: 512, early: 0 },
  { threads: 512, early: 8 },
  { threads: 1024, early: 0 },
  { threads: 1024, early: 4 },
];

/** Invocations that share a key: neighbours read neighbouring vectors of it, a line of 128 bytes at most. */
const lanesFor = (s: Sizes): number => [8, 4, 2, 1].find((l) => (s.depth / 4) % l === 0) as number;

/** Parts of scores, weights, sums and what invocations meet in; the three variables of a mask count as 16 bytes each. */
const bytesFor = (s: Sizes, threads: number): number =>
  4 * (lanesFor(s) * (threads + 4) + 2 * threads) + 16 * threads + 48;

/** The schedule that is taken without measurements: as many invocations as the device has room for, up to 512. */
function usual(s: Sizes, { limits }: Capabilities): DecodeSchedule {
  const fits = (threads: number): boolean =>
    threads <= limits.maxComputeInvocationsPerWorkgroup &&
    bytesFor(s, threads) <= limits.maxComputeWorkgroupStorageSize;
  const threads = [512, 256, 128].find(fits) ?? 64;
  return { threads, early: threads === 512 ? 8 : 0 };
}

/** Does the variant for few queries suit these sizes and the device? */
export function decodeFits(s: Sizes, capabilities: Capabilities, schedule?: DecodeSchedule): boolean {
  const { threads } = schedule ?? usual(s, capabilities);
  return (
    threads <= capabilities.limits.maxComputeInvocationsPerWorkgroup &&
    s.depth % 4 === 0 &&
    s.valueDepth % 4 === 0 &&
    s.depth <= 512 &&
    s.valueDepth / 4 <= threads &&
    s.rows < mostRows &&
    s.keys >= 2 * mostRows &&
    threads >= 64 &&
    (threads & (threads - 1)) === 0 &&
    bytesFor(s, threads) <= capabilities.limits.maxComputeWorkgroupStorageSize
  );
}

interface Decoding {
  readonly frame: Frame;
  readonly s: Sizes;
  readonly meeting: Meeting;
  readonly threads: number;
  readonly early: number;
  readonly lead: readonly Index[];
  readonly heads: readonly Index[];
  readonly row: Index;
}

/**
 * Attention of a few queries with many keys: a workgroup owns a query, its invocations share the keys. A chunk of as many
 * keys as invocations at a time: inner products by neighbouring lanes, an online softmax over the chunk (Milakov and
 * Gimelshein 2018), then the weighted values by lanes along the features. A mask is looked at first, so that keys before the
 * first and after the last one that it shows are never read: a cache costs as much as it holds.
 */
export function writeAttentionDecode(region: Region, capabilities: Capabilities, schedule?: DecodeSchedule): Kernel {
  const frame = openFrame(region, capabilities);
  const { e } = frame;
  const s = sizesOf(region.anchors[0] as Node);
  const { threads, early } = schedule ?? usual(s, capabilities);
  const meeting = meetings(frame, threads);
  const groups = s.lead.reduce((p, d) => p * d, 1) * s.rows;
  const g = e.index("g", Math.max(0, groups - 1), "group");
  const lead = unravel(div(g, s.rows), s.lead);
  const d: Decoding = { frame, s, meeting, threads, early, lead, heads: keyHeads(s, lead), row: mod(g, s.rows) };
  const values = s.valueDepth / 4;
  const slots = Math.floor(threads / values);
  e.line(`var top = ${hidden};`);
  e.line("var sum = 0.0f;");
  e.line("var out = vec4<f32>();");
  const query = loadQuery(d);
  const mask = s.node.args[3];
  const limit = s.causal ? indexText(add(d.row, int(s.offset + 1))) : `${s.keys}u`;
  e.line(`let most = ${s.causal ? `min(${s.keys}u, ${limit})` : limit};`);
  if (mask) findShown(d, mask);
  else e.line("let shown = vec2<u32>(0u, most);");
  e.line(`let feature = lid % ${values}u;`);
  e.line(`let slot = lid / ${values}u;`);
  e.open(`for (var start = shown.x; start < shown.y; start += ${threads}u) {`, ["start"]);
  e.line(`let count = min(${threads}u, shown.y - start);`);
  const loaded = loadValues(d, slots, values);
  scoreChunk(d, query);
  weighChunk(d, mask);
  addValues(d, loaded, slots, values);
  e.close();
  finish(d, slots, values);
  return closeFrame(frame, {
    variant: schedule ? `attention_decode_${threads}x${early}` : "attention_decode",
    workgroupSize: [threads, 1, 1],
    groups,
    declarations: [
      `var<workgroup> parts: array<f32, ${lanesFor(s) * (threads + 4)}>;`,
      `var<workgroup> weights: array<f32, ${threads}>;`,
      `var<workgroup> sums: array<vec4<f32>, ${threads}>;`,
      ...(mask
        ? [
            "var<workgroup> first: atomic<u32>;",
            "var<workgroup> last: atomic<u32>;",
            "var<workgroup> range: vec2<u32>;",
          ]
        : []),
      ...meeting.declarations,
    ],
    workgroupBytes: bytesFor(s, threads),
    subgroups: meeting.subgroups,
  });
}

/** The vectors of the query that a lane takes, as names. */
function loadQuery({ frame: { e }, s, lead, row }: Decoding): readonly string[] {
  const [q] = s.node.args as [Node];
  const lanes = lanesFor(s);
  const part = e.index("part", lanes - 1, `lid % ${lanes}u`);
  e.width = 4;
  return Array.from({ length: s.depth / 4 / lanes }, (_, i) => {
    const at = add(scale(add(part, int(i * lanes)), 4), lane(4));
    const v = e.value(q, [...lead, row, at]);
    return v.width === 4 ? v.text : e.let(`vec4<f32>(${v.text})`, 4, "f32").text;
  });
}

function maskAt({ frame: { e }, lead, row }: Decoding, mask: Node, key: Index): string {
  e.width = 1;
  const at = [...lead, row, key];
  return e.value(mask, at.slice(at.length - mask.type.shape.length)).text;
}

/** The range of the keys that the mask shows. */
function findShown(d: Decoding, mask: Node): void {
  const { e } = d.frame;
  const { s, threads } = d;
  e.line("if (lid == 0u) { atomicStore(&first, 0xffffffffu); atomicStore(&last, 0u); }");
  e.line("workgroupBarrier();");
  e.line("var own = vec2<u32>(0xffffffffu, 0u);");
  e.open(`for (var k = lid; k < most; k += ${threads}u) {`, ["k"]);
  const value = maskAt(d, mask, variable("k", Math.max(0, s.keys - 1)));
  // A NaN hides nothing.
  e.line(`if (!(${value} < ${hidden})) { own = vec2<u32>(min(own.x, k), k + 1u); }`);
  e.close();
  if (d.meeting.subgroups) {
    e.line("own = vec2<u32>(subgroupMin(own.x), subgroupMax(own.y));");
    e.line("if (sg_lane == 0u) { atomicMin(&first, own.x); atomicMax(&last, own.y); }");
  } else e.line("if (own.y > 0u) { atomicMin(&first, own.x); atomicMax(&last, own.y); }");
  e.line("workgroupBarrier();");
  e.line("if (lid == 0u) { range = vec2<u32>(atomicLoad(&first), atomicLoad(&last)); }");
  e.line("let shown = workgroupUniformLoad(&range);");
}

/** Vectors that an invocation has under way at a time, of keys and of values each. */
const ahead = 16;

/** Inner products of the query with a chunk's keys, a part of each by each lane. */
function scoreChunk({ frame: { e }, s, threads, heads }: Decoding, query: readonly string[]): void {
  const [, k] = s.node.args as [Node, Node];
  const lanes = lanesFor(s);
  const step = threads / lanes;
  const together = [8, 4, 2, 1].find((n) => n <= lanes && n * query.length <= ahead) ?? 1;
  const part = variable("part", lanes - 1);
  e.open(`for (var c = lid / ${lanes}u; c < count; c += ${step * together}u) {`, ["c"]);
  const loads = Array.from({ length: together }, (_, u) => {
    const key = e.index(`key${u}`, s.keys - 1, `start + min(c + ${u * step}u, count - 1u)`);
    return query.map((_, i) => {
      e.width = 4;
      const at = add(scale(add(part, int(i * lanes)), 4), lane(4));
      const v = e.value(k, [...heads, key, at]);
      return v.width === 4 ? v.text : `vec4<f32>(${v.text})`;
    });
  });
  loads.forEach((list, u) => {
    const terms = list.map((text, i) => `dot(${query[i]}, ${text})`);
    e.line(`parts[part * ${threads + 4}u + c + ${u * step}u] = ${terms.join(" + ")};`);
  });
  e.close();
  e.line("workgroupBarrier();");
}

/** Weights of a chunk's keys, and what the earlier ones are scaled by now. */
function weighChunk(d: Decoding, mask: Node | undefined): void {
  const { e } = d.frame;
  const { s, threads, meeting } = d;
  e.line(`var score = ${hidden};`);
  e.open("if (lid < count) {");
  const parts = Array.from({ length: lanesFor(s) }, (_, l) => `parts[lid + ${l * (threads + 4)}u]`);
  e.line(`score = (${parts.join(" + ")}) * ${e.literal(s.scale, "f32").text};`);
  if (mask) {
    const key = e.index("key", s.keys - 1, `min(start + lid, ${s.keys - 1}u)`);
    e.line(`score += ${maskAt(d, mask, key)};`);
    // A mask of the lowest f32 counts, unlike one of -inf; a NaN is not below anything.
    e.line(`score = select(score, ${lowest}, score == ${hidden});`);
  }
  e.line(`score = select(score, ${hidden}, score < ${hidden});`);
  e.close();
  greatest(d.frame, meeting, "peak", "score");
  e.line("let next = max(top, peak);");
  e.line("let keep = exp(top - next);");
  e.line(`let shows = !(score <= ${hidden});`);
  e.line("let weight = select(0.0f, exp(score - next), shows);");
  e.line("weights[lid] = select(-1.0f, weight, shows);");
  e.line("sum = sum * keep + weight;");
  e.line("top = next;");
  e.line("workgroupBarrier();");
}

function valueAt({ frame: { e }, s, heads }: Decoding, values: number, key: Index): string {
  e.width = 4;
  const feature = scale(variable("feature", values - 1), 4);
  const v = e.value(s.node.args[2] as Node, [...heads, key, add(feature, lane(4))]);
  return v.width === 4 ? v.text : `vec4<f32>(${v.text})`;
}

/** Loads values of a chunk while its scores are computed: every `slots`-th key, by lanes along the features. */
function loadValues(d: Decoding, slots: number, values: number): readonly string[] {
  const { e } = d.frame;
  const most = Math.ceil(d.threads / slots);
  return Array.from({ length: Math.min(d.early, most) }, (_, u) => {
    const key = e.index(`value${u}`, d.s.keys - 1, `start + min(slot + ${u * slots}u, count - 1u)`);
    return valueAt(d, values, key);
  });
}

/** Adds up the weighted values of a chunk: those that were loaded, then the rest. */
function addValues(d: Decoding, loaded: readonly string[], slots: number, values: number): void {
  const { e } = d.frame;
  const { s, threads } = d;
  e.line("out = out * keep;");
  const join = (at: string, text: string): void => {
    const w = e.fresh("w");
    e.line(`let ${w} = select(-1.0f, weights[min(${at}, ${threads - 1}u)], ${at} < count);`);
    // What a hidden key holds is of no account.
    e.line(`out = select(fma(vec4<f32>(${w}), ${text}, out), out, ${w} < 0.0f);`);
  };
  loaded.forEach((text, u) => {
    join(`slot + ${u * slots}u`, text);
  });
  if (loaded.length * slots >= threads) return;
  const later = 8;
  e.open(`for (var c = slot + ${loaded.length * slots}u; c < count; c += ${slots * later}u) {`, ["c"]);
  const rest = Array.from({ length: later }, (_, u) => {
    const key = e.index(`rest${u}`, s.keys - 1, `start + min(c + ${u * slots}u, count - 1u)`);
    return valueAt(d, values, key);
  });
  rest.forEach((text, u) => {
    join(`c + ${u * slots}u`, text);
  });
  e.close();
}

/** Adds up what the slots have and stores the row. */
function finish(d: Decoding, slots: number, values: number): void {
  const { e } = d.frame;
  const { s, meeting, lead, row } = d;
  e.line("sums[lid] = out;");
  addAll(d.frame, meeting, "total", "sum");
  e.line("let norm = select(1.0f / total, 0.0f, total == 0.0f);");
  if (s.node.results) {
    e.line("let lse = select(top + log(total), bitcast<f32>(0x7f7fffffu), total == 0.0f);");
    e.open("if (lid == 0u) {");
    e.width = 1;
    storeAside(d.frame, s, [...lead, row], { text: "lse", width: 1, dtype: "f32", depth: 0 });
    e.close();
  }
  e.open(`if (lid < ${values}u) {`);
  e.line("var all = vec4<f32>();");
  e.line(`for (var c = 0u; c < ${slots}u; c++) { all += sums[c * ${values}u + lid]; }`);
  e.width = 4;
  if (s.node.results) provideResult(d.frame, s.node, 1, { text: "lse", width: 1, dtype: "f32", depth: 0 });
  provideResult(d.frame, s.node, 0, e.let("all * norm", 4, "f32"));
  const at = e.index("own", values - 1, `min(lid, ${values - 1}u)`);
  storeAt(d.frame, s, [...lead, row, add(scale(at, 4), lane(4))]);
  e.close();
}
