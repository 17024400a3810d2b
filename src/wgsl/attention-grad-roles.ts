import type { Region } from "../fuse/region.ts";
import type { Node } from "../ir/graph.ts";
import { add, type Index, indexText, int, scale, variable } from "../ir/index-expr.ts";
import type { Capabilities } from "../manifest/manifest.ts";
import {
  type Block,
  declareSums,
  forPairs,
  halves,
  hidePairs,
  type Lines,
  lanes,
  multiply,
  openBlock,
  otherAt,
  ownAt,
  pitch,
  type Sums,
  side,
  stageFeatures,
  stageScores,
  stepsOf,
} from "./attention-block-parts.ts";
import { gradOperands, pairAt } from "./attention-grad.ts";
import { byRole, readQuad } from "./attention-grad-steps.ts";
import { overFeatures, provideResult, type Sizes, sizesOf, storeAside, storeAt, wide } from "./attention-parts.ts";
import { lane } from "./emitter.ts";
import { closeFrame, type Kernel, openFrame } from "./kernel.ts";
import type { Staged } from "./stage.ts";

/** Features of both sides, or other positions, in workgroup memory at a time. */
const chunk = 32;
/** Vectors of a quarter of the workgroup memory: a chunk of one side, weights of half of the pairs, or features of half of the others. */
const quarter = chunk * pitch;
const threads = 256;
const roleBytes = 4 * 16 * quarter;

/**
 * The gradient of attention by tiles of 64 × 64 positions, where halves of the workgroup multiply at a time: one for the scores, the
 * other for the weights' gradient, of operands of their own. Then by key and value each half adds to one of the two sums, and by query
 * to the one sum over half of the keys. What takes turns in one piece of workgroup memory: chunks of the operands of both
 * products; weights and the features that they are multiplied by.
 */
