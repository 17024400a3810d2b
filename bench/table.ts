/** Columns of text: the first `left` begin at the left, the others end at the right. */
export function tableText(head: readonly string[], lines: readonly (readonly string[])[], left: number): string {
  const all = [head, ...lines];
  const widths = head.map((_, c) => Math.max(...all.map((cells) => (cells[c] ?? "").length)));
  const pad = (text: string, c: number): string =>
    c < left ? text.padEnd(widths[c] as number) : text.padStart(widths[c] as number);
  return all.map((cells) => cells.map(pad).join("  ").trimEnd()).join("\n");
}
