/** After what is under way: other events are heard first. */
export const nextTurn = (): Promise<void> => new Promise((resolve) => setTimeout(resolve));

/** Timers wait 2^31 - 1 ms at most, 25 days, and what is longer not at all. */
const longest = 2 ** 31 - 1;

/** Calls `late` after so many milliseconds; never where that is longer than timers can wait. */
export const after = (ms: number, late: () => void): ReturnType<typeof setTimeout> | undefined =>
  ms > longest ? undefined : setTimeout(late, ms);
