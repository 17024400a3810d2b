import type { Region } from "../fuse/region.ts";
import type { Node } from "../ir/graph.ts";
import { add, div, type Index, indexText, int, mod, scale, sub, unravel, variable } from "../ir/index-expr.ts";
import type { Capabilities } from "../manifest/manifest.ts";
import {
  keyHeads,
  lowest as masked,
  provideResult,
  type Sizes,
  sizesOf,
  storeAside,
  storeAt,
} from "./attention-parts.ts";
import { type Emitter, lane } from "./emitter.ts";
import { closeFrame, type Frame, type Kernel, openFrame } from "./kernel.ts";
import { stage } from "./stage.ts";

/** Query rows a workgroup owns and keys it takes at a time; 8 × 8 invocations with 4 rows and keys / 8 keys each. */
export interface AttentionTile {
  readonly rows: 32;
  readonly keys: 32;
}

/** The lowest score of a key that is not hidden: the next f32. */
const lowest = "bitcast<f32>(0xff7ffffeu)";
const threads = 64;

const attentionBytes = (s: Sizes, t: AttentionTile): number =>
  4 * (s.depth * (t.rows + 4) + Math.max(s.depth * (t.keys + 4), t.keys * (s.valueDepth + 4)) + t.keys * t.rows) +
  16 * threads;

/** Does the tiled variant suit these sizes and the device? */
export function tiledFits(s: Sizes, capabilities: Capabilities): boolean {
  const t: AttentionTile = { rows: 32, keys: 32 };
  return (
    s.depth % 4 === 0 &&
    s.valueDepth % 4 === 0 &&
    s.valueDepth <= 128 &&
    s.rows >= 8 &&
    s.keys >= 8 &&
    attentionBytes(s, t) <= capabilities.limits.maxComputeWorkgroupStorageSize
  );
}

/**
 * Attention by tiles (FlashAttention, Dao et al. 2022): scores of 32 queries × 32 keys in registers, their weights in
 * workgroup memory, an online softmax between the two products. K and V take turns in one piece of workgroup memory.
 */