export function writeGradRoles(region: Region, capabilities: Capabilities): Kernel {
  const frame = openFrame(region, capabilities);
  const { e } = frame;
  const s = sizesOf(region.anchors[0] as Node);
  const queries = s.node.op === "attentionGradQuery";
  const { q, k, v, dout, rows, out } = gradOperands(s.node);
  const t = openBlock(frame, s, { across: 16, chunk }, queries);
  const role = e.index("role", 1, "lid / 128u");
  const sums = declareSums(e, "w", 4 * t.features);
  if (queries) readRows(t, rows, dout, out as Node);

  const product = products(t, queries ? [q, dout] : [k, v], queries ? [k, v] : [q, dout]);
  if (t.grouped) e.open(`for (var h = 0u; h < ${s.group}u; h++) {`, ["h"]);
  const [begin, end] = stepsOf(t);
  const last = Math.max(0, t.steps - 1);
  e.line(`let end = ${end};`);
  e.line(`var step = ${begin};`);
  // By query, a tile's first operands are on their way while the last product of the tile before is done; by key and value that is slower.
  if (queries) product.load(scale(e.index("start", last, `min(step, ${last}u)`), side), "0u");
  e.open("for (; step < end; step++) {", ["step"]);
  const origin = scale(variable("step", last), side);
  if (!queries) product.load(origin, "0u");
  product.run(declareSums(e, "s", 4 * t.quads), origin);
  const [lse, delta] = pairsOf(t, rows, origin);
  const factor = e.literal(s.scale, "f32").text;
  const weigh = (): void => {
    forPairs(t, (o, h) => e.line(`s${o}_${h} = exp(s${o}_${h} * ${factor} - ${lse(o, h)});`));
    hidePairs(t, origin, (o, h, where) => e.line(`s${o}_${h} = select(s${o}_${h}, vec4<f32>(), ${where});`));
  };
  /** Each half of the workgroup has half of the lines of weights, or weights of its own, and features beside. */
  const gather = (features: Staged): void => {
    multiply(
      t,
      sums,
      { array: "tiles", from: `role * ${quarter}u + `, pitch },
      { array: "tiles", from: `${2 * quarter}u + role * ${quarter}u + `, pitch: features.pitch },
    );
    e.line("workgroupBarrier();");
  };
  const shared = { name: "tiles", lid: "lid % 128u", origin: `${2 * quarter}u + role * ${quarter}u + ` };
  if (queries) {
    const at = (o: number, h: 0 | 1): string => `tiles[(a * 4u + ${o}u) * ${pitch}u + b + ${8 * h}u]`;
    const features = stageFeatures(t, k, s.depth, shared);
    features.load(int(0), add(origin, scale(role, chunk)));
    e.open("if (role == 0u) {");
    weigh();
    forPairs(t, (o, h) => e.line(`${at(o, h)} = s${o}_${h};`));
    e.close();
    e.line("workgroupBarrier();");
    features.store();
    e.open("if (role == 1u) {");
    forPairs(t, (o, h) => e.line(`${at(o, h)} = ${at(o, h)} * (s${o}_${h} - ${delta(o, h)});`));
    e.close();
    e.line("workgroupBarrier();");
    if (last > 0) {
      e.open("if (step + 1u < end) {");
      product.load(scale(e.index("next", last, "step + 1u"), side), "0u");
      e.close();
    }
    gather(features);
  } else {
    const at = (from: number, o: number, h: 0 | 1): string =>
      `tiles[${from}u + (a % 8u * 4u + ${o}u) * ${pitch}u + b + ${8 * h}u]`;
    const values = stageFeatures(t, dout, s.valueDepth, shared);
    const features = [values, stageFeatures(t, q, s.depth, { ...shared, like: values })] as const;
    const load = (from: number): void =>
      byRole(e, (r) => features[r].load(int(0), add(origin, e.index(e.fresh("at"), from, `${from}u`))));
    load(0);
    e.open("if (role == 0u) {");
    weigh();
    e.close();
    for (const half of halves) {
      e.open(`if (role == 0u && a / 8u == ${half}u) {`);
      forPairs(t, (o, h) => e.line(`${at(0, o, h)} = s${o}_${h};`));
      e.close();
      byRole(e, (r) => features[r].store());
      e.line("workgroupBarrier();");
      if (half === 0) load(chunk);
      e.open(`if (role == 1u && a / 8u == ${half}u) {`);
      forPairs(t, (o, h) => e.line(`${at(quarter, o, h)} = ${at(0, o, h)} * (s${o}_${h} - ${delta(o, h)});`));
      e.close();
      e.line("workgroupBarrier();");
      gather(values);
    }
  }
  e.close();
  if (t.grouped) e.close();
  storeByRole(t, sums, factor);
  return closeFrame(frame, {
    variant: `attention_grad_${queries ? "query" : "key_value"}_block_${side}x${side}_by2`,
    workgroupSize: [threads, 1, 1],
    groups: t.groups,
    declarations: [`var<workgroup> tiles: array<vec4<f32>, ${4 * quarter}>;`],
    workgroupBytes: roleBytes,
  });
}

/** Both products of a tile, by chunks of features. */
interface Products {
  /** Brings a chunk of own positions, and of others from `origin` on, to registers. */
  load(origin: Index, chunk: string): void;
  /** Scores to one half of the workgroup, gradients of weights to the other; the first chunk has been loaded. Ends with a barrier. */
  run(scores: Sums, origin: Index): void;
}

