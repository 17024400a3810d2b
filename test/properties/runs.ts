import type fc from "fast-check";

const env = process.env;

/** A second adapter looks at a third as many: lavapipe needs ten times as long to compile a kernel. */
const share = env.SINTER_ADAPTER === "lavapipe" ? 0.35 : 1;

/**
 * Parameters of a property: `n` runs (times SINTER_RUNS) from SINTER_SEED or a fresh seed. fast-check prints the seed and the path
 * of a failure; giving both back as SINTER_SEED and SINTER_PATH runs it again.
 */
export function runs<T = unknown>(n: number): fc.Parameters<T> {
  const seed = env.SINTER_SEED ? Number(env.SINTER_SEED) : (Date.now() ^ (Math.random() * 2 ** 31)) | 0;
  return {
    numRuns: Math.max(1, Math.round(n * share * Number(env.SINTER_RUNS ?? 1))),
    seed,
    ...(env.SINTER_PATH ? { path: env.SINTER_PATH } : {}),
  };
}
