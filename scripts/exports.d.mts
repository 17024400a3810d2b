export const root: string;
interface Entry {
  readonly path: string;
  readonly node: string;
  readonly browser: string;
}
export const entries: readonly Entry[];
export function expandedEntries(): Entry[];
export function sourceFor(path: string, platform?: "node" | "browser"): string | undefined;
