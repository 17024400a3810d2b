import type { Place } from "../../src/base/diagnostic.ts";

const digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/** A number in the base-64 VLQ of source maps. */
function vlq(n: number): string {
  let rest = n < 0 ? (-n << 1) | 1 : n << 1;
  let out = "";
  do {
    const digit = rest & 31;
    rest >>>= 5;
    out += digits[rest > 0 ? digit | 32 : digit];
  } while (rest > 0);
  return out;
}

export interface MappedSource {
  /** Path or URL. */
  readonly file: string;
  readonly text: string;
}

/**
 * A text with a source map at its end.
 * @param placeOf where a line, from 0, comes from in `source`; undefined for nowhere
 */
export function withSourceMap(
  code: string,
  source: MappedSource,
  placeOf: (line: number) => Pick<Place, "line" | "column"> | undefined,
): string {
  let [line, column] = [0, 0];
  const mappings = code.split("\n").map((_, i) => {
    const place = placeOf(i);
    if (!place) return "";
    const segment = [0, 0, place.line - 1 - line, place.column - 1 - column].map(vlq).join("");
    [line, column] = [place.line - 1, place.column - 1];
    return segment;
  });
  const map = {
    version: 3,
    sources: [source.file],
    sourcesContent: [source.text],
    names: [],
    mappings: mappings.join(";"),
  };
  const data = Buffer.from(JSON.stringify(map)).toString("base64");
  return `${code.replace(/\n$/, "")}\n//# sourceMappingURL=data:application/json;base64,${data}\n`;
}
