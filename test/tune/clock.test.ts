import type { Gpu } from "sinter";
import { describe, expect, test } from "vitest";
import { Clock } from "../../src/tune/clock.ts";
import type { Runnable, Timed, Timer } from "../../src/tune/timer.ts";

/** Microseconds of the reference and of what is measured at the full rate. */
const full = { reference: 250, measured: 40 };

/**
 * A device that runs at a sixth of its rate after a second of rest and at its full one after as long at work, in steps as real ones
 * do. `load`: how many times as long everything takes within 5 ms after heavy work.
 */
class Device {
  now = 0;
  /** 0 to 1. */
  charge = 0;
  submits = 0;
  load = 1;
  destroyed = 0;
  readonly #recent: number[] = [];

  rest(ms: number): void {
    this.now += ms;
    this.charge = Math.max(0, this.charge - ms / 1000);
  }

  get slowness(): number {
    return 6 - (5 * Math.floor(Math.min(1, 1.1 * this.charge) * 10)) / 10;
  }

  readonly timer: Timer = {
    time: async (list: readonly Timed[]) => {
      this.submits++;
      this.rest(0.2);
      return list.map(({ runs, times }) => {
        const heavy = this.#recent.some((at) => this.now - at < 5);
        const each = runs.reduce((n, r) => n + (r.workgroups[0] === 16384 ? full.reference : full.measured), 0);
        const time = each * this.slowness * (heavy ? this.load : 1);
        if (runs[0]?.workgroups[0] !== 16384) this.#recent.push(this.now);
        this.now += (time * times) / 1000;
        this.charge = Math.min(1, this.charge + (time * times) / 1e6);
        return time;
      });
    },
    dispose: () => undefined,
  };

  clock(): Clock {
    const device = {
      features: new Set(["timestamp-query"]),
      createShaderModule: () => ({}),
      createComputePipeline: () => ({ getBindGroupLayout: () => ({}) }),
      createBindGroup: () => ({}),
      createBuffer: () => ({ destroy: () => this.destroyed++ }),
    };
    return new Clock({
      gpu: { device, capabilities: { software: false } } as unknown as Gpu,
      timer: this.timer,
      now: () => this.now,
    });
  }
}

const until = { deadline: Number.POSITIVE_INFINITY };
const some: Timed = { runs: [{ workgroups: [1, 1, 1] } as unknown as Runnable], times: 20 };

test("a CPU is not kept busy", async () => {
  const d = new Device();
  const gpu = { device: { features: new Set() }, capabilities: { software: true } } as unknown as Gpu;
  const clock = new Clock({ gpu, timer: d.timer, now: () => d.now });
  await clock.settle(until);
  expect(d.submits).toBe(0);
  expect(await clock.time([some], until)).toEqual([6 * full.measured]);
  expect([clock.inRuns, d.submits]).toEqual([false, 1]);
});

describe("a device whose rate changes", () => {
  test("is measured at its full rate, whatever it did before", async () => {
    const d = new Device();
    const clock = d.clock();
    for (const rest of [0, 50, 300, 1000, 30_000]) {
      d.rest(rest);
      expect(await clock.time([some, some], until), `after ${rest} ms`).toEqual([full.measured, full.measured]);
    }
    expect(clock.reference).toBe(full.reference);
  });

  test("is not kept waiting where it was busy", async () => {
    const d = new Device();
    const clock = d.clock();
    await clock.time([some], until);
    const { submits, now } = d;
    for (let i = 0; i < 10; i++) await clock.time([some], until);
    expect(d.submits - submits).toBe(10);
    expect(d.now - now).toBeLessThan(100);
    expect(clock.repeated).toBe(0);
  });

  test("may be slowed by what is measured, but not by rest", async () => {
    const d = new Device();
    const clock = d.clock();
    d.load = 1.15;
    expect(await clock.time([some], until)).toEqual([full.measured]);
    // From then on that is known.
    const { submits } = d;
    expect(await clock.time([some], until)).toEqual([full.measured]);
    expect(d.submits - submits).toBe(1);
    d.load = 2;
    d.rest(10);
    expect(await clock.time([some], until)).toBeUndefined();
  });

  test("that no longer reaches a rate by seconds of work is measured at the one that it reaches", async () => {
    const d = new Device();
    const clock = d.clock();
    await clock.settle(until);
    const { time } = d.timer;
    const hot: Timer["time"] = async (list, o) => (await time(list, o)).map((t) => 1.3 * t);
    (d.timer as { time: Timer["time"] }).time = hot;
    expect(await clock.time([some], until)).toEqual([1.3 * full.measured]);
    expect(clock.reference).toBeCloseTo(1.3 * full.reference);
  });

  test("is given up when the time is over, and its memory is given back", async () => {
    const d = new Device();
    const clock = d.clock();
    d.load = 3;
    expect(await clock.time([some], { deadline: 100 })).toBeUndefined();
    expect(d.now).toBeLessThan(500);
    clock.dispose();
    expect(d.destroyed).toBe(1);
  });
});
