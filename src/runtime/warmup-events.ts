import { SinterError } from "../base/diagnostic.ts";

interface WarmupProgress {
  /** Steps done; a kernel counts once compiled and once primed. */
  readonly completed: number;
  readonly total: number;
  /** The event in words, ready to show. */
  readonly text: string;
  readonly elapsedMs: number;
}

/** What a warm-up reports. The last event is `done`, `failed` or `aborted`, always. */
export type WarmupEvent = WarmupProgress &
  (
    | { readonly status: "start" | "done" }
    | { readonly status: "compiling" | "compiled" | "priming" | "primed"; readonly kernel: string }
    | { readonly status: "warning"; readonly kernel: string; readonly error: SinterError }
    | { readonly status: "failed" | "aborted"; readonly error: SinterError }
  );

type EventHead = WarmupEvent extends infer E ? (E extends WarmupEvent ? Omit<E, keyof WarmupProgress> : never) : never;

/** @internal Tells the listener of an event; `step` counts towards the total, `more` is added to it. */
export type Report = (event: EventHead, text: string, step?: number, more?: number) => void;

const last: ReadonlySet<string> = new Set(["done", "failed", "aborted"]);

/** @internal */
export function reporter(steps: number, listener: ((event: WarmupEvent) => void) | undefined): Report {
  const started = performance.now();
  let completed = 0;
  let total = steps;
  let listening = listener;
  return (event, text, step = 0, more = 0) => {
    completed += step;
    total += more;
    const progress = { completed, total, text, elapsedMs: performance.now() - started };
    const listen = listening;
    // Compilations still under way when one fails report nothing after the last event.
    if (last.has(event.status)) listening = undefined;
    try {
      listen?.({ ...event, ...progress } as WarmupEvent);
    } catch (e) {
      listening = undefined;
      throw new SinterError(
        {
          code: "bad-option",
          message: "the function given as onProgress threw",
          cause: String((e as Error)?.message ?? e),
          hint: "catch what it may throw inside it",
        },
        { cause: e },
      );
    }
  };
}
