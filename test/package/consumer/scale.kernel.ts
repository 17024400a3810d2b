import { defineKernel, dim, dimCeilDiv, dimMul, elementwise, f32, reduction, wgslKernel } from "sinter";

const rows = dim("rows", { hint: 1024 });
const cols = dim("cols", { hint: 256 });

/** y = softmax(x · by) over each row. */
export const scaledSoftmax = defineKernel(
  { name: "scaledSoftmax", inputs: { x: f32(rows, cols), by: f32() } },
  ({ x, by }) => ({ y: x.mul(by).softmax() }),
);

/** x / (1 + |x|) */
export const squash = elementwise((x: number) => x / (1 + Math.abs(x)));

const largest = reduction({
  init: () => ({ magnitude: 0 }),
  map: (x: number) => ({ magnitude: Math.abs(x) }),
  combine: (a, b) => ({ magnitude: Math.max(a.magnitude, b.magnitude) }),
  result: (s) => s.magnitude,
});

const negate = wgslKernel(`
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(64)
fn negate(@builtin(global_invocation_id) id: vec3<u32>) {
  if (id.x < arrayLength(&y)) { y[id.x] = -x[id.x]; }
}`);

/** y = -squash(x), and the largest magnitude of each row of x. */
export const negated = defineKernel({ name: "negated", inputs: { x: f32(rows, cols) } }, ({ x }) => ({
  y: negate({ x: squash(x) }, { outputs: { y: f32(rows, cols) }, workgroups: [dimCeilDiv(dimMul(rows, cols), 64)] }).y,
  top: largest(x, { axes: -1 }),
}));
