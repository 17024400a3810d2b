import { SinterError } from "../base/diagnostic.ts";
import { GraphBuilder } from "../ir/graph.ts";
import { callerPlace } from "./place.ts";

let active: GraphBuilder | undefined;

/**
 * Runs the body of a public function. The outermost one notes where the user called it: nodes made inside carry that
 * place and errors are raised with it.
 */
export function enter<T>(body: (b: GraphBuilder) => T): T {
  if (active) return body(active);
  const builder = new GraphBuilder(callerPlace());
  active = builder;
  try {
    return body(builder);
  } catch (e) {
    const place = builder.place;
    if (place && e instanceof SinterError && !e.diagnostic.place) {
      throw new SinterError({ ...e.diagnostic, place }, { cause: e });
    }
    throw e;
  } finally {
    active = undefined;
  }
}

/** Runs a function of the user's from inside {@link enter}: what it calls has its own places. */
export function leave<T>(body: () => T): T {
  const outer = active;
  active = undefined;
  try {
    return body();
  } finally {
    active = outer;
  }
}
