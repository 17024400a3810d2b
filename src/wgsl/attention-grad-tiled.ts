import type { Region } from "../fuse/region.ts";
import type { Node } from "../ir/graph.ts";
import {
  add,
  div,
  type Index,
  indexText,
  int,
  lessThen,
  mod,
  scale,
  sub,
  unravel,
  variable,
} from "../ir/index-expr.ts";
import type { Capabilities } from "../manifest/manifest.ts";
import { gradOperands, pairAt } from "./attention-grad.ts";
import {
  accumulate,
  addDelta,
  addMask,
  byRole,
  changesByRole,
  columnsOf,
  fill,
  lineBytes,
  pitch,
  product,
  readQuad,
  reduceDelta,
  type Sum,
  type Tiling,
  tile,
  writeWeights,
} from "./attention-grad-steps.ts";
import { storeRows, storeSums } from "./attention-grad-stores.ts";
import { keyHeads, type Sizes, sizesOf, squareAt } from "./attention-parts.ts";
import type { Emitter } from "./emitter.ts";
import { closeFrame, type Kernel, openFrame } from "./kernel.ts";
import { type Staged, stage } from "./stage.ts";

/** 8 × 8 invocations with 4 × 4 scores each, once or once for each of the two products. */
const square = 64;

const byQuery = (s: Sizes): boolean => s.node.op === "attentionGradQuery";
/** Are two sums kept? By key and value always, by query where delta is not known before the walk. */
const twoSums = (s: Sizes): boolean => !byQuery(s) || gradOperands(s.node).out === undefined;

/** Bytes of workgroup memory, and how much of the depth of each side is in it at a time; absent: all, the own side for good. */
interface Memory {
  readonly bytes: number;
  readonly block?: number;
}

function memoryOf(s: Sizes, capabilities: Capabilities): Memory | undefined {
  const limit = capabilities.limits.maxComputeWorkgroupStorageSize;
  const weights = tile * lineBytes * (twoSums(s) ? 2 : 1);
  const whole = 2 * lineBytes * (s.depth + s.valueDepth) + weights;
  if (whole <= limit) return { bytes: whole };
  const longest = Math.ceil(Math.max(s.depth, s.valueDepth) / 16) * 16;
  const block = Math.min(longest, Math.floor((limit - weights) / (2 * lineBytes) / 16) * 16);
  return block > 0 ? { block, bytes: 2 * lineBytes * block + weights } : undefined;
}

/** Does the tiled variant suit these sizes and the device? More sums than this would not stay in registers. */
export function gradTiledFits(s: Sizes, capabilities: Capabilities): boolean {
  const second = byQuery(s) ? (twoSums(s) ? s.depth : 0) : s.valueDepth;
  const sums = columnsOf(s.depth) + columnsOf(second);
  return s.rows >= 8 && s.keys >= 8 && sums <= 32 && memoryOf(s, capabilities) !== undefined;
}

/** Do two halves of the invocations suit it, one for each product? Twice as many in the same workgroup memory wait less. */
export function gradRolesFit(s: Sizes, capabilities: Capabilities): boolean {
  const memory = memoryOf(s, capabilities);
  const known = !byQuery(s) || gradOperands(s.node).out !== undefined;
  const vectors = s.depth % 4 === 0 && s.valueDepth % 4 === 0;
  const room = capabilities.limits.maxComputeInvocationsPerWorkgroup >= 2 * square;
  return room && gradTiledFits(s, capabilities) && vectors && known && memory !== undefined && !memory.block;
}

/**
 * The gradient of attention by tiles (FlashAttention, Dao et al. 2022): by query a workgroup owns 32 queries and walks
 * over the keys, by key and value it owns 32 keys and walks over the queries of every head of its group. Scores of 32 × 32
 * and their gradient are in registers, with a vector along the owned axis; as weights they go to workgroup memory and are
 * multiplied by the operands of the other axis.
 */
