/** Backgrounds of the 256-colour palette from far to near, dark to bright, so that brightness alone tells the order. */
const ramp = [17, 18, 24, 30, 36, 72, 108, 144, 180, 221, 227];
const shades = [" ", "░", "▒", "▓", "█"];

/** Letters that name rows and columns: a-z, then A-Z, then numbers. */
const rowName = (index: number): string =>
  index < 26 ? String.fromCharCode(97 + index) : index < 52 ? String.fromCharCode(39 + index) : String(index);

/** Position of a value in a scale of `steps` from `low` to 1; 0 for what is below and for NaN. */
const step = (value: number, low: number, steps: number): number =>
  Math.max(0, Math.min(steps - 1, Math.floor(((value - low) / (1 - low)) * steps))) || 0;

/**
 * A square matrix of similarities as lines of text: one row and one column a sentence, two digits a cell (`84` is 0.84,
 * `1.` is 1, `-3` is -0.03), on a coloured ground or beside a shade. The scale runs from 0, or the smallest value if
 * that is negative, to 1.
 */
export function heatmap(matrix: readonly (readonly number[])[], names: readonly string[], colour: boolean): string[] {
  const low = Math.min(0, ...matrix.flat());
  const digits = (v: number): string => {
    const hundredths = Math.round(v * 100);
    if (!Number.isFinite(hundredths)) return "??";
    return hundredths > 99
      ? "1."
      : hundredths < 0
        ? `-${Math.min(9, -hundredths)}`
        : String(hundredths).padStart(2, "0");
  };
  const cell = (v: number): string =>
    colour
      ? `\u001b[48;5;${ramp[step(v, low, ramp.length)]};38;5;${step(v, low, ramp.length) < 6 ? 255 : 16}m ${digits(v)} \u001b[0m`
      : ` ${digits(v)}${shades[step(v, low, shades.length)]}`;
  const head = `   ${matrix.map((_, i) => ` ${rowName(i).padStart(2)} `).join("")}`;
  return [head, ...matrix.map((row, i) => `${rowName(i).padStart(2)} ${row.map(cell).join("")}  ${names[i] ?? ""}`)];
}
