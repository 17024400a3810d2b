export const withArticle = (name: string): string => `${/^(?!Uint)[AEIOU]/.test(name) ? "an" : "a"} ${name}`;

/** A value in a message. */
export function describe(v: unknown): string {
  if (typeof v === "string") return `the text ${JSON.stringify(v.length > 40 ? `${v.slice(0, 40)}…` : v)}`;
  if (typeof v === "function") return "a function";
  if (typeof v !== "object" || v === null) return String(v);
  if (Array.isArray(v)) return "a list";
  const name = (Object.getPrototypeOf(v) as { constructor?: { name?: string } } | null)?.constructor?.name;
  return name && name !== "Object" ? withArticle(name) : "an object";
}
