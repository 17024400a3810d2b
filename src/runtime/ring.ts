import { fail, SinterError } from "../base/diagnostic.ts";
import { after } from "./after.ts";
import { describe } from "./describe.ts";
import { aborted } from "./errors.ts";
import { checkGpu, type Gpu, type WaitOptions } from "./gpu.ts";
import { checkOptions } from "./options.ts";
import { programOptions } from "./program-options.ts";

/** Options of a {@link Ring}. */
export interface RingOptions {
  /** How many pieces of work may be on the device at a time, 1 to 4. Default 4: on a GPU the next steps are encoded while one runs. */
  readonly size?: number | undefined;
  /** Longest wait for a place, in milliseconds; by default only the device's own bound on waits. */
  readonly timeoutMs?: number | undefined;
  /** Whether to count. Default true. */
  readonly statistics?: boolean | undefined;
  /** How many of the latest waits to remember. Default 64. */
  readonly log?: number | undefined;
}

/** A wait for a place in a {@link Ring}. */
export interface RingWait {
  /** When it began, in milliseconds of `performance.now()`. */
  readonly at: number;
  readonly ms: number;
  /** How it ended. */
  readonly result: "acquired" | "timeout" | "aborted" | "failed";
}

/** What a {@link Ring} has done. Times are milliseconds. */
export interface RingStatistics {
  readonly acquisitions: number;
  readonly releases: number;
  /** Places taken and not given back: what is on the device now; 0 after `idle()`. */
  readonly leak: number;
  /** Acquisitions that found every place taken. */
  readonly waits: number;
  readonly averageWaitMs: number;
  readonly longestWaitMs: number;
  /** Share of the acquisitions that got a place that was used before. */
  readonly reuseRate: number;
  /** The latest waits, oldest first. */
  readonly events: readonly RingWait[];
}

const sizes = [1, 2, 3, 4];

/**
 * Lets a few pieces of work be on the device at a time: while the device computes one, the CPU prepares the next, and no more
 * are submitted than the device keeps up with.
 *
 * ```ts
 * const ring = new Ring(gpu, { size: 2 });
 * for (const batch of batches) (await ring.run(() => session.run(batch))).loss.dispose();
 * await ring.idle();
 * ```
 */
export class Ring {
  readonly gpu: Gpu;
  readonly size: number;
  readonly #timeoutMs: number | undefined;
  readonly #log: number;
  readonly #counting: boolean;
  /** Numbers of places that are free; the one used last comes first. */
  readonly #free: number[];
  readonly #used = new Set<number>();
  readonly #waiting: ((place: number) => void)[] = [];
  #acquisitions = 0;
  #releases = 0;
  #reused = 0;
  #waits = 0;
  #waited = 0;
  #longest = 0;
  #events: RingWait[] = [];

  constructor(gpu: Gpu, options: RingOptions = {}) {
    checkGpu("Ring", gpu);
    checkOptions("Ring", options, ["size", "timeoutMs", "statistics", "log"], programOptions);
    this.gpu = gpu;
    this.size = options.size ?? 4;
    if (!sizes.includes(this.size)) {
      fail("bad-option", `Ring: size cannot be ${describe(this.size)}`, {
        cause: "more work in flight than that only takes memory",
        hint: `give one of ${sizes.join(", ")}`,
      });
    }
    this.#timeoutMs = options.timeoutMs ?? undefined;
    this.#counting = options.statistics ?? true;
    this.#log = options.log ?? 64;
    this.#free = Array.from({ length: this.size }, (_, i) => i).reverse();
  }

  /**
   * Waits for a place, calls `submit`, and gives what it gives. The place is free again when the device is done with everything
   * that was submitted until then. Calls get places in their order.
   * @throws SinterError `timeout` where no place is free in time, `aborted`; and what `submit` throws
   */
  async run<T>(submit: () => T | Promise<T>, options: WaitOptions = {}): Promise<T> {
    checkOptions("run", options, ["signal"]);
    if (typeof submit !== "function") {
      fail("bad-arguments", `run takes a function, not ${describe(submit)}`, {
        hint: "let it submit when its turn has come: ring.run(() => session.run(inputs))",
      });
    }
    this.gpu.check();
    if (options.signal?.aborted) throw aborted("waiting for a place in the ring", options.signal);
    const place = this.#free.pop() ?? (await this.#wait(options));
    this.#take(place);
    try {
      return await submit();
    } finally {
      // After a failure too: part of it may have been submitted.
      void this.gpu
        .done()
        .catch(() => undefined)
        .then(() => this.#release(place));
    }
  }

  #take(place: number): void {
    if (!this.#counting) return;
    this.#acquisitions++;
    if (this.#used.has(place)) this.#reused++;
    this.#used.add(place);
  }

  #release(place: number): void {
    if (this.#counting) this.#releases++;
    this.#pass(place);
  }

  #pass(place: number): void {
    const next = this.#waiting.shift();
    if (next) next(place);
    else this.#free.push(place);
  }

  async #wait(options: WaitOptions): Promise<number> {
    const at = performance.now();
    let result: RingWait["result"] = "failed";
    let give: ((place: number) => void) | undefined;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const turn = new Promise<number>((resolve, reject) => {
      this.#waiting.push((give = resolve));
      const ms = this.#timeoutMs;
      if (ms !== undefined) timer = after(ms, () => reject(this.#tooLate(ms)));
    });
    try {
      const place = await this.gpu.wait("waiting for a place in the ring", turn, options);
      result = "acquired";
      return place;
    } catch (e) {
      if (e instanceof SinterError && (e.code === "timeout" || e.code === "aborted")) result = e.code;
      const index = this.#waiting.indexOf(give!);
      if (index >= 0) this.#waiting.splice(index, 1);
      // The place came in the same moment: somebody else may have it.
      else void turn.then((place) => this.#pass(place)).catch(() => undefined);
      throw e;
    } finally {
      clearTimeout(timer);
      this.#note(at, result);
    }
  }

  #tooLate(ms: number): SinterError {
    return new SinterError({
      code: "timeout",
      message: `none of the ring's ${this.size} places was free within ${ms} ms`,
      cause: "as many pieces of work are on the device, and it is not done with any of them",
      hint: "raise timeoutMs, or submit less at a time",
    });
  }

  #note(at: number, result: RingWait["result"]): void {
    if (!this.#counting) return;
    const ms = performance.now() - at;
    this.#waits++;
    this.#waited += ms;
    this.#longest = Math.max(this.#longest, ms);
    this.#events.push({ at, ms, result });
    if (this.#events.length > this.#log) this.#events.shift();
  }

  /** Resolves when the device is done with all that was submitted, and every place is free. */
  async idle(options: WaitOptions = {}): Promise<void> {
    await this.gpu.idle(options);
    // Places are given back in promises of the same moment.
    while (this.#free.length < this.size && !this.gpu.ended) await this.gpu.idle(options);
  }

  /** A copy of what was counted; undefined where statistics are off. */
  get statistics(): RingStatistics | undefined {
    if (!this.#counting) return undefined;
    const acquisitions = this.#acquisitions;
    return {
      acquisitions,
      releases: this.#releases,
      leak: acquisitions - this.#releases,
      waits: this.#waits,
      averageWaitMs: this.#waits > 0 ? this.#waited / this.#waits : 0,
      longestWaitMs: this.#longest,
      reuseRate: acquisitions > 0 ? this.#reused / acquisitions : 0,
      events: [...this.#events],
    };
  }
}
