/** Files that `sinter init` writes, by path. */
export const templates: Readonly<Record<string, string>> = {
  "sinter.config.ts": `import { defineConfig } from "sinter/build";

export default defineConfig({
  include: "kernels/**/*.kernel.ts",
});
`,
  "kernels/softplus.kernel.ts": `import { defineKernel, dim, elementwise, f32 } from "sinter";

/** log(1 + eˣ), without overflow. Plain TypeScript: it runs on the CPU too, and is read into the kernel from here. */
export const softplus = elementwise((x: number) => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x))));

const n = dim("n", { hint: 4096 });

/** y = softplus(x) · scale, for any number of elements. */
export const scaledSoftplus = defineKernel(
  { name: "scaledSoftplus", inputs: (float) => ({ x: float(n), scale: f32() }) },
  ({ x, scale }) => ({ y: softplus(x.cast("f32")).mul(scale).cast(x.dtype) }),
);
`,
  "kernels/softplus.test.ts": `import { expect, test } from "vitest";
import { softplus } from "./softplus.kernel.ts";

test("softplus is log(1 + eˣ), also where eˣ overflows", () => {
  for (const x of [-20, -1, 0, 1, 20]) expect(softplus(x)).toBeCloseTo(Math.log(1 + Math.exp(x)), 12);
  expect(softplus(1000)).toBe(1000);
  expect(softplus(-1000)).toBe(0);
});
`,
};

/** Scripts that are added to a package.json that has none of these names. */
export const scripts: Readonly<Record<string, string>> = {
  kernels: "sinter build",
  "kernels:check": "sinter check",
};
