import type { Node } from "../ir/graph.ts";
import { coefOf, dependsOn, divisibleBy, type Index, int, substitute } from "../ir/index-expr.ts";

/** A segment of a `segments` row that has elements, and where it begins. */
export interface SegmentStart {
  readonly segment: number;
  readonly start: number;
}

export function segmentStarts(node: Node): readonly SegmentStart[] {
  let end = 0;
  return (node.attrs.sizes as readonly number[]).flatMap((n, segment) => {
    const start = end;
    end += n;
    return n > 0 ? [{ segment, start }] : [];
  });
}

/** The index without its lane where no vector reaches from one segment into the next: all lanes have one number then. */
export function sharedByLanes(starts: readonly SegmentStart[], index: readonly Index[], width: number): Index[] {
  const [i] = index as [Index];
  const first = substitute(i, "lane", int(0));
  const whole =
    dependsOn(i, "lane") &&
    coefOf(i, "lane") === 1 &&
    divisibleBy(first, width) &&
    starts.every((s) => s.start % width === 0);
  return [whole ? first : i];
}

/** A function that finds the segment of an element by bisection. */
export function segmentSearch(name: string, starts: readonly SegmentStart[]): string {
  const search = (list: readonly SegmentStart[]): string => {
    if (list.length <= 1) return `return ${list[0]?.segment ?? 0}u;`;
    const half = list.length >> 1;
    return `if (i < ${list[half]?.start}u) { ${search(list.slice(0, half))} } else { ${search(list.slice(half))} }`;
  };
  return `fn ${name}(i: u32) -> u32 {\n  ${search(starts)}\n}`;
}
