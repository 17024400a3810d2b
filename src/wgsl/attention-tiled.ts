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
  squareAt,
  storeAside,
  storeAt,
} from "./attention-parts.ts";
import { type Emitter, lane } from "./emitter.ts";
import { closeFrame, type Frame, type Kernel, type Parts as KernelParts, openFrame } from "./kernel.ts";
import { stage } from "./stage.ts";

/** Query rows a workgroup owns, and keys that 8 × 8 invocations take at a time with 4 rows and 4 keys each. */
const side = 32;

/** How many such squares of invocations a workgroup has: each takes keys of its own, and they meet at the end. */
export type Parts = 1 | 2;

/** The lowest score of a key that is not hidden: the next f32. */
const lowest = "bitcast<f32>(0xff7ffffeu)";
const square = 64;

function attentionBytes(s: Sizes, parts: Parts): number {
  const keys = side * parts;
  const staged = s.depth * (side + 4) + Math.max(s.depth * (keys + 4), keys * (s.valueDepth + 4));
  return 4 * (staged + keys * side) + 16 * square * parts + (parts > 1 ? 4 * side : 0);
}

/** Workgroups from which on they fill a device by themselves. */
const many = 512;

/** Does the tiled variant suit these sizes and the device? With several squares in a workgroup where workgroups are few. */
export function tiledFits(s: Sizes, capabilities: Capabilities, parts: Parts = 1): boolean {
  const { maxComputeWorkgroupStorageSize: memory, maxComputeInvocationsPerWorkgroup: most } = capabilities.limits;
  return (
    s.depth % 4 === 0 &&
    s.valueDepth % 4 === 0 &&
    s.valueDepth <= 128 &&
    s.rows >= 8 &&
    s.keys >= 8 &&
    square * parts <= most &&
    (parts === 1 || (s.keys > side && s.lead.reduce((p, d) => p * d, Math.ceil(s.rows / side)) <= many)) &&
    attentionBytes(s, parts) <= memory
  );
}

/**
 * Attention by tiles (FlashAttention, Dao et al. 2022): scores of 32 queries × 32 keys in registers, their weights in
 * workgroup memory, an online softmax between the two products. K and V take turns in one piece of workgroup memory.
 */
