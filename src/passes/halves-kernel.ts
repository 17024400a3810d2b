import type { Attrs, TensorType } from "../ir/graph.ts";
import {
  exponentsShape,
  halvesBias,
  halvesBlock,
  halvesTop,
  largestExponent,
  leastExponent,
  toHalves,
} from "../ir/ops/halves.ts";
import { setOwnMeaning } from "../ir/ops/wgsl.ts";

const threads = 256;
/** Vectors of four in a row of a block, rows that a workgroup loads at a time, and how often it does. */
const across = halvesBlock / 4;
const together = threads / across;
const times = halvesBlock / together;
const meaning = "to-halves";

setOwnMeaning(meaning, (matrices) => matrices.flatMap((x) => [...toHalves(x)]));

/**
 * The attributes of a `wgsl` node that stores matrices f32[rows, columns] as halves: its results are the arguments of a `fromHalves` for
 * each. A workgroup holds a block in registers while it looks for the largest magnitude. Halves are rounded by integer arithmetic, as
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
fn halves(v: vec4<f32>) -> vec4<u32> {
  let upper = bitcast<vec4<f32>>((bitcast<vec4<u32>>(v) + vec4<u32>(0x1000u)) & vec4<u32>(0xffffe000u));
  return vec4<u32>(${["upper", "v - upper"].map(half).join(", ")});
}
${types.map((t, i) => halve(t, i)).join("\n")}
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
    units: each(() => [4, 4, 1]),
    ranks: each(() => [2, 2]),
    sizes: each(({ shape }, i) => [...shape, ...(grids[i] as readonly number[])]),
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
    `@group(0) @binding(${count + 2 * i}) var<storage, read_write> words${i}: array<vec4<u32>>;`,
    `@group(0) @binding(${count + 2 * i + 1}) var<storage, read_write> exponents${i}: array<u32>;`,
  ]);
  return [...read, ...written, ""].join("\n");
}

/** The function that does a block of a matrix. */
function halve({ shape }: TensorType, matrix: number): string {
  const [rows, columns] = shape as [number, number];
  const [, wide] = exponentsShape(shape) as [number, number];
  const vectors = columns / 4;
  const each = Array.from({ length: times }, (_, i) => i);
  const place = (i: number): string =>
    `min(row + ${i * together}u, ${rows - 1}u) * ${vectors}u + min(column, ${vectors - 1}u)`;
  const stores = each.map(
    (i) => `    if (row + ${i * together}u < ${rows}u) { words${matrix}[${place(i)}] = halves(v${i} * scale); }`,
  );
  return `fn halve${matrix}(block: u32, lid: u32) {
  let row = (block / ${wide}u) * ${halvesBlock}u + lid / ${across}u;
  let column = (block % ${wide}u) * ${across}u + lid % ${across}u;
${each.map((i) => `  let v${i} = x${matrix}[${place(i)}];`).join("\n")}
  let top = exponent(lid, ${each.map((i) => `abs(v${i})`).reduce((a, b) => `max(${a}, ${b})`)});
  let scale = bitcast<f32>((${2 * halvesBias + halvesTop - 1}u - top) << 23u);
  if (lid == 0u) { exponents${matrix}[block] = top; }
  if (column < ${vectors}u) {
${stores.join("\n")}
  }
}`;
}
