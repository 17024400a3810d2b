import { expect, test } from "vitest";
import { compile, f32, type Program } from "../../src/index.ts";
import * as nn from "../../src/nn/index.ts";

/** AdamW over as many parameters, vectors and matrices, with or without clipping. */
function adamWOver(count: number, clip: boolean): Program {
  const params = Array.from({ length: count }, (_, i) => (i % 2 ? f32(3 + i) : f32(16, 8 + i)));
  return compile(
    { params, grads: params, opt: nn.adamWInit(params), lr: f32(), max: f32() },
    ({ params, grads, opt, lr, max }) => {
      const clipped = clip ? nn.clipByGlobalNorm(grads, max).grads : grads;
      const next = nn.adamW(params, clipped, opt, { lr, mask: nn.decayMatrices });
      return { params: next.params, opt: next.state };
    },
    { donate: ["params", "opt"] },
  ) as unknown as Program;
}

const rowsOf = (program: Program): string[] =>
  program.graph.nodes.map((n) => n.op).filter((op) => op !== "input" && op !== "window");

test("a graph of AdamW holds one window for each parameter and moment, and no other op for each", async () => {
  const [few, many] = [adamWOver(3, true), adamWOver(70, true)];
  expect(rowsOf(many)).toEqual(rowsOf(few));
  expect(many.graph.nodes.filter((n) => n.op === "window")).toHaveLength(3 * 70);
  await expect(`${few}\n`).toMatchFileSnapshot("adamw.txt");
});

test.each([3, 70])("AdamW over %i parameters is one kernel, and clipping two more", (count) => {
  const kernels = (clip: boolean) => adamWOver(count, clip).explain({ fuse: "legal" }).kernels;
  // The mask is read from a table of one number for each parameter, not stored for each element.
  expect(adamWOver(count, true).explain({ fuse: "legal" }).setup).toEqual([]);
  // The step count, a single number, is a kernel of its own or rides in another's.
  expect(kernels(false).filter((k) => k.bytesWritten > 4)).toHaveLength(1);
  expect(kernels(false).length).toBeLessThanOrEqual(2);
  expect(kernels(true).length).toBeLessThanOrEqual(3);
});
