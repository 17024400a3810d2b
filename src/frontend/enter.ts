import { type Place, SinterError } from "../base/diagnostic.ts";
import { GraphBuilder } from "../ir/graph.ts";
import { callerPlace } from "./place.ts";

let active: GraphBuilder | undefined;

/**
 * Runs the body of a public function. The outermost one notes where the user called it: nodes made inside carry that
 * place and errors are raised with it.
 */
export function enter<T>(body: (b: GraphBuilder) => T): T {
  if (active) return body(active);
  const builder = new GraphBuilder(callerPlace(enter));
  active = builder;
  try {
    return body(builder);
  } catch (e) {
    throw e instanceof SinterError ? placed(e, builder.place) : e;
  } finally {
    active = undefined;
  }
}

/** The error with the place of the call, unless it has one of its own or none can be told. */
function placed(e: SinterError, call: Place | undefined): SinterError {
  const { place: own, ...rest } = e.diagnostic;
  const place = [own, call].find((p) => p && p.line > 0);
  return place === own ? e : new SinterError({ ...rest, ...(place ? { place } : {}) }, { cause: e });
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