export function writeAttentionTiled(region: Region, capabilities: Capabilities): Kernel {
  const t: AttentionTile = { rows: 32, keys: 32 };
  const frame = openFrame(region, capabilities);
  const { e } = frame;
  const s = sizesOf(region.anchors[0] as Node);
  const [q, k, v, mask] = s.node.args as [Node, Node, Node, Node | undefined];
  const blocks = Math.ceil(s.rows / t.rows);
  const all = s.lead.reduce((p, d) => p * d, 1);
  const groups = blocks * all;
  const g = e.index("g", Math.max(0, groups - 1), "group");
  // With `causal` the last queries have most to do: these workgroups start first.
  const nth = div(g, Math.max(1, all));
  const first = scale(s.causal ? sub(int(blocks - 1), nth) : nth, t.rows);
  const lead = unravel(mod(g, Math.max(1, all)), s.lead);
  const tx = e.index("tx", 7, "lid % 8u");
  const ty = e.index("ty", 7, "lid / 8u");
  const base = { dtype: "f32" as const, threads };
  const query = stage(frame, {
    ...base,
    name: "sq",
    operand: q,
    at: (r, d) => [...lead, r, d],
    size: t.rows,
    depth: s.depth,
    limit: s.rows,
    depthLimit: s.depth,
  });
  const keys = stage(frame, {
    ...base,
    name: "sk",
    operand: k,
    at: (r, d) => [...keyHeads(s, lead), r, d],
    size: t.keys,
    depth: s.depth,
    limit: s.keys,
    depthLimit: s.depth,
  });
  const values = stage(frame, {
    ...base,
    name: "sk",
    operand: v,
    at: (d, r) => [...keyHeads(s, lead), r, d],
    size: s.valueDepth,
    depth: t.keys,
    limit: s.valueDepth,
    depthLimit: s.keys,
  });

  const columns = Math.ceil(s.valueDepth / 4 / 8);
  const out = Array.from({ length: 4 }, (_, i) => Array.from({ length: columns }, (_, j) => declare(e, `o${i}_${j}`)));
  e.line(`var top = vec4<f32>(${masked});`);
  e.line("var sum = vec4<f32>();");
  query.load(first, int(0));
  query.store();
  const end = s.causal
    ? `min(${Math.ceil(s.keys / t.keys)}u, (${indexText(add(first, int(t.rows + s.offset + t.keys - 1)))}) / ${t.keys}u)`
    : `${Math.ceil(s.keys / t.keys)}u`;
  const last = Math.max(0, Math.ceil(s.keys / t.keys) - 1);
  e.line(`let end = ${end};`);
  // What comes next is on its way while this is multiplied: values during the scores, keys during the sums.
  keys.load(int(0), int(0));
  e.open("for (var step = 0u; step < end; step++) {", ["step"]);
  const origin = scale(variable("step", last), t.keys);
  keys.store();
  e.line("workgroupBarrier();");
  values.load(int(0), origin);
  for (let i = 0; i < 4; i++) declare(e, `s${i}`);
  e.open(`for (var d = 0u; d < ${s.depth}u; d++) {`);
  e.line(`let qd = sq[d * ${query.pitch}u + ty];`);
  e.line(`let kd = sk[d * ${keys.pitch}u + tx];`);
  for (let i = 0; i < 4; i++) e.line(`s${i} = fma(vec4<f32>(qd.${"xyzw"[i]}), kd, s${i});`);
  e.close();
  maskScores(e, s, mask, lead, add(first, scale(ty, 4)), add(origin, scale(tx, 4)));
  e.line("peak[tx * 8u + ty] = vec4<f32>(hmax(s0), hmax(s1), hmax(s2), hmax(s3));");
  e.line("workgroupBarrier();");
  e.line("var highest = top;");
  for (let i = 0; i < 8; i++) e.line(`highest = max(highest, peak[${i * 8}u + ty]);`);
  e.line("let keep = exp(top - highest);");
  for (let i = 0; i < 4; i++) {
    const c = "xyzw"[i];
    e.line(`let p${i} = select(exp(s${i} - vec4<f32>(highest.${c})), vec4<f32>(), s${i} <= vec4<f32>(${masked}));`);
  }
  e.line("sum = sum * keep + vec4<f32>(hsum(p0), hsum(p1), hsum(p2), hsum(p3));");
  e.line("top = highest;");
  for (let c = 0; c < 4; c++) {
    const l = "xyzw"[c];
    e.line(`weight[(tx * 4u + ${c}u) * 8u + ty] = vec4<f32>(p0.${l}, p1.${l}, p2.${l}, p3.${l});`);
  }
  values.store();
  e.line("workgroupBarrier();");
  if (last > 0) {
    e.open("if (step + 1u < end) {");
    keys.load(scale(e.index("next", last, "step + 1u"), t.keys), int(0));
    e.close();
  }
  out.forEach((row, i) => {
    for (const name of row) e.line(`${name} = ${name} * keep.${"xyzw"[i]};`);
  });
  e.open(`for (var c = 0u; c < ${t.keys}u; c++) {`);
  e.line("let w = weight[c * 8u + ty];");
  for (let j = 0; j < columns; j++) {
    e.line(`let v${j} = sk[c * ${values.pitch}u + min(tx + ${j * 8}u, ${s.valueDepth / 4 - 1}u)];`);
    for (let i = 0; i < 4; i++)
      e.line(`${(out[i] as string[])[j]} = fma(vec4<f32>(w.${"xyzw"[i]}), v${j}, ${(out[i] as string[])[j]});`);
  }
  e.close();
  e.line("workgroupBarrier();");
  e.close();

  e.line("peak[tx * 8u + ty] = sum;");
  e.line("workgroupBarrier();");
  e.line("var total = vec4<f32>();");
  for (let i = 0; i < 8; i++) e.line(`total += peak[${i * 8}u + ty];`);
  e.line("let norm = select(1.0f / total, vec4<f32>(), total == vec4<f32>());");
  if (s.node.results) writeStats(frame, s, lead, add(first, scale(ty, 4)));
  out.forEach((row, i) => {
    const r = add(first, add(scale(ty, 4), int(i)));
    row.forEach((name, j) => {
      const column = add(tx, int(j * 8));
      const guards = [
        ...(r.max < s.rows ? [] : [`${indexText(r)} < ${s.rows}u`]),
        ...(column.max < s.valueDepth / 4 ? [] : [`${indexText(column)} < ${s.valueDepth / 4}u`]),
      ];
      e.open(guards.length ? `if (${guards.join(" && ")}) {` : "{");
      e.width = 4;
      if (s.node.results) provideResult(frame, s.node, 1, e.let(`lse.${"xyzw"[i]}`, 1, "f32"));
      provideResult(frame, s.node, 0, e.let(`${name} * norm.${"xyzw"[i]}`, 4, "f32"));
      const within = (x: Index, size: number): Index => (x.max < size ? x : e.opaque(indexText(x), size - 1, e.depth));
      storeAt(frame, s, [...lead, within(r, s.rows), add(scale(within(column, s.valueDepth / 4), 4), lane(4))]);
      e.close();
    });
  });
  return closeFrame(frame, {
    variant: `attention_tile_${t.rows}x${t.keys}`,
    workgroupSize: [threads, 1, 1],
    groups,
    declarations: [
      query.declaration,
      `var<workgroup> sk: array<vec4<f32>, ${Math.max(keys.vectors, values.vectors)}>;`,
      `var<workgroup> weight: array<vec4<f32>, ${t.keys * 8}>;`,
      `var<workgroup> peak: array<vec4<f32>, ${threads}>;`,
      "fn hmax(v: vec4<f32>) -> f32 { return max(max(v.x, v.y), max(v.z, v.w)); }",
      "fn hsum(v: vec4<f32>) -> f32 { return (v.x + v.y) + (v.z + v.w); }",
    ],
    workgroupBytes: attentionBytes(s, t),
  });
}

