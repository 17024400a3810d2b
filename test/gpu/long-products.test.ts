import { compile, crossEntropy, f32, i32, layerNorm, matmul, valueAndGrad } from "sinter";
import { test } from "vitest";
import { sharedGpu } from "../support/gpu.ts";
import { leftOut, leftOutWhy } from "../support/share.ts";
import { checkVariants, hardware, variantInputs } from "../support/variants.ts";

const gpu = sharedGpu();
const tile = "tile_32x32x16";

test("the parts of a long product are added up by the row kernel after it", async ({ skip }) => {
  skip(leftOut("the parts of a long product are added up by the row kernel after it"), leftOutWhy);
  const { graph } = compile({ x: f32(64, 401), w: f32(401, 64), r: f32(64, 64) }, ({ x, w, r }) => {
    const y = matmul(x, w).add(r);
    return { y, n: layerNorm(y) };
  });
  await checkVariants(gpu(), hardware(gpu()), [tile, "row_16x4"], { graph, tolerance: 1e-4 });
});

test("the last part of whole tiles takes fewer steps", async ({ skip }) => {
  skip(leftOut("the last part of whole tiles takes fewer steps"), leftOutWhy);
  const { graph } = compile({ x: f32(64, 704), w: f32(704, 64) }, ({ x, w }) => layerNorm(matmul(x, w)));
  await checkVariants(gpu(), hardware(gpu()), [tile, "row_16x4"], { graph, tolerance: 1e-4 });
});

test("the parts of batches, by a kernel of their own", async ({ skip }) => {
  skip(leftOut("the parts of batches, by a kernel of their own"), leftOutWhy);
  const { graph } = compile({ x: f32(2, 64, 1610), w: f32(1610, 68) }, ({ x, w }) => matmul(x, w));
  await checkVariants(gpu(), hardware(gpu()), [tile, "pointwise_x4"], { graph });
});

test("logits of an odd vocabulary with their loss and gradients", async ({ skip }) => {
  skip(leftOut("logits of an odd vocabulary with their loss and gradients"), leftOutWhy);
  const { graph } = compile({ x: f32(1024, 8), w: f32(1031, 8), t: i32(1024) }, ({ x, w, t }) => {
    const of = (p: { x: typeof x; w: typeof w }) => crossEntropy(matmul(p.x, p.w, { transposeB: true }), t);
    const { value, grad } = valueAndGrad(of)({ x, w });
    return { value, ...grad };
  });
  const inputs = variantInputs(graph, { t: [0, 1031] });
  const variants = [tile, "row_256x1", "row_256x1", `${tile} | ${tile}`];
  // Larger tiles take drivers of software adapters long to compile.
  const small = hardware(gpu(), { limits: { maxComputeWorkgroupStorageSize: 6144 } });
  await checkVariants(gpu(), small, variants, { graph, inputs, tolerance: 1e-4 });
});