function products(t: Block, own: readonly [Node, Node], other: readonly [Node, Node]): Products {
  const { s } = t;
  const { e } = t.frame;
  const from = (more: number): string => `role * ${2 * quarter}u + ${more ? `${more}u + ` : ""}`;
  const two = (operands: readonly [Node, Node], mine: boolean): readonly [Staged, Staged] => {
    const sharing = { name: "tiles", lid: "lid % 128u", origin: from(mine ? 0 : quarter) };
    const first = stageScores(t, operands[0], s.depth, mine, sharing);
    return [first, stageScores(t, operands[1], s.valueDepth, mine, { ...sharing, like: first })];
  };
  const [x, y] = [two(own, true), two(other, false)];
  const counts = [s.depth, s.valueDepth].map((d) => Math.ceil(d / chunk));
  const count = Math.max(...counts);
  const load = (origin: Index, d: string): void =>
    byRole(e, (r) => {
      const at = scale(
        e.index(e.fresh("at"), (counts[r] as number) - 1, `min(${d}, ${(counts[r] as number) - 1}u)`),
        chunk,
      );
      x[r].load(t.first, at);
      y[r].load(origin, at);
    });
  const uneven = counts[0] !== counts[1];
  const lines = ([{ pitch, skew }]: readonly [Staged, Staged], more: number): Lines => ({
    ...{ array: "tiles", from: from(more), pitch, skew },
  });
  return {
    load,
    run(scores, origin) {
      e.open(`for (var c = 0u; c < ${count}u; c++) {`, ["c"]);
      byRole(e, (r) => {
        x[r].store();
        y[r].store();
      });
      e.line("workgroupBarrier();");
      if (count > 1) {
        e.open(`if (c + 1u < ${count}u) {`);
        load(origin, "c + 1u");
        e.close();
      }
      if (uneven) e.open(`if (c < select(${counts[0]}u, ${counts[1]}u, role == 1u)) {`);
      multiply(t, scores, lines(x, 0), lines(y, quarter));
      if (uneven) e.close();
      e.line("workgroupBarrier();");
      e.close();
    },
  };
}

type PairText = (o: number, half: 0 | 1) => string;

/** lse and delta as vectors along the own positions: of own queries, or of the other one. */
function pairsOf(t: Block, rows: Node, origin: Index): readonly [PairText, PairText] {
  const { s, queries } = t;
  const { e } = t.frame;
  if (queries) return [(_, h) => `lse${h}`, (_, h) => `delta${h}`];
  const [lse, delta] = halves.map((which) =>
    e.let(
      readQuad(e, otherAt(t, origin, 0), s.rows, (r) => e.value(rows, pairAt(t.lead, which, r))),
      4,
      "f32",
    ),
  );
  e.width = 1;
  const text: PairText = (o) => `vec4<f32>(row.${lanes[o]})`;
  e.line(`let row = select(${lse?.text}, ${delta?.text}, role == 1u);`);
  return [text, text];
}

/** lse and delta of the own queries, which are stored too. */
function readRows(t: Block, rows: Node, dout: Node, out: Node): void {
  const { frame, s, lead } = t;
  const { e } = frame;
  for (const h of halves) {
    const lse = readQuad(e, ownAt(t, h), s.rows, (r) => e.value(rows, [...lead, r]));
    e.width = 1;
    e.line(`let lse${h} = ${lse};`);
    e.line(`var delta${h} = vec4<f32>();`);
  }
  const clamped = (x: Index): Index =>
    x.max < s.rows ? x : e.opaque(`min(${indexText(x)}, ${s.rows - 1}u)`, s.rows - 1, e.depthOf([x]));
  const rowsAt = halves.map((h) => lanes.map((_, i) => clamped(add(ownAt(t, h), int(i)))));
  const body = (_: string, d: Index): void => {
    for (const h of halves) {
      const terms = rowsAt[h]?.map((r) => {
        const [x, y] = [dout, out].map((n) => wide(e.value(n, [...lead, r, d]), s.valueDepth));
        return `dot(${x}, ${y})`;
      });
      e.line(`delta${h} += vec4<f32>(${terms?.join(", ")});`);
    }
  };
  overFeatures(frame, s.valueDepth, body, { from: "a + role * 16u", by: 32 });
  for (const h of halves) e.line(`tiles[(a + role * 16u) * 16u + b + ${8 * h}u] = delta${h};`);
  e.line("workgroupBarrier();");
  for (const h of halves) {
    e.line(`delta${h} = tiles[b + ${8 * h}u];`);
    for (let i = 1; i < 32; i++) e.line(`delta${h} += tiles[b + ${16 * i + 8 * h}u];`);
  }
  e.line("workgroupBarrier();");
  for (const h of halves) {
    lanes.forEach((l, i) => {
      const r = add(ownAt(t, h), int(i));
      const inside = r.max < s.rows;
      e.open(`if (a == 0u && role == 0u${inside ? "" : ` && ${indexText(r)} < ${s.rows}u`}) {`);
      const at = inside ? r : e.opaque(indexText(r), s.rows - 1, e.depth);
      for (const [which, name] of ["lse", "delta"].entries()) {
        const value = { text: `${name}${h}.${l}`, width: 1, dtype: "f32" as const, depth: e.depth };
        storeAside(frame, s, pairAt(lead, which as 0 | 1, at), value);
      }
      e.close();
    });
  }
}