/** Each row's lse, stored by the first of the eight invocations that share it. */
function writeStats(frame: Frame, s: Sizes, lead: readonly Index[], row: Index): void {
  const { e } = frame;
  e.line("let lse = select(top + log(total), vec4<f32>(bitcast<f32>(0x7f7fffffu)), total == vec4<f32>());");
  for (let i = 0; i < 4; i++) {
    const r = add(row, int(i));
    e.open(`if (tx == 0u${r.max < s.rows ? "" : ` && ${indexText(r)} < ${s.rows}u`}) {`);
    e.width = 1;
    const at = r.max < s.rows ? r : e.opaque(indexText(r), s.rows - 1, e.depth);
    storeAside(frame, s, [...lead, at], { text: `lse.${"xyzw"[i]}`, width: 1, dtype: "f32", depth: 0 });
    e.close();
  }
}

function declare(e: Emitter, name: string): string {
  e.line(`var ${name} = vec4<f32>();`);
  return name;
}

/** Scales the scores, adds the mask and hides keys that are past the end or, with `causal`, after the query. */
function maskScores(
  e: Emitter,
  s: Sizes,
  mask: Node | undefined,
  lead: readonly Index[],
  row: Index,
  key: Index,
): void {
  const scaleBy = e.literal(s.scale, "f32").text;
  for (let i = 0; i < 4; i++) {
    e.line(`s${i} = s${i} * ${scaleBy};`);
    const r = add(row, int(i));
    if (mask) {
      e.width = 4;
      const clampTo = (x: Index, size: number): Index =>
        x.max < size ? x : e.opaque(`min(${indexText(x)}, ${size - 1}u)`, size - 1, e.depth);
      const whole = s.keys % 4 === 0;
      const at = (c: Index): Index[] => {
        const full = [...lead, clampTo(r, s.rows), c];
        return full.slice(full.length - mask.type.shape.length);
      };
      const parts = whole
        ? [e.value(mask, at(add(scale(clampTo(div(key, 4), s.keys / 4), 4), lane(4)))).text]
        : Array.from({ length: 4 }, (_, c) => {
            e.width = 1;
            return e.value(mask, at(clampTo(add(key, int(c)), s.keys))).text;
          });
      e.line(`s${i} = s${i} + vec4<f32>(${parts.join(", ")});`);
      // A mask of the lowest f32 counts, unlike one of -inf: a row of nothing else weighs its keys alike.
      e.line(`s${i} = select(s${i}, vec4<f32>(${lowest}), s${i} == vec4<f32>(${masked}));`);
    }
    const hidden: string[] = [];
    const position = `vec4<u32>(${indexText(key)}) + vec4<u32>(0u, 1u, 2u, 3u)`;
    if (s.keys % 32 !== 0) hidden.push(`(${position}) >= vec4<u32>(${s.keys}u)`);
    if (s.causal) hidden.push(`(${position}) > vec4<u32>(${indexText(add(r, int(s.offset)))})`);
    for (const h of hidden) e.line(`s${i} = select(s${i}, vec4<f32>(${masked}), ${h});`);
    // A mask of -inf counts as hidden; a NaN score is not below anything and stays.
    if (mask) e.line(`s${i} = select(s${i}, vec4<f32>(${masked}), s${i} < vec4<f32>(${masked}));`);
  }
}
