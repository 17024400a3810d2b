import type { Region } from "../fuse/region.ts";

// What the structure of a text may follow from, where the text is for all sizes: not from how the sizes at hand divide.
// In kernels of known sizes each of these gives its argument back.

/** Whether something holds at all the sizes that the text is made from. */
export const always = ({ uniform }: Pick<Region, "uniform">, holds: boolean): boolean =>
  uniform?.always(holds) ?? holds;

/** The least of what the sizes that the text is made from allow. */
export const least = ({ uniform }: Pick<Region, "uniform">, n: number): number => uniform?.least(n) ?? n;

/** What suits the sizes that the schedule is for, and is right for all. `key` tells the choices of a kernel apart. */
export const settled = <T>({ uniform }: Pick<Region, "uniform">, key: string, value: T): T =>
  uniform ? uniform.settled(key, value) : value;