/**
 * Stores the sums: each half of the workgroup has those of its half of the own positions from both, as their sum by query and as the
 * results by value (of the first half) and by key.
 */
function storeByRole(t: Block, sums: Sums, factor: string): void {
  const { frame, s, queries } = t;
  const { e } = frame;
  sums.forEach(([x, y], j) => {
    e.line(`tiles[${256 * j}u + lid] = select(${y}, ${x}, role == 1u);`);
    e.line(`let kept${j} = select(${x}, ${y}, role == 1u);`);
  });
  e.line("workgroupBarrier();");
  sums.forEach((_, j) => {
    e.line(`let got${j} = tiles[${256 * j}u + (lid + 128u) % 256u];`);
    if (queries) e.line(`let key${j} = (kept${j} + got${j}) * ${factor};`);
    else {
      e.line(`let value${j} = select(kept${j}, got${j}, role == 1u);`);
      e.line(`let key${j} = select(got${j}, kept${j}, role == 1u) * ${factor};`);
    }
  });
  const results = [
    { result: 0, depth: s.depth, name: "key" },
    ...(queries ? [] : [{ result: 1, depth: s.valueDepth, name: "value" }]),
  ];
  const own = add(t.first, add(scale(variable("b", 7), 4), scale(variable("role", 1), 32)));
  const column = variable("a", t.across - 1);
  for (const group of s.depth === s.valueDepth ? [results] : results.map((r) => [r])) {
    const vectors = (group[0]?.depth as number) / 4;
    lanes.forEach((l, i) => {
      const row = add(own, int(i));
      const guards = [
        ...(row.max < t.ownSize ? [] : [`${indexText(row)} < ${t.ownSize}u`]),
        ...(column.max < vectors ? [] : [`a < ${vectors}u`]),
      ];
      e.open(guards.length ? `if (${guards.join(" && ")}) {` : "{");
      const within = (x: Index, n: number): Index => (x.max < n ? x : e.opaque(indexText(x), n - 1, e.depth));
      const index = [...t.ownLead, within(row, t.ownSize), add(scale(within(column, vectors), 4), lane(4))];
      e.width = 4;
      for (const { result, name } of group) {
        const value = e.let(`vec4<f32>(${lanes.map((_, j) => `${name}${j}.${l}`).join(", ")})`, 4, "f32");
        provideResult(frame, s.node, result, value);
        if (result === 1) storeAside(frame, s, index, value);
      }
      if (group[0]?.result === 0) storeAt(frame, s, index);
      e.width = 1;
      e.close();
    });
  }
}

/** Where one vector of features is enough for an invocation. */
export const rolesFit = (s: Sizes, capabilities: Capabilities): boolean =>
  Math.max(s.depth, s.valueDepth) <= 64 &&
  Math.min(s.rows, s.keys) > 0 &&
  capabilities.limits.maxComputeInvocationsPerWorkgroup >= threads &&
  capabilities.limits.maxComputeWorkgroupStorageSize >= roleBytes;
