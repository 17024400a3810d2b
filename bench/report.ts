import type { Comparison } from "./measure.ts";
import type { Device } from "./saved.ts";

/** One line of a benchmark. */
export interface Row {
  readonly name: string;
  readonly shape: string;
  readonly comparison?: Comparison;
  /** Other figures, in milliseconds where the name ends in `_ms`. */
  readonly figures?: Readonly<Record<string, number>>;
}

export interface Result {
  readonly bench: string;
  readonly adapter: string;
  readonly rows: readonly Row[];
}

/** What a benchmark of such lines delivers. */
export const rowsFound = (bench: string, device: Device, rows: readonly Row[]) => {
  const result: Result = { bench, adapter: device.text, rows };
  return { bench, device, result, text: resultText(result) };
};

/** The result as a table: medians in milliseconds, and how many times faster the first is. */
export function resultText({ bench, adapter, rows }: Result): string {
  const cells = rows.map((r) => [r.name, r.shape, ...figureCells(r)]);
  const widths = Array.from({ length: Math.max(...cells.map((c) => c.length)) }, (_, i) =>
    Math.max(...cells.map((c) => (c[i] ?? "").length)),
  );
  const lines = cells.map((c) =>
    c
      .map((text, i) => text.padEnd(widths[i] as number))
      .join("  ")
      .trimEnd(),
  );
  return [`${bench} on ${adapter}`, ...lines].join("\n");
}

function figureCells({ comparison: c, figures = {} }: Row): string[] {
  const compared = c
    ? [
        `${c.a.label} ${ms(c.a.median_ms)}`,
        `${c.b.label} ${ms(c.b.median_ms)}`,
        `${c.ratio.toFixed(2)}x (${c.spread[0].toFixed(2)} to ${c.spread[1].toFixed(2)} in ${c.pairs} pairs)`,
      ]
    : [];
  const others = Object.entries(figures).map(([name, v]) =>
    name.endsWith("_ms") ? `${name.slice(0, -3)} ${ms(v)}` : `${name} ${Number(v.toPrecision(4))}`,
  );
  return [...compared, ...others];
}

const ms = (t: number): string => `${t >= 100 ? t.toFixed(0) : t.toPrecision(3)} ms`;