export function writeGradTiled(region: Region, capabilities: Capabilities, roles: 1 | 2 = 1): Kernel {
  const frame = openFrame(region, capabilities);
  const { e } = frame;
  const s = sizesOf(region.anchors[0] as Node);
  const { q, k, v, dout, rows, mask, out } = gradOperands(s.node);
  const queries = byQuery(s);
  const memory = memoryOf(s, capabilities) as Memory;
  const heads = queries ? s.lead : s.keyLead;
  const size = queries ? s.rows : s.keys;
  const blocks = Math.ceil(size / tile);
  const all = heads.reduce((p, d) => p * d, 1);
  const g = e.index("g", Math.max(0, blocks * all - 1), "group");
  // With `causal` the last queries and the first keys have most to do: these workgroups start first.
  const nth = div(g, Math.max(1, all));
  const first = scale(queries ? sub(int(blocks - 1), nth) : nth, tile);
  const ownLead = unravel(mod(g, Math.max(1, all)), heads);
  const a = e.index("a", 7, squareAt.x);
  const b = e.index("b", 7, squareAt.y);
  if (roles === 2) e.index("role", 1, `lid / ${square}u`);
  const threads = roles * square;
  const grouped = !queries && s.group > 1;
  const lead = grouped
    ? ownLead.map((x, i) => (i === ownLead.length - 1 ? add(scale(x, s.group), variable("h", s.group - 1)) : x))
    : ownLead;
  const steps = Math.ceil((queries ? s.keys : s.rows) / tile);
  const origin = scale(variable("step", Math.max(0, steps - 1)), tile);
  const own = { size, lead: ownLead, operands: queries ? [q, dout] : [k, v], first, at: add(first, scale(b, 4)) };
  const other = {
    size: queries ? s.keys : s.rows,
    lead: queries ? keyHeads(s, lead) : lead,
    operands: queries ? [k, v] : [q, dout],
    first: origin,
    at: add(origin, scale(a, 4)),
  };
  /** Tiles of the four operands: each in its own memory, or those of one side in turns. */
  const staged = (axis: typeof own, name: string): Staged[] =>
    axis.operands.map((operand, i) => {
      const depth = i === 0 ? s.depth : s.valueDepth;
      return stage(frame, {
        name: memory.block ? name : `${name}${i}`,
        operand,
        dtype: "f32",
        // A vector that reaches past the end repeats the last position: what is there is multiplied by 0, so it must be a number.
        at: (r, d) => [...axis.lead, lessThen(r, axis.size, r, int(axis.size - 1)), d],
        size: tile,
        depth: memory.block ?? depth,
        limit: axis.size,
        depthLimit: depth,
        threads,
      });
    });
  const t: Tiling = {
    frame,
    s,
    queries,
    lead,
    own: { ...own, tiles: staged(own, "own") },
    other: { ...other, tiles: staged(other, "other") },
    block: memory.block,
    late: queries && !out,
    roles,
  };
  const sums = declareSums(e, t);
  const ofRows = (at: Index, read: (r: Index) => readonly Index[]): string =>
    e.let(
      readQuad(e, at, s.rows, (r) => e.value(rows, read(r))),
      4,
      "f32",
    ).text;

  let lse = "";
  if (queries) {
    lse = ofRows(own.at, (r) => [...lead, r]);
    e.line("var delta = vec4<f32>();");
    if (out) {
      addDelta(t, dout, out);
      reduceDelta(e, roles);
    }
  }
  if (!t.block) for (const x of t.own.tiles) fill(x, first, int(0));
  if (grouped) e.open(`for (var h = 0u; h < ${s.group}u; h++) {`, ["h"]);
  // The next tiles are on their way while these are multiplied, as long as there are registers for them.
  const ahead = !t.block && s.depth + s.valueDepth <= 128;
  e.line(`let end = ${endOf(t, steps)};`);
  if (ahead) {
    e.line(`var step = ${startOf(t)};`);
    const start = scale(e.index("start", Math.max(0, steps - 1), `min(step, ${Math.max(0, steps - 1)}u)`), tile);
    for (const x of t.other.tiles) x.load(start, int(0));
    e.open("for (; step < end; step++) {", ["step"]);
    for (const x of t.other.tiles) x.store();
    e.line("workgroupBarrier();");
    if (steps > 1) {
      e.open("if (step + 1u < end) {");
      const next = scale(e.index("next", steps - 1, "step + 1u"), tile);
      for (const x of t.other.tiles) x.load(next, int(0));
      e.close();
    }
  } else e.open(`for (var step = ${startOf(t)}; step < end; step++) {`, ["step"]);
  if (!t.block && !ahead) {
    for (const x of t.other.tiles) fill(x, origin, int(0));
    e.line("workgroupBarrier();");
  }
  if (roles === 2) {
    const ofOwn = [lse, "delta"] as const;
    const rowsOf = (which: 0 | 1): string => (queries ? ofOwn[which] : ofRows(other.at, (r) => pairAt(lead, which, r)));
    changesByRole(t, rowsOf, mask, sums.length > 1);
  } else {
    product(t, 0);
    product(t, 1);
    if (!queries) {
      lse = ofRows(other.at, (r) => pairAt(lead, 0, r));
      e.line(`let delta = ${ofRows(other.at, (r) => pairAt(lead, 1, r))};`);
    }
    addMask(t, mask);
    for (let i = 0; i < 4; i++) writeWeights(t, i, lse, mask !== undefined, sums.length > 1);
  }
  if (!t.block) e.line("workgroupBarrier();");
  if (roles === 2 && sums.length > 1) byRole(e, (role) => accumulate(t, sums.find((x) => x.role === role) as Sum));
  else for (const sum of sums) accumulate(t, sum);
  if (!t.block) e.line("workgroupBarrier();");
  e.close();
  if (grouped) e.close();

  if (t.late) reduceDelta(e, 1);
  if (queries) storeRows(t, lse);
  storeSums(t, sums);
  const shared = [...t.own.tiles, ...t.other.tiles].map((x) => x.declaration);
  return closeFrame(frame, {
    variant: `attention_grad_${queries ? "query" : "key_value"}_tile_${tile}x${tile}${t.block ? `x${t.block}` : ""}${roles === 2 ? "_by2" : ""}`,
    workgroupSize: [threads, 1, 1],
    groups: blocks * all,
    declarations: [
      ...new Set(shared),
      ...[...new Set(sums.map((x) => x.weights))].map((x) => `var<workgroup> ${x}: array<vec4<f32>, ${tile * pitch}>;`),
    ],
    workgroupBytes: memory.bytes,
  });
}

