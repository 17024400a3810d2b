import type { Attrs, TensorType } from "../ir/graph.ts";
import { add, div, type Index, indexAlgebra, indexText, int, scale, variable } from "../ir/index-expr.ts";
import {
  exponentsShape,
  halvesBlock,
  largestExponent,
  leastExponent,
  lowerWords,
  scaleText,
  toHalves,
  wordAt,
  wordsShape,
} from "../ir/ops/halves.ts";
import { setOwnMeaning } from "../ir/ops/wgsl.ts";

const threads = 256;
/** Vectors of four in a row of a block, and how many of them an invocation has. */
const across = halvesBlock / 4;
const times = (halvesBlock * across) / threads;
/** Four rows by eight vectors: what 32 invocations load and store at a time is whole lines of 128 bytes. */
const [rowsTogether, together] = [4, 8];
const lines = across / together;
/** Rows that a workgroup has at a time. */
const rowsAtOnce = threads / across;
const meaning = "to-halves";

setOwnMeaning(meaning, (matrices) => matrices.flatMap((x) => [...toHalves(x)]));

/**
 * The attributes of a `wgsl` node that stores matrices f32[rows, columns] as halves: its results are the arguments of a `fromHalves` for
 * each. A workgroup
 * holds a block in registers while it looks for the largest magnitude. Halves are rounded by integer arithmetic, as
 * drivers take the way to a half and back for nothing. Without `f16` the text is for trying it on devices that have none.
 */
export function halvesAttrs(types: readonly TensorType[], f16 = true): Attrs {
  const half = (v: string): string =>
    f16 ? `bitcast<vec2<u32>>(vec4<f16>(${v}))` : `vec2<u32>(pack2x16float((${v}).xy), pack2x16float((${v}).zw))`;
  const grids = types.map(({ shape }) => exponentsShape(shape) as readonly [number, number]);
  const blocks = grids.map(([high, wide]) => high * wide);
  const begins = blocks.map((_, i) => blocks.slice(0, i).reduce((p, n) => p + n, 0));
  const all = blocks.reduce((p, n) => p + n, 0);
  const calls = types.map((_, i) => {
    const call = `halve${i}(wid.x${i > 0 ? ` - ${begins[i]}u` : ""}, lid);`;
    return i === types.length - 1 ? `{ ${call} }` : `if (wid.x < ${begins[i + 1]}u) { ${call} }`;
  });
  const source = `${f16 ? "enable f16;\n" : ""}${declarations(types.length)}var<workgroup> peaks: array<u32, ${threads}>;
fn exponent(lid: u32, m: vec4<f32>) -> u32 {
  peaks[lid] = bitcast<u32>(max(max(m.x, m.y), max(m.z, m.w)));
  workgroupBarrier();
  if (lid < 16u) {
    var most = 0u;
    for (var i = 0u; i < ${threads / 16}u; i++) { most = max(most, peaks[lid + i * 16u]); }
    peaks[lid] = most;
  }
  workgroupBarrier();
  var most = 0u;
  for (var i = 0u; i < 16u; i++) { most = max(most, peaks[i]); }
  return clamp(most >> 23u, ${leastExponent}u, ${largestExponent}u);
}
fn upper_of(v: vec4<f32>) -> vec4<f32> {
  return bitcast<vec4<f32>>((bitcast<vec4<u32>>(v) + vec4<u32>(0x1000u)) & vec4<u32>(0xffffe000u));
}
${types.map((t, i) => halve(t, i, half)).join("\n")}
@compute @workgroup_size(${threads}, 1, 1)
fn main(@builtin(workgroup_id) wid: vec3<u32>, @builtin(local_invocation_index) lid: u32) {
  ${calls.join(" else ")}
}
`;
  const each = <T>(of: (t: TensorType, i: number) => readonly T[]): T[] => types.flatMap(of);
  return {
    name: "toHalves",
    source,
    names: each((_, i) => [`x${i}`, `words${i}`, `exponents${i}`]).join(" "),
    bindings: each((_, i) => [i, types.length + 2 * i, types.length + 2 * i + 1]),
    dtypes: each(() => ["f32", "u32", "u32"]).join(" "),
    arguments: each((_, i) => [i, -1, -1]),
    results: each((_, i) => [-1, 2 * i, 2 * i + 1]),
    units: each(() => [4, 2, 1]),
    ranks: each(() => [3, 2]),
    sizes: each(({ shape }, i) => [...(wordsShape(shape) as number[]), ...(grids[i] as readonly number[])]),
    workgroups: [all, 1, 1],
    workgroupSize: [threads, 1, 1],
    workgroupBytes: threads * 4,
    features: f16 ? "f16" : "",
    cpu: meaning,
  };
}

/** Matrices first, as plans bind what is read before what is written. */
function declarations(count: number): string {
  const each = Array.from({ length: count }, (_, i) => i);
  const read = each.map((i) => `@group(0) @binding(${i}) var<storage, read> x${i}: array<vec4<f32>>;`);
  const written = each.flatMap((i) => [
    `@group(0) @binding(${count + 2 * i}) var<storage, read_write> words${i}: array<vec2<u32>>;`,
    `@group(0) @binding(${count + 2 * i + 1}) var<storage, read_write> exponents${i}: array<u32>;`,
  ]);
  return [...read, ...written, ""].join("\n");
}

/** The function that does a block of a matrix. */
function halve({ shape }: TensorType, matrix: number, half: (v: string) => string): string {
  const [rows, columns] = shape as [number, number];
  const [, wide] = exponentsShape(shape) as [number, number];
  const vectors = columns / 4;
  const each = Array.from({ length: times }, (_, i) => i);
  const bounded = (at: string, limit: number, whole: number): string =>
    limit % whole === 0 ? at : `min(${at}, ${limit - 1}u)`;
  const value = (i: number): string => {
    const row = bounded(`first + row + ${i * rowsAtOnce}u`, rows, halvesBlock);
    const loaded = `x${matrix}[(${row}) * ${vectors}u + ${bounded("column", vectors, across)}]`;
    return vectors % across === 0 ? loaded : `select(vec4<f32>(), ${loaded}, column < ${vectors}u)`;
  };
  const stores = each.map((i) => {
    const row = add(variable("row", rowsAtOnce - 1), int(i * rowsAtOnce));
    const [, , word] = wordAt(indexAlgebra, row, scale(variable("vector", across - 1), 4)) as [Index, Index, Index];
    return `  { let v = v${i} * scale; let u = upper_of(v); let at = ${indexText(add(scale(variable("block", 2 ** 31), halvesBlock ** 2 / 2), div(word, 2)))}; words${matrix}[at] = ${half("u")}; words${matrix}[at + ${lowerWords / 2}u] = ${half("v - u")}; }`;
  });
  return `fn halve${matrix}(block: u32, lid: u32) {
  let first = (block / ${wide}u) * ${halvesBlock}u;
  let row = (lid / ${32 * lines}u) * ${rowsTogether}u + (lid % 32u) / ${together}u;
  let vector = ((lid / 32u) % ${lines}u) * ${together}u + lid % ${together}u;
  let column = (block % ${wide}u) * ${across}u + vector;
${each.map((i) => `  let v${i} = ${value(i)};`).join("\n")}
  let top = exponent(lid, ${each.map((i) => `abs(v${i})`).reduce((a, b) => `max(${a}, ${b})`)});
  let scale = ${scaleText("top")};
  if (lid == 0u) { exponents${matrix}[block] = top; }
${stores.join("\n")}
}`;
}
