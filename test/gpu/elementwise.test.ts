import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { DType } from "../../src/base/dtype.ts";
import { HelperSet, helperNames } from "../../src/ir/ops/helpers.ts";
import { openAdapter } from "../../src/node/adapters.ts";
import { argumentColumns, type ElementwiseCase, elementwiseCases, fromBits, toBits } from "./elementwise-cases.ts";
import { judge } from "./elementwise-judge.ts";
import { caseKernel, runCaseKernel } from "./elementwise-kernel.ts";

const elements = 4096;
/** Cases of one kernel: enough to have few kernels, few enough that drivers compile them quickly. */
const perKernel = 8;
/** f32 and f16, and i32 and u32, share their texts: each text is run at both widths by one of them. */
const widths: Readonly<Record<DType, readonly number[]>> = { f32: [1], f16: [4], i32: [1], u32: [4], bool: [1, 4] };
let device: GPUDevice;

beforeAll(async () => {
  const { globals } = await import("webgpu");
  Object.assign(globalThis, globals);
  device = await (await openAdapter()).adapter.requestDevice();
});
afterAll(() => device.destroy());

/** Kernels' worth of cases: one signature each. */
function batches(): ElementwiseCase[][] {
  const bySignature = new Map<string, ElementwiseCase[]>();
  for (const c of elementwiseCases()) {
    const key = c.args.join();
    bySignature.set(key, [...(bySignature.get(key) ?? []), c]);
  }
  return [...bySignature.values()].flatMap((list) =>
    Array.from({ length: Math.ceil(list.length / perKernel) }, (_, i) =>
      list.slice(i * perKernel, (i + 1) * perKernel),
    ),
  );
}

const worst = new Map<string, number>();

async function failuresOf(batch: readonly ElementwiseCase[], width: number): Promise<string[]> {
  const { args } = batch[0] as ElementwiseCase;
  const columns = argumentColumns(args, elements);
  const words = columns.map((c, k) => Uint32Array.from(c, (x) => toBits(x, args[k] as never)));
  const parts = await runCaseKernel(device, caseKernel(batch, width, elements / width), words, batch.length);
  const failures: string[] = [];
  batch.forEach((c, k) => {
    let shown = 0;
    for (let i = 0; i < elements; i++) {
      const x = columns.map((column) => column[i] as number);
      const got = fromBits(parts[k]?.[i] as number, c.result);
      const verdict = judge(c, x, got);
      worst.set(c.label, Math.max(worst.get(c.label) ?? 0, verdict.ulp));
      if (verdict.ok || shown++ > 3) continue;
      const want = c.row.elementwise?.cpu(x, c, c.attrs);
      failures.push(`${c.label} (${x.join(", ")}) = ${got}, not ${want} (${verdict.ulp} ulp)`);
    }
  });
  return failures;
}

describe("the WGSL of every elementwise row means what its CPU function means", () => {
  for (const batch of batches()) {
    for (const width of widths[(batch[0] as ElementwiseCase).args.at(-1) as DType]) {
      test(`width ${width}: ${batch.map((c) => c.label).join("; ")}`, async () => {
        expect(await failuresOf(batch, width)).toEqual([]);
      });
    }
  }

  test("every helper compiles at every width", async () => {
    const scalar = new Set(["bits", "philox", "reduceLarge"]);
    for (const width of [1, 2, 4]) {
      const set = new HelperSet();
      for (const name of helperNames) set.use(name, scalar.has(name) ? 1 : width);
      const info = await device.createShaderModule({ code: set.text() }).getCompilationInfo();
      expect(info.messages.filter((m) => m.type === "error").map((m) => m.message)).toEqual([]);
    }
  });
});

afterAll(() => {
  if (process.env.SINTER_ULP) {
    const rows = [...worst].sort((a, b) => b[1] - a[1]).map(([label, ulp]) => `${ulp.toFixed(2).padStart(8)} ${label}`);
    console.log(rows.join("\n"));
  }
});
