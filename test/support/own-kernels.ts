import type { WgslCpu } from "../../src/frontend/wgsl-cpu.ts";
import { f32, u32 } from "../../src/index.ts";

/** Compute shaders as users write them, with what they compute. */

/** c = a @ b by tiles in workgroup memory, any size. */
export const tiledMatmul = `
// One tile of c a workgroup.
override TILE: u32 = 8u;

struct Sizes {
  m: u32,
  n: u32,
  k: u32,
  scale: f32,
}

@group(0) @binding(0) var<storage, read> a: array<f32>;
@group(0) @binding(1) var<storage, read> b: array<f32>;
@group(0) @binding(2) var<storage, read_write> c: array<f32>;
@group(0) @binding(3) var<uniform> sizes: Sizes;

var<workgroup> left: array<f32, TILE * TILE>;
var<workgroup> right: array<f32, TILE * TILE>;

@compute @workgroup_size(TILE, TILE)
fn multiply(
  @builtin(workgroup_id) wid: vec3<u32>,
  @builtin(local_invocation_id) lid: vec3<u32>,
) {
  let row = wid.y * TILE + lid.y;
  let col = wid.x * TILE + lid.x;
  var sum = 0.0;
  for (var t = 0u; t < sizes.k; t += TILE) {
    left[lid.y * TILE + lid.x] = 0.0;
    right[lid.y * TILE + lid.x] = 0.0;
    if (row < sizes.m && t + lid.x < sizes.k) { left[lid.y * TILE + lid.x] = a[row * sizes.k + t + lid.x]; }
    if (t + lid.y < sizes.k && col < sizes.n) { right[lid.y * TILE + lid.x] = b[(t + lid.y) * sizes.n + col]; }
    workgroupBarrier();
    for (var i = 0u; i < TILE; i++) { sum += left[lid.y * TILE + i] * right[i * TILE + lid.x]; }
    workgroupBarrier();
  }
  if (row < sizes.m && col < sizes.n) { c[row * sizes.n + col] = sum * sizes.scale; }
}
`;

export const matmulOnCpu: WgslCpu = ({ inputs: { a, b }, params: { sizes } }) => {
  const { m, n, k, scale } = sizes as { m: number; n: number; k: number; scale: number };
  const c = new Float64Array(m * n);
  for (let i = 0; i < m * n; i++) {
    for (let j = 0; j < k; j++) {
      c[i]! += a!.data[Math.floor(i / n) * k + j]! * b!.data[j * n + (i % n)]!;
    }
    c[i]! *= scale;
  }
  return { c };
};

/** Counts values in `bins`, which it adds to. */
export const histogram = `
@group(0) @binding(5) var<storage, read> values: array<u32>;
@group(0) @binding(7) var<storage, read_write> bins: array<atomic<u32>>;
@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  if (id.x < arrayLength(&values)) { atomicAdd(&bins[values[id.x] % arrayLength(&bins)], 1u); }
}
`;

export const histogramOnCpu: WgslCpu = ({ inputs: { values, bins }, outputs }) => {
  const out = bins ? bins.data.slice() : new Float64Array(outputs.bins!.shape[0]!);
  for (const v of values!.data) out[v % out.length]!++;
  return { bins: out };
};

/** y = x * alpha, and how often each invocation ran. */
export const scaleBy = `
@group(0) @binding(0) var<storage> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(0) @binding(2) var<storage, read_write> times: array<u32>;
@group(0) @binding(3) var<uniform> alpha: f32;
@compute @workgroup_size(32)
fn run(@builtin(global_invocation_id) id: vec3<u32>) {
  if (id.x < arrayLength(&y)) {
    y[id.x] = x[id.x] * alpha;
    times[id.x] = 1u;
  }
}
`;

export const scaleOnCpu: WgslCpu = ({ inputs: { x }, params }) => ({
  y: x!.data.map((v) => v * params.alpha![""]!),
  times: x!.data.map(() => 1),
});

/** Outputs of {@link scaleBy} for n elements. */
export const scaleOutputs = (n: number) => ({ y: f32(n), times: u32(n) });

/** Writes the numbers of its uniform out. */
export const fieldsKernel = `
struct P { n: u32, ratio: f32, v: vec3<f32>, list: array<vec4<i32>, 2>, last: f32 }
@group(0) @binding(0) var<uniform> p: P;
@group(0) @binding(1) var<storage, read_write> out: array<f32>;
fn element(q: ptr<uniform, P>, i: u32) -> f32 { return f32((*q).list[i / 4u][i % 4u]); }
@compute @workgroup_size(1)
fn main() {
  out[0] = f32(p.n);
  out[1] = p.ratio + p.last;
  for (var i = 0u; i < 3u; i++) { out[2u + i] = p.v[i]; }
  for (var i = 0u; i < 7u; i++) { out[5u + i] = element(&p, i); }
}
`;

const bits = new DataView(new ArrayBuffer(4));
const asFloat = (word: number): number => {
  bits.setUint32(0, word);
  return bits.getFloat32(0);
};
const words = { v: 4, list: 8 };

export const fieldsOnCpu: WgslCpu = ({ inputs, params }) => {
  const { n, ratio, last } = params.p as { n: number; ratio: number; last: number };
  const at = (i: number): number => inputs.p!.data[i]!;
  return {
    out: [
      n,
      Math.fround(ratio + last),
      ...[0, 1, 2].map((i) => asFloat(at(words.v + i))),
      ...Array.from({ length: 7 }, (_, i) => at(words.list + i) | 0),
    ],
  };
};
