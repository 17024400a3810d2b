import type { Kernel } from "./kernel.ts";

/** One way to write the kernel of a region. */
export interface Candidate {
  /** The kernel's variant: tells the region's candidates apart, and is what a tuning table calls it. */
  readonly name: string;
  write(): Kernel;
}

/** Candidates without those whose name an earlier one has. */
export function distinct(list: readonly Candidate[]): readonly Candidate[] {
  const byName = new Map<string, Candidate>();
  for (const c of list) if (!byName.has(c.name)) byName.set(c.name, c);
  return [...byName.values()];
}
