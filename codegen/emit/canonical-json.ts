/**
 * Plain data as JSON in the one form that equal data have: keys sorted, two spaces, LF, and what fits on a line on one.
 * Undefined members are left out.
 */
export const canonicalJson = (value: unknown): string => `${write(value, "")}\n`;

const width = 160;

function write(value: unknown, indent: string): string {
  if (typeof value !== "object" || value === null) return JSON.stringify(value ?? null);
  const inner = `${indent}  `;
  const list = Array.isArray(value);
  const items = list
    ? value.map((v) => write(v, inner))
    : Object.keys(value)
        .sort()
        .filter((k) => (value as Readonly<Record<string, unknown>>)[k] !== undefined)
        .map((k) => `${JSON.stringify(k)}: ${write((value as Readonly<Record<string, unknown>>)[k], inner)}`);
  const [open, close] = list ? "[]" : "{}";
  if (items.length === 0) return `${open}${close}`;
  const space = list ? "" : " ";
  const length = items.reduce((n, item) => n + item.length + 2, indent.length);
  if (length <= width && !items.some((item) => item.includes("\n"))) {
    return `${open}${space}${items.join(", ")}${space}${close}`;
  }
  return `${open}\n${inner}${items.join(`,\n${inner}`)}\n${indent}${close}`;
}
