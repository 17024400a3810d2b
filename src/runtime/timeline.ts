/** What a span of a profile's timeline was spent on; `GPU` alone is the device's own time. */
export type Lane = "trace" | "compile" | "encode" | "GPU" | "readback";
const lanes: readonly Lane[] = ["trace", "compile", "encode", "GPU", "readback"];

/** Something that took time, in milliseconds of `performance.now()`. */
export interface Span {
  readonly lane: Lane;
  readonly name: string;
  readonly began: number;
  readonly ended: number;
  /** Shown beside it: numbers and texts by name. */
  readonly details?: Readonly<Record<string, string | number>>;
}

/**
 * Spans in the Trace Event Format, which Perfetto (ui.perfetto.dev) and chrome://tracing open: one lane each, microseconds from the
 * first span on. Every lane is there, also one without spans.
 */
export function chromeTrace(spans: readonly Span[]): { readonly traceEvents: readonly object[] } {
  const zero = spans.reduce((least, s) => Math.min(least, s.began), Number.POSITIVE_INFINITY);
  const named = (name: string, tid: number, text: string): object => ({
    ...{ ph: "M", pid: 1, tid, name, args: { name: text } },
  });
  return {
    traceEvents: [
      named("process_name", 0, "Sinter"),
      ...lanes.flatMap((lane, i) => [
        named("thread_name", i + 1, lane),
        { ph: "M", pid: 1, tid: i + 1, name: "thread_sort_index", args: { sort_index: i } },
      ]),
      ...spans.map((s) => ({
        ...{ ph: "X", pid: 1, tid: lanes.indexOf(s.lane) + 1, cat: s.lane, name: s.name },
        ts: (s.began - zero) * 1000,
        dur: Math.max(0, s.ended - s.began) * 1000,
        ...(s.details && { args: s.details }),
      })),
    ],
  };
}
