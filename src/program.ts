import { type Trace, type Traced, type TraceOptions, trace } from "./frontend/trace.ts";
import type { Graph } from "./ir/graph.ts";
import { print } from "./ir/print.ts";

export interface CompileOptions<S> extends TraceOptions<S> {
  /** Which fusions to make: those that pay by measurement (`profit`, default), all that are legal, or none. */
  readonly fuse?: "profit" | "legal" | "off";
}

/** A tensor program: traced once, loaded onto any number of devices. */
export class Program<S = unknown, R = unknown> {
  /** The traced graph; named dims are unbound. */
  readonly graph: Graph;
  readonly options: CompileOptions<S>;
  readonly #trace: Trace;
  declare readonly result: R;

  constructor(traced: Trace, options: CompileOptions<S>) {
    this.graph = traced.graph;
    this.#trace = traced;
    this.options = options;
  }

  /** The text form of the graph. */
  toString(): string {
    return print(this.graph);
  }
}

/**
 * Traces `fn` once with symbolic tensors for `specs` and returns the program. `specs` is a nested object or array of
 * specs; `fn` gets the same tree of tensors and returns a tensor or a tree of tensors.
 */
export function compile<const S, R>(
  specs: S,
  fn: (inputs: Traced<S>) => R,
  options: CompileOptions<S> = {},
): Program<S, R> {
  return new Program<S, R>(trace(specs, fn, options), options);
}
