/** The first key that an object of a valid JSON text has twice, which `JSON.parse` passes over; undefined when there is none. */
export function repeatedKey(json: string): string | undefined {
  /** Keys of each object around the place that is being read; null for an array. */
  const open: (Set<string> | null)[] = [];
  for (let i = 0; i < json.length; i++) {
    const c = json[i];
    if (c === "{") open.push(new Set());
    else if (c === "[") open.push(null);
    else if (c === "}" || c === "]") open.pop();
    else if (c === '"') {
      const end = stringEnd(json, i);
      const keys = open.at(-1);
      if (keys && followedByColon(json, end)) {
        const key = JSON.parse(json.slice(i, end)) as string;
        if (keys.has(key)) return key;
        keys.add(key);
      }
      i = end - 1;
    }
  }
  return undefined;
}

/** The index after the string that begins at `from`. */
function stringEnd(json: string, from: number): number {
  let i = from + 1;
  while (json[i] !== '"') i += json[i] === "\\" ? 2 : 1;
  return i + 1;
}

function followedByColon(json: string, from: number): boolean {
  let i = from;
  while (" \t\r\n".includes(json[i] ?? "")) i++;
  return json[i] === ":";
}
