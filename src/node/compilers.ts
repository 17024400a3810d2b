import { setImmediate } from "node:timers";
import type { KernelSpec } from "../manifest/manifest.ts";
import { type CompileQueue, compileCost, descriptorOf, type KnownLayouts, layoutsFor } from "../runtime/compiling.ts";
import { paced } from "./pace.ts";

/** Other devices of the same adapter. What they compile the driver's cache has when the session's own device asks for it. */
export interface CompileHelp {
  /** Devices at a time. */
  readonly most: number;
  open(): Promise<GPUDevice>;
}

interface Job {
  readonly kernel: KernelSpec;
  /** On the session's own device. */
  compile(here: boolean): Promise<unknown>;
  /** Settles for whoever waits for the kernel. */
  settle(result: Promise<unknown>): void;
}

interface Helper {
  readonly device: GPUDevice;
  readonly layouts: KnownLayouts;
  busy: boolean;
}

/** A kernel that the driver had to compile here, and the milliseconds that took. */
interface Unseen {
  readonly kernel: KernelSpec;
  readonly ms: number;
}

/** Pipelines that Dawn in Node is given at a time: it works on two, and two wait their turn. */
const handedOver = 4;
/** What drivers that have not seen a text take, in milliseconds a character; where they have it is a tenth, and hardly less than a few. */
const coldMs = 0.01;
const fewMs = 5;
/** In a row: one alone may have met a garbage collection. */
const strikes = 2;
/** What is worth a further device, in milliseconds of compiling for each that is there: opening one takes 70. */
const worthOpening = 160;
/** Milliseconds that a look into the cache may take, as the calling thread opens devices meanwhile. */
const leastMiss = 100;
/** Milliseconds that helpers with nothing to do are kept: closing one takes 30, which should be none of the first steps'. */
const keptFor = 10_000;

/** Has the driver had to compile this, rather than find it in its cache? */
const wasCompiled = ({ wgsl }: KernelSpec, ms: number): boolean => ms > fewMs + 0.3 * coldMs * wgsl.length;

/** After other events of this turn. */
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/**
 * Divides what is to be compiled where WebGPU has few threads of its own for that, however many cores there are: Dawn in Node
 * has two a device. The longest texts go to those, the shortest to the calling thread. Where the shortest show that the
 * driver has not seen them, other devices are opened, which share the work: each compiles a text, and the session's own device
 * then finds it in the driver's cache. Where they do not find there what this thread has compiled, they are of no use. They are
 * closed when the device is, or some time after there was nothing left to begin.
 */
export class Compilers implements CompileQueue {
  readonly #ended: () => boolean;
  #help: CompileHelp | undefined;
  /** Longest first. */
  readonly #queue: Job[] = [];
  #pumping = false;
  /** Jobs that the device's own threads have, that this thread has, and all that are not done. */
  #own = 0;
  #here = 0;
  #pending = 0;
  /** What this thread has compiled since there was nothing to do, and those of the last of them that the driver had not seen. */
  #tried = 0;
  #unseen: readonly Unseen[] = [];
  /** Those that made it ask for help. */
  #samples: readonly Unseen[] = [];
  #helping = false;
  readonly #helpers = new Set<Helper>();
  #opening = 0;
  #trying = false;
  /** Has a helper found in the driver's cache what this thread had compiled? */
  #proven = false;
  /** How many of the last things that helpers had compiled were not there. */
  #missed = 0;
  /** When the last thing that a helper has compiled is looked for. */
  #finds: Promise<void> = Promise.resolve();
  #timer: NodeJS.Timeout | undefined;

  /** `ended`: whether the session's device is gone. */
  constructor(help: CompileHelp | undefined, ended: () => boolean) {
    this.#help = help;
    this.#ended = ended;
  }

  get concurrency(): number {
    return handedOver + this.short + (this.#help?.most ?? 0);
  }

  readonly short = 4;

  compile<T>(kernel: KernelSpec, compile: (here: boolean) => Promise<T>): Promise<T> {
    return new Promise<T>((resolve) => {
      const settle = (result: Promise<unknown>): void => resolve(result as Promise<T>);
      const at = this.#queue.findIndex((j) => compileCost(j.kernel) < compileCost(kernel));
      this.#queue.splice(at < 0 ? this.#queue.length : at, 0, { kernel, compile, settle });
      this.#pending++;
      this.#soon();
    });
  }

  /** Whoever asks for several kernels at once has asked for all of them when it is decided which is whose. */
  #soon(): void {
    if (this.#pumping) return;
    this.#pumping = true;
    queueMicrotask(() => {
      this.#pumping = false;
      this.#deal();
    });
  }

  /** None should wait for the device's own threads where others are to be had, and until that is known. */
  get #unknown(): boolean {
    return this.#help !== undefined && this.#tried < strikes && this.#unseen.length === this.#tried;
  }