export function writeAttentionTiled(region: Region, capabilities: Capabilities, parts: Parts = 1): Kernel {
  const t = { rows: side, keys: side * parts };
  const threads = square * parts;
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
  const [tx, ty] = [e.index("tx", 7, squareAt.x), e.index("ty", 7, squareAt.y)];
  const part = parts > 1 ? e.index("part", parts - 1, `lid / ${square}u`) : int(0);
  const kx = add(tx, scale(part, 8));
  const kt = indexText(kx);
  /** The first of the keys, or of the vectors of them, that the invocation's square has. */
  const ofPart = (size: number): string => (parts > 1 ? `part * ${size}u + ` : "");
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
  e.line(`let kd = sk[d * ${keys.pitch}u + ${kt}];`);
  for (let i = 0; i < 4; i++) e.line(`s${i} = fma(vec4<f32>(qd.${"xyzw"[i]}), kd, s${i});`);
  e.close();
  maskScores(e, s, mask, lead, add(first, scale(ty, 4)), add(origin, scale(kx, 4)), t.keys);
  e.line(`peak[(${kt}) * 8u + ty] = vec4<f32>(hmax(s0), hmax(s1), hmax(s2), hmax(s3));`);
  e.line("workgroupBarrier();");
  e.line("var highest = top;");
  for (let i = 0; i < 8; i++) e.line(`highest = max(highest, peak[${ofPart(64)}${i * 8}u + ty]);`);
  e.line("let keep = exp(top - highest);");
  for (let i = 0; i < 4; i++) {
    const c = "xyzw"[i];
    e.line(`let p${i} = select(exp(s${i} - vec4<f32>(highest.${c})), vec4<f32>(), s${i} <= vec4<f32>(${masked}));`);
  }
  e.line("sum = sum * keep + vec4<f32>(hsum(p0), hsum(p1), hsum(p2), hsum(p3));");
  e.line("top = highest;");
  for (let c = 0; c < 4; c++) {
    const l = "xyzw"[c];
    e.line(`weight[((${kt}) * 4u + ${c}u) * 8u + ty] = vec4<f32>(p0.${l}, p1.${l}, p2.${l}, p3.${l});`);
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
  e.open(`for (var c = 0u; c < ${side}u; c++) {`);
  e.line(`let w = weight[(${ofPart(side)}c) * 8u + ty];`);
  for (let j = 0; j < columns; j++) {
    e.line(`let v${j} = sk[(${ofPart(side)}c) * ${values.pitch}u + min(tx + ${j * 8}u, ${s.valueDepth / 4 - 1}u)];`);
    for (let i = 0; i < 4; i++)
      e.line(`${(out[i] as string[])[j]} = fma(vec4<f32>(w.${"xyzw"[i]}), v${j}, ${(out[i] as string[])[j]});`);
  }
  e.close();
  e.line("workgroupBarrier();");
  e.close();

  const kernel: KernelParts = {
    ...{ variant: `attention_tile_${t.rows}x${side}${parts > 1 ? `_by${parts}` : ""}`, groups },
    workgroupSize: [threads, 1, 1],
    declarations: [
      query.declaration,
      `var<workgroup> sk: array<vec4<f32>, ${Math.max(keys.vectors, values.vectors)}>;`,
      `var<workgroup> weight: array<vec4<f32>, ${t.keys * 8}>;`,
      `var<workgroup> peak: array<vec4<f32>, ${threads}>;`,
      ...(parts > 1 ? [`var<workgroup> lses: array<f32, ${side}>;`] : []),
      "fn hmax(v: vec4<f32>) -> f32 { return max(max(v.x, v.y), max(v.z, v.w)); }",
      "fn hsum(v: vec4<f32>) -> f32 { return (v.x + v.y) + (v.z + v.w); }",
    ],
    workgroupBytes: attentionBytes(s, parts),
  };
  e.line(`peak[(${kt}) * 8u + ty] = sum;`);
  if (parts > 1) {
    meet(frame, s, { parts, lead, first, out, pitch: values.pitch, kt });
    return closeFrame(frame, kernel);
  }
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
  return closeFrame(frame, kernel);
}

/** What the squares of invocations have when they meet. */
interface Meeting {
  readonly parts: Parts;
  readonly lead: readonly Index[];
  readonly first: Index;
  readonly out: readonly (readonly string[])[];
  /** Vectors of a line of values in workgroup memory, which takes the sums. */
  readonly pitch: number;
  /** The invocation's vector of keys. */
  readonly kt: string;
}

/** Sums of each square's keys become those of all, by the maxima that they are relative to; results are stored by whole rows. */
function meet(frame: Frame, s: Sizes, { parts, lead, first, out, pitch, kt }: Meeting): void {
  const { e } = frame;
  const vectors = s.valueDepth / 4;
  const parted = Array.from({ length: parts }, (_, p) => p);
  e.line("if (tx == 0u) { weight[part * 8u + ty] = top; }");
  e.line("workgroupBarrier();");
  e.line("var best = weight[ty];");
  for (const p of parted.slice(1)) e.line(`best = max(best, weight[${p * 8}u + ty]);`);
  e.line("var total = vec4<f32>();");
  for (const p of parted) {
    const sums = Array.from({ length: 8 }, (_, i) => `peak[${p * 64 + i * 8}u + ty]`);
    e.line(`total += (${sums.join(" + ")}) * exp(weight[${p * 8}u + ty] - best);`);
  }
  e.line("let share = exp(top - best) * select(1.0f / total, vec4<f32>(), total == vec4<f32>());");
  out.forEach((row, i) => {
    row.forEach((name, j) => {
      const column = `tx + ${8 * j}u`;
      const inside = 8 * j + 7 < vectors;
      const guard = inside ? "" : `if (${column} < ${vectors}u) `;
      const at = `sk[(part * ${side}u + ty * 4u + ${i}u) * ${pitch}u + ${inside ? column : `(${column}) % ${vectors}u`}]`;
      e.line(`${guard}{ ${at} = ${name} * share.${"xyzw"[i]}; }`);
    });
  });
  if (s.node.results) {
    e.line(lseText("best"));
    e.open(`if (${kt} == 0u) {`);
    for (let i = 0; i < 4; i++) e.line(`lses[ty * 4u + ${i}u] = lse.${"xyzw"[i]};`);
    e.close();
  }
  e.line("workgroupBarrier();");
  if (s.node.results) {
    e.open(`if (lid < ${side}u) {`);
    const r = add(first, e.index("own", side - 1, `lid % ${side}u`));
    storeRow(frame, s, lead, r, "lses[own]");
    e.close();
  }
  const units = side * vectors;
  for (let from = 0; from < units; from += square * parts) {
    const whole = from + square * parts <= units;
    // Not `min`: what it is at most is not seen by WGSL's compilers, which then clamp.
    const unit = e.index(e.fresh("unit"), units - 1, whole ? `lid + ${from}u` : `(lid + ${from}u) % ${units}u`);
    const [own, column] = [div(unit, vectors), mod(unit, vectors)];
    const row = add(first, own);
    const guards = [
      ...(whole ? [] : [`lid < ${units - from}u`]),
      ...(row.max < s.rows ? [] : [`${indexText(row)} < ${s.rows}u`]),
    ];
    e.open(guards.length ? `if (${guards.join(" && ")}) {` : "{");
    const at = `(${indexText(own)}) * ${pitch}u + ${indexText(column)}`;
    e.width = 4;
    if (s.node.results) provideResult(frame, s.node, 1, e.let(`lses[${indexText(own)}]`, 1, "f32"));
    const sum = parted.map((p) => `sk[${p * side * pitch}u + ${at}]`).join(" + ");
    provideResult(frame, s.node, 0, e.let(sum, 4, "f32"));
    const r = row.max < s.rows ? row : e.opaque(indexText(row), s.rows - 1, e.depth);
    storeAt(frame, s, [...lead, r, add(scale(column, 4), lane(4))]);
    e.width = 1;
    e.close();
  }
}

const lseText = (top: string): string =>
  `let lse = select(${top} + log(total), vec4<f32>(bitcast<f32>(0x7f7fffffu)), total == vec4<f32>());`;

function storeRow(frame: Frame, s: Sizes, lead: readonly Index[], r: Index, text: string, guard = ""): void {
  const { e } = frame;
  const tests = [...(guard ? [guard] : []), ...(r.max < s.rows ? [] : [`${indexText(r)} < ${s.rows}u`])];
  e.open(tests.length ? `if (${tests.join(" && ")}) {` : "{");
  e.width = 1;
  const at = r.max < s.rows ? r : e.opaque(indexText(r), s.rows - 1, e.depth);
  storeAside(frame, s, [...lead, at], { text, width: 1, dtype: "f32", depth: 0 });
  e.close();
}

/** Each row's lse, stored by the first of the eight invocations that share it. */
function writeStats(frame: Frame, s: Sizes, lead: readonly Index[], row: Index): void {
  const { e } = frame;
  e.line(lseText("top"));
  for (let i = 0; i < 4; i++) storeRow(frame, s, lead, add(row, int(i)), `lse.${"xyzw"[i]}`, "tx == 0u");
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
  tile: number,
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
    if (s.keys % tile !== 0) hidden.push(`(${position}) >= vec4<u32>(${s.keys}u)`);
    if (s.causal) hidden.push(`(${position}) > vec4<u32>(${indexText(add(r, int(s.offset)))})`);
    for (const h of hidden) e.line(`s${i} = select(s${i}, vec4<f32>(${masked}), ${h});`);
    // A mask of -inf counts as hidden; a NaN score is not below anything and stays.
    if (mask) e.line(`s${i} = select(s${i}, vec4<f32>(${masked}), s${i} < vec4<f32>(${masked}));`);
  }
}
