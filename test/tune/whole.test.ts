import type { TuningTable } from "sinter";
import { describe, expect, test } from "vitest";
import type { Clock } from "../../src/tune/clock.ts";
import type { Course } from "../../src/tune/course.ts";
import type { Measuring } from "../../src/tune/kernels.ts";
import { emptyTable } from "../../src/tune/table.ts";
import type { Timed } from "../../src/tune/timer.ts";
import { type Decision, without, worthwhile } from "../../src/tune/whole.ts";
import { randomOf } from "../support/values.ts";

const kernel = (time: number) => ({ variant: "new", time, usual: "old", usualTime: 100 });
const table: TuningTable = {
  ...emptyTable({ vendor: "", architecture: "", device: "" }),
  kernels: { much: kernel(50), some: kernel(70), little: kernel(96), other: kernel(50) },
  fusions: { turned: { fused: 30, apart: 10 }, kept: { fused: 1, apart: 2 } },
};
const decisions: readonly Decision[] = [
  { kind: "kernels", name: "much", gain: 50 },
  { kind: "kernels", name: "some", gain: 30 },
  { kind: "fusions", name: "turned", gain: 20 },
  { kind: "kernels", name: "little", gain: 4 },
];

const decidedBy = (t: TuningTable): readonly string[] =>
  decisions
    .filter((d) => (d.kind === "kernels" ? t.kernels[d.name]?.variant === "new" : d.name in t.fusions))
    .map((d) => d.name);

/** Which decisions are kept where a run takes 20 ms, more or less by the decisions, and noise besides. */
async function kept(microseconds: (names: readonly string[]) => number, { noise = 0, over = false } = {}) {
  let open = 0;
  let loads = 0;
  const random = randomOf(1);
  const load = (t: TuningTable): Promise<Course> => {
    open++;
    loads++;
    const runs = [{ names: decidedBy(t) }];
    return Promise.resolve({ runs, fill: () => undefined, release: () => open-- } as unknown as Course);
  };
  const time = ([row]: readonly [Timed]): Promise<number[]> => {
    const [{ names }] = row.runs as unknown as [{ names: readonly string[] }];
    return Promise.resolve([20_000 - microseconds(names) + noise * random()]);
  };
  const m = { clock: { time } as unknown as Clock, bench: {}, now: () => 0, deadline: over ? -1 : 1 };
  const found = await worthwhile(m as unknown as Measuring, table, decisions, load);
  expect(open, "programs that are still loaded").toBe(0);
  return { names: found?.map((d) => d.name), loads };
}

const gains: Readonly<Record<string, number>> = { much: 50, some: 30, turned: 20, little: 4 };
const sum = (names: readonly string[], of = gains): number => names.reduce((n, name) => n + (of[name] as number), 0);

describe("decisions that make a program faster", () => {
  test("are all kept where they gain what they should", async () => {
    expect(await kept((names) => sum(names))).toEqual({ names: ["much", "some", "turned", "little"], loads: 2 });
    expect((await kept((names) => 0.7 * sum(names))).names).toHaveLength(4);
  });

  test("are kept one by one where they do not", async () => {
    const { names } = await kept((n) => sum(n, { ...gains, much: -60 }));
    expect(names).toEqual(["some", "turned", "little"]);
    expect((await kept((n) => sum(n, { much: 50, some: 0, turned: -5, little: -1 }))).names).toEqual(["much"]);
    // What loses nothing that can be seen may stay if it is small.
    expect((await kept((n) => sum(n, { much: -50, some: -1, turned: -5, little: 0 }))).names).toEqual(["little"]);
  });

  test("are kept together where they gain together alone", async () => {
    const together = (n: readonly string[]): number => (n.length === 4 ? 40 : -n.length);
    expect((await kept(together)).names).toHaveLength(4);
  });

  test("are not kept for what noise makes of them", async () => {
    expect((await kept(() => 0, { noise: 100 })).names).toEqual(["little"]);
  });

  test("are taken back where there is no time to look at them", async () => {
    const { names, loads } = await kept((n) => -sum(n), { over: true });
    expect([names, loads]).toEqual([[], 2]);
  });
});

test("a table without some decisions leaves things as they are, and others alone", () => {
  const less = without(table, decisions.slice(1));
  expect(decidedBy(less)).toEqual(["much"]);
  expect(less.kernels.some).toEqual({ variant: "old", time: 100, usual: "old", usualTime: 100 });
  expect(less.kernels.other).toEqual(table.kernels.other);
  expect(less.fusions).toEqual({ kept: { fused: 1, apart: 2 } });
  expect(without(table, [])).toEqual(table);
});