  #deal(): void {
    this.#handOver();
    // Unless helpers keep this thread busy.
    const helped = (): boolean => this.#trying || (this.#helping && this.#helpers.size > 0);
    const free = (): boolean => !helped() && this.#here < (this.#unknown ? strikes : 1);
    while (free() && this.#queue.length > 0) this.#compileHere(this.#queue.pop() as Job);
    this.#handOver();
    if (this.#helping) this.#share();
    if (this.#queue.length > 0) return;
    if (this.#ended()) this.#closeIdle();
    else if (this.#pending === 0) this.#closeLater();
  }

  /** The longest to the device's own threads. */
  #handOver(): void {
    const most = this.#ended() ? Number.POSITIVE_INFINITY : this.#helping || this.#unknown ? 1 : handedOver;
    while (this.#own < most && this.#queue.length > 0) {
      const job = this.#queue.shift() as Job;
      this.#own++;
      this.#finish(job, job.compile(false), () => this.#own--);
    }
  }

  /** `free` is called when `until` has settled. */
  #finish(job: Job, result: Promise<unknown>, free: () => unknown, until = result): void {
    job.settle(result);
    const next = (): void => {
      free();
      if (--this.#pending === 0) {
        this.#tried = 0;
        this.#unseen = [];
        this.#helping = false;
      }
      this.#soon();
    };
    until.then(next, next);
  }

  #compileHere(job: Job): void {
    const { kernel } = job;
    this.#here++;
    const began = performance.now();
    const result = job.compile(true);
    const ms = performance.now() - began;
    this.#tried++;
    this.#unseen = wasCompiled(kernel, ms) ? [...this.#unseen, { kernel, ms }].slice(-strikes) : [];
    if (!this.#helping && this.#unseen.length >= strikes && (this.#helpers.size > 0 || this.#wanted())) {
      this.#helping = true;
      this.#samples = this.#unseen;
    }
    // Others are heard before this thread is busy again.
    const heard = result.then(turn, turn);
    this.#finish(job, result, () => this.#here--, heard);
  }

  /** Would another helper be opened for what waits? */
  #wanted(): boolean {
    const size = this.#helpers.size + this.#opening;
    const waiting = coldMs * this.#queue.reduce((n, j) => n + compileCost(j.kernel), 0);
    return !this.#ended() && size < (this.#help?.most ?? 0) && waiting > worthOpening * (size + 1);
  }

  #share(): void {
    for (const h of this.#helpers) {
      const job = h.busy ? undefined : this.#queue.shift();
      if (job) this.#finish(job, this.#compileBy(h, job), () => undefined);
    }
    // One after the other: each takes the calling thread's time, and those that are there should have something to do.
    if (this.#help && this.#opening === 0 && this.#wanted()) this.#open(this.#help);
    this.#helping = this.#helpers.size + this.#opening > 0;
  }

  #open(help: CompileHelp): void {
    this.#opening++;
    const admit = async (): Promise<void> => {
      const device = await help.open();
      device.addEventListener("uncapturederror", (e) => e.preventDefault?.());
      const h: Helper = { device, layouts: new Map(), busy: false };
      // Nothing else meanwhile: it goes by the time that it takes.
      this.#trying = !this.#proven;
      this.#proven ||= await this.#shares(h);
      if (this.#proven && !this.#ended()) this.#helpers.add(h);
      else device.destroy();
      await turn();
    };
    // Others would be as useless.
    const fail = (): void => {
      this.#proven = false;
    };
    const done = (): void => {
      this.#opening--;
      this.#trying = false;
      if (!this.#proven) this.#help = undefined;
      this.#soon();
    };
    admit().catch(fail).then(done);
  }

  /** Does a helper find in the driver's cache what this thread has compiled? One of them alone may have met a garbage collection. */
  async #shares(h: Helper): Promise<boolean> {
    let known = false;
    for (const { kernel, ms } of this.#samples) {
      const began = performance.now();
      await this.#create(h, kernel);
      known ||= performance.now() - began < Math.max(fewMs, ms / 2);
    }
    return known;
  }

  async #create({ device, layouts }: Helper, kernel: KernelSpec): Promise<void> {
    const module = device.createShaderModule({ code: kernel.wgsl });
    const descriptor = descriptorOf(kernel, module, layoutsFor(device, kernel.bindings, layouts));
    await paced(() => device.createComputePipelineAsync(descriptor));
  }

  async #compileBy(h: Helper, job: Job): Promise<unknown> {
    h.busy = true;
    const began = performance.now();
    const made = this.#create(h, job.kernel).then(
      () => true,
      () => false,
    );
    const done = await Promise.race([made, h.device.lost.then(() => false)]);
    h.busy = false;
    this.#soon();
    // Where it failed the session's own device says why.
    if (!done) return job.compile(false);
    const ms = performance.now() - began;
    // One at a time: other helpers that are done get something else to do first.
    const found = this.#finds.then(turn);
    this.#finds = found;
    await found;
    return this.#find(job, ms);
  }

  /** Short ones by this thread, without delay; what takes longer by one of the device's own: the other is busy. */
  #find({ compile }: Job, helperMs: number): Promise<unknown> {
    const began = performance.now();
    const result = compile(helperMs < leastMiss);
    const look = (): void => {
      const missed = performance.now() - began > Math.max(leastMiss, 0.6 * helperMs);
      this.#missed = missed ? this.#missed + 1 : 0;
      if (this.#missed > strikes) this.#stop();
    };
    result.then(look, look);
    return result;
  }

  /** Helpers help no more. */
  #stop(): void {
    this.#helping = false;
    this.#help = undefined;
    this.#closeIdle();
  }

  close(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.#closeIdle();
  }

  #closeIdle(most = this.#helpers.size): void {
    for (const h of [...this.#helpers].filter((x) => !x.busy).slice(0, most)) {
      this.#helpers.delete(h);
      h.device.destroy();
    }
  }

  /** Closes helpers when they had nothing to do for a while, one at a time. */
  #closeLater(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
    if (this.#helpers.size === 0) return;
    const until = performance.now() + keptFor;
    this.#timer = setInterval(() => {
      if (performance.now() < until) return;
      this.#closeIdle(1);
      if (this.#helpers.size === 0) this.close();
    }, 500);
    this.#timer.unref();
  }
}
