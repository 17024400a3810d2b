import { expect, test } from "vitest";
import { compile, f32, type GpuTensor, type Reduction, type Tensor } from "../../src/index.ts";
import { bodies, math } from "../codegen/read/bodies.ts";
import { arrange, flatNumbers } from "../codegen/read/cases.ts";
import { load } from "../codegen/read/load.ts";
import { sharedGpu } from "../support/gpu.ts";
import { randomOf } from "../support/values.ts";

const gpu = sharedGpu();

type AnyFunction = (...args: unknown[]) => unknown;

/** Left out: truth values as inputs, and what hangs on the sign of a computed zero, which GPUs need not keep. */
const skipped = new Set(["booleans as parameters", "zeros of both signs"]);
const named = Object.entries(bodies).filter(([name]) => !skipped.has(name));
const cases = [...math.map((c) => [c.fn, c] as const), ...named];
const perProgram = 8;
const groups = Array.from({ length: Math.ceil(cases.length / perProgram) }, (_, i) =>
  cases.slice(i * perProgram, (i + 1) * perProgram),
);

const far = (a: number, b: number): boolean =>
  !(Object.is(a, b) || a === b || Math.abs(a - b) <= 4e-6 * Math.max(1, Math.abs(b)));

test.each(groups.map((g) => [g.map(([name]) => name).join("; "), g] as const))(
  "on the GPU as on the CPU: %s",
  async (_, group) => {
    const fns = await Promise.all(
      group.map(async ([, { before = "", fn }]) => {
        const source = `import { elementwise } from "sinter";\n${before}\nexport const fn = elementwise(${fn});`;
        return (await load(source)).fn as AnyFunction;
      }),
    );
    const specs = Object.fromEntries(
      group.flatMap(([, { at }], k) => at.map((list, i) => [`x${k}_${i}`, f32(list.length)])),
    );
    const inputs = Object.fromEntries(group.flatMap(([, { at }], k) => at.map((list, i) => [`x${k}_${i}`, [...list]])));
    const program = compile(specs, (x) =>
      Object.fromEntries(
        group.map(([, { fn, at }], k) => {
          const args = at.map((_, i) => (x as Record<string, Tensor>)[`x${k}_${i}`]);
          return [`y${k}`, { y: (fns[k] as AnyFunction)(...arrange(fn, args)) as Tensor }];
        }),
      ),
    );
    using session = await program.load(gpu(), {});
    const out = (await session.run(inputs as never)) as unknown as Record<string, { y: unknown }>;
    const wrong: string[] = [];
    for (const [k, [name, { fn, at }]] of group.entries()) {
      const lists = await Promise.all(
        leaves((out[`y${k}`] as { y: unknown }).y).map(async (t) => [...(await t.data())]),
      );
      (at[0] as readonly number[]).forEach((_, i) => {
        const want = flatNumbers(
          (fns[k] as AnyFunction)(
            ...arrange(
              fn,
              at.map((list) => list[i]),
            ),
          ),
        );
        want.forEach((w, r) => {
          const got = Number(lists[r]?.[i]);
          if (far(got, Math.fround(w)))
            wrong.push(`${name}: result ${r} at ${at.map((list) => list[i])}: ${got}, not ${w}`);
        });
      });
    }
    expect(wrong).toEqual([]);
  },
);

/** The tensors of a tree of results. */
function leaves(v: unknown): GpuTensor[] {
  if (typeof v === "object" && v !== null && "data" in v) return [v as GpuTensor];
  return Object.values(v as object).flatMap(leaves);
}

test("a reduction over rows, long and short, and over columns", async () => {
  const source = `import { reduction } from "sinter";
export const welford = reduction({
  init: () => ({ n: 0, mean: 0, m2: 0 }),
  map: (x: number) => ({ n: 1, mean: x, m2: 0 }),
  combine: (a, b) => { const n = a.n + b.n, d = b.mean - a.mean; return { n, mean: a.mean + d * b.n / Math.max(n, 1), m2: a.m2 + b.m2 + d * d * a.n * b.n / Math.max(n, 1) }; },
  result: (s) => [s.mean, s.m2 / s.n],
});
export const most = reduction({
  init: () => ({ above: 0 | 0, most: -Infinity }),
  map: (x: number) => ({ above: x > 0.5 ? 1 | 0 : 0 | 0, most: x }),
  combine: (a, b) => ({ above: a.above + b.above, most: Math.max(a.most, b.most) }),
});`;
  const { welford, most } = (await load(source)) as unknown as {
    welford: Reduction<[number], [number, number]>;
    most: Reduction<[number], { above: number; most: number }>;
  };
  const random = randomOf(3);
  const [rows, cols] = [5, 1000];
  const x = Array.from({ length: rows * cols }, () => Math.fround(random() * 4 - 1));
  const program = compile({ x: f32(rows, cols) }, ({ x }) => ({
    rows: welford(x, { axes: -1 }),
    columns: welford(x, { axes: 0 }),
    most: most(x, { axes: 1 }),
  }));
  using session = await program.load(gpu(), {});
  const out = await session.run({ x });
  const line = (i: number, step: number, n: number): number[] =>
    Array.from({ length: n }, (_, k) => x[i + k * step] as number);
  const close = async (t: GpuTensor, want: readonly number[]): Promise<void> => {
    const got = [...(await t.data())];
    expect(got.length).toBe(want.length);
    want.forEach((w, i) => {
      expect(Math.abs((got[i] as number) - w)).toBeLessThanOrEqual(1e-5 * Math.max(1, Math.abs(w)));
    });
  };
  const byRow = Array.from({ length: rows }, (_, i) => line(i * cols, 1, cols));
  const byColumn = Array.from({ length: cols }, (_, i) => line(i, cols, rows));
  for (const k of [0, 1] as const) {
    await close(
      out.rows[k],
      byRow.map((l) => welford(l)[k]),
    );
    await close(
      out.columns[k],
      byColumn.map((l) => welford(l)[k]),
    );
  }
  await close(
    out.most.above,
    byRow.map((l) => most(l).above),
  );
  await close(
    out.most.most,
    byRow.map((l) => most(l).most),
  );
});
