import { expectTypeOf, test } from "vitest";
import type { KernelRuntime } from "../../src/runtime/index.ts";
import { axpy, share } from "../support/hand-kernels.ts";

/** Only type-checked. */
function calls(rt: KernelRuntime, x: GPUBuffer): void {
  rt.run(axpy, { x, y: { buffer: x, offset: 3 }, z: x }, { n: 4, scale: 2 });
  rt.run(share, { x, y: x }, { rows: 1, cols: 2 }, { dtype: "f16" });
  // @ts-expect-error a tensor is missing
  rt.run(axpy, { x, y: x }, { n: 4, scale: 2 });
  // @ts-expect-error a tensor too many
  rt.run(share, { x, y: x, z: x }, { rows: 1, cols: 2 });
  // @ts-expect-error a size is misspelt
  rt.run(share, { x, y: x }, { rows: 1, columns: 2 });
  // @ts-expect-error a typed array is no tensor
  rt.run(share, { x: new Float32Array(2), y: x }, { rows: 1, cols: 2 });
  // @ts-expect-error there is no such dtype
  rt.run(share, { x, y: x }, { rows: 1, cols: 2 }, { dtype: "f64" });
  void rt.warmup([axpy, { kernel: share, dtype: "f16" }]);
  // @ts-expect-error warmup takes a list
  void rt.warmup(axpy);
}

test("a kernel's names are part of its type", () => {
  expectTypeOf(calls).returns.toBeVoid();
});
