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

/** Pipelines that Dawn in Node is given at a time: it works on two, and two wait their turn. */
const handedOver = 4;
/** What drivers that have not seen a text take, in milliseconds a character; where they have it is a tenth, and hardly less than a few. */
const coldMs = 0.01;
const fewMs = 5;
/** In a row: one alone may have met a garbage collection. */
const strikes = 2;
/** What is worth a further device, in milliseconds of compiling for each that is there: opening one takes 70. */
const worthOpening = 160;

/** Has the driver had to compile this, rather than find it in its cache? */
const wasCompiled = ({ wgsl }: KernelSpec, ms: number): boolean => ms > fewMs + 0.3 * coldMs * wgsl.length;

/**
 * Divides what is to be compiled where WebGPU has few threads of its own for that, however many cores there are: Dawn in Node
 * has two a device. The longest texts go to those, the shortest to the calling thread. Where the shortest show that the
 * driver has not seen them, other devices are opened, which share the work: each compiles a text, and the session's own device
 * then finds it in the driver's cache. They are closed when nothing is left to begin; and where that cache turns out not to
 * be shared they are not asked again.
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
  /** What this thread has compiled since there was nothing to do, and how many of the last of them the driver had not seen. */
  #tried = 0;
  #unseen = 0;
  #helping = false;
  readonly #helpers = new Set<Helper>();
  #opening = false;
  /** Was something that a helper had compiled in the cache, and how often not? */
  #proven = false;
  #missed = 0;

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

  #deal(): void {
    // None should wait for the device's own threads where others are to be had, and until that is known.
    const unknown = this.#help !== undefined && this.#tried < strikes && this.#unseen === this.#tried;
    const most = this.#ended() ? Number.POSITIVE_INFINITY : this.#helping || unknown ? 1 : handedOver;
    while (this.#own < most && this.#queue.length > 0) {
      const job = this.#queue.shift() as Job;
      this.#own++;
      this.#finish(job, job.compile(false), () => this.#own--);
    }
    if (this.#helping) this.#share();
    if (!this.#helping && this.#here === 0 && this.#queue.length > 0) this.#compileHere(this.#queue.pop() as Job);
    if (this.#queue.length === 0) this.#closeIdle();
  }

  #finish(job: Job, result: Promise<unknown>, free: () => unknown): void {
    job.settle(result);
    const next = (): void => {
      free();
      if (--this.#pending === 0) {
        this.#tried = this.#unseen = 0;
        this.#helping = false;
      }
      this.#soon();
    };
    result.then(next, next);
  }

  #compileHere(job: Job): void {
    this.#here++;
    const began = performance.now();
    const result = job.compile(true);
    this.#tried++;
    this.#unseen = wasCompiled(job.kernel, performance.now() - began) ? this.#unseen + 1 : 0;
    this.#helping = this.#unseen >= strikes && this.#wanted();
    this.#finish(job, result, () => this.#here--);
  }

  /** Would another helper be opened for what waits? */
  #wanted(): boolean {
    const { size } = this.#helpers;
    const waiting = coldMs * this.#queue.reduce((n, j) => n + compileCost(j.kernel), 0);
    return size < (this.#help?.most ?? 0) && waiting > worthOpening * (size + 1);
  }

  /** Gives helpers what is longest, but the first one what is shortest: it shows whether they help. */
  #share(): void {
    const free = [...this.#helpers].filter((h) => !h.busy);
    const trying = free.length === this.#helpers.size ? 1 : 0;
    for (const h of this.#proven ? free : free.slice(0, trying)) {
      const job = this.#proven ? this.#queue.shift() : this.#queue.pop();
      if (job) this.#compileBy(h, job);
    }
    if (this.#opening || (!this.#proven && this.#helpers.size > 1)) return;
    if (this.#wanted()) this.#openOne();
    else if (this.#helpers.size === 0) this.#helping = false;
  }

  #openOne(): void {
    this.#opening = true;
    const add = (device: GPUDevice): void => {
      device.addEventListener("uncapturederror", (e) => e.preventDefault?.());
      this.#helpers.add({ device, layouts: new Map(), busy: false });
    };
    const done = (): void => {
      this.#opening = false;
      this.#soon();
    };
    this.#help
      ?.open()
      .then(add, () => this.#stop())
      .then(done);
  }

  #compileBy(h: Helper, job: Job): void {
    h.busy = true;
    const began = performance.now();
    const made = this.#create(h, job.kernel).then(
      () => true,
      () => false,
    );
    const result = Promise.race([made, h.device.lost.then(() => false)]).then((done) => {
      h.busy = false;
      const known = !wasCompiled(job.kernel, performance.now() - began);
      if (known && !this.#proven) {
        this.#unseen = 0;
        this.#helping = false;
      }
      // Before this thread is busy.
      if (this.#proven) this.#deal();
      // Where it failed the session's own device says why.
      return done ? this.#find(job) : job.compile(false);
    });
    this.#finish(job, result, () => undefined);
  }

  async #create({ device, layouts }: Helper, kernel: KernelSpec): Promise<void> {
    const module = device.createShaderModule({ code: kernel.wgsl });
    const descriptor = descriptorOf(kernel, module, layoutsFor(device, kernel.bindings, layouts));
    await paced(() => device.createComputePipelineAsync(descriptor));
  }

  /** By this thread: the device's own ones are busy for long. */
  #find({ kernel, compile }: Job): Promise<unknown> {
    const began = performance.now();
    const result = compile(true);
    if (!wasCompiled(kernel, performance.now() - began)) this.#proven = true;
    else if (!this.#proven && ++this.#missed >= strikes) this.#stop();
    this.#soon();
    return result;
  }

  /** Helpers help no more. */
  #stop(): void {
    this.#helping = false;
    this.#help = undefined;
    this.#closeIdle();
  }

  #closeIdle(): void {
    for (const h of this.#helpers) {
      if (h.busy) continue;
      this.#helpers.delete(h);
      h.device.destroy();
    }
  }
}