function declareSums(e: Emitter, { s, queries, late, roles }: Tiling): Sum[] {
  const sum = (weights: Sum["weights"], operand: 0 | 1, depth: number, name: string): Sum => ({
    weights,
    operand,
    depth,
    names: Array.from({ length: columnsOf(depth) }, (_, j) => {
      e.line(`var ${name}${j} = vec4<f32>();`);
      return `${name}${j}`;
    }),
  });
  if (roles === 2 && !queries) {
    // Each half of the invocations keeps one of them, in the same registers.
    const { names } = sum("changes", 0, Math.max(s.depth, s.valueDepth), "grad");
    const of = (depth: number): readonly string[] => names.slice(0, columnsOf(depth));
    return [
      { weights: "changes", operand: 0, depth: s.depth, names: of(s.depth), role: 1 },
      { weights: "weights", operand: 1, depth: s.valueDepth, names: of(s.valueDepth), role: 0 },
    ];
  }
  const changes = sum("changes", 0, s.depth, "grad");
  if (queries) return late ? [changes, sum("weights", 0, s.depth, "mean")] : [changes];
  return [changes, sum("weights", 1, s.valueDepth, "value")];
}

/** The first step of the walk: with `causal` the queries that see the first of the own keys. */
const startOf = ({ s, queries, own }: Tiling): string =>
  queries || !s.causal ? "0u" : `(max(${indexText(own.first)}, ${s.offset}u) - ${s.offset}u) / ${tile}u`;

const endOf = ({ s, queries, own }: Tiling, steps: number): string =>
  queries && s.causal
    ? `min(${steps}u, (${indexText(add(own.first, int(2 * tile + s.offset - 1)))}) / ${tile}u)`
    : `${steps}u`;
