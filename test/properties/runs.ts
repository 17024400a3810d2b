import type fc from "fast-check";

const env = process.env;

/** A second adapter looks at a quarter as many: lavapipe needs ten times as long to compile a kernel. */
const share = env.SINTER_ADAPTER === "lavapipe" ? 0.25 : 1;

/** Seconds in which a failure is made smaller: on a software adapter that can take longer than the property did. */
const shrinkSeconds = Number(env.SINTER_SHRINK_SECONDS ?? 60);

/** Ends the search for smaller failures: what is tried later passes unseen. */
function shrinkForAWhile<T>(): fc.PluginInstance<T> {
  let until = Number.POSITIVE_INFINITY;
  const seen = <R extends object | null>(failure: R): R => {
    if (failure && "error" in failure) until = Math.min(until, Date.now() + 1000 * shrinkSeconds);
    return failure;
  };
  return {
    decorateRun: (run) => (value) => {
      if (Date.now() > until) return null;
      const result = run(value);
      return result instanceof Promise ? result.then(seen) : seen(result);
    },
  };
}

/**
 * Parameters of a property: `n` runs (times SINTER_RUNS) from SINTER_SEED or a fresh seed. fast-check prints the seed and the path
 * of a failure; giving both back as SINTER_SEED and SINTER_PATH runs it again.
 */
export function runs<T = unknown>(n: number): fc.Parameters<T> {
  const seed = env.SINTER_SEED ? Number(env.SINTER_SEED) : (Date.now() ^ (Math.random() * 2 ** 31)) | 0;
  return {
    numRuns: Math.max(1, Math.round(n * share * Number(env.SINTER_RUNS ?? 1))),
    seed,
    plugins: [shrinkForAWhile],
    ...(env.SINTER_PATH ? { path: env.SINTER_PATH } : {}),
  };
}
