/** Polls of a wait before the first pause: most waits that are no step of a program end within them. */
const atOnce = 4;
/** A pause is this part of the time waited so far, and at most `longest` milliseconds: what it costs a wait stays below 2 %. */
const part = 1 / 64;
const longest = 0.25;

const nobody = new Int32Array(new SharedArrayBuffer(4));

/**
 * Makes a call to Dawn that waits for the device. As long as a promise is pending, Dawn's module for Node asks for news from one
 * `setImmediate` to the next: hundreds of thousands of times a second, each with a new function that the garbage collector has
 * to finalise, which took 7 to 12 % of the time of training. Here the thread sleeps between two questions.
 *
 * The module looks `setImmediate` up when it calls it, so another one is there during this call and during the polls that
 * follow from it, and at no other time.
 */
export const paced = <T>(call: () => T): T => during(call, { began: performance.now(), polls: 0 });

interface Wait {
  readonly began: number;
  polls: number;
}

function during<T>(call: () => T, wait: Wait): T {
  const usual = globalThis.setImmediate;
  const later = (poll: (...args: unknown[]) => void, ...args: unknown[]) =>
    usual(() => {
      if (++wait.polls > atOnce) Atomics.wait(nobody, 0, 0, Math.min(longest, (performance.now() - wait.began) * part));
      during(() => poll(...args), wait);
    });
  globalThis.setImmediate = later as typeof setImmediate;
  try {
    return call();
  } finally {
    globalThis.setImmediate = usual;
  }
}
