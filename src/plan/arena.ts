/** Memory that something needs from step `first` to step `last`, both included. */
export interface Span {
  readonly bytes: number;
  readonly first: number;
  readonly last: number;
}

/** Where each span lies: which arena, and its offset there. */
export interface Arenas {
  readonly at: readonly { readonly arena: number; readonly offset: number }[];
  /** Bytes of each arena. */
  readonly sizes: readonly number[];
}

/** The largest sum of bytes that are needed at one step: no arrangement takes less. */
export function leastBytes(spans: readonly Span[]): number {
  const change = new Map<number, number>();
  const add = (at: number, bytes: number): unknown => change.set(at, (change.get(at) ?? 0) + bytes);
  for (const s of spans) {
    add(s.first, s.bytes);
    add(s.last + 1, -s.bytes);
  }
  let live = 0;
  let most = 0;
  for (const [, bytes] of [...change].sort(([a], [b]) => a - b)) {
    live += bytes;
    most = Math.max(most, live);
  }
  return most;
}

/** Orders in which greedy placement does well: which is best depends on the program, so all are tried. */
const orders: readonly ((a: Span, b: Span) => number)[] = [
  (a, b) => b.bytes - a.bytes || a.first - b.first,
  (a, b) => b.bytes * length(b) - a.bytes * length(a) || a.first - b.first,
  (a, b) => length(b) - length(a) || b.bytes - a.bytes,
  (a, b) => a.first - b.first || b.bytes - a.bytes,
  (a, b) => b.last - a.last || b.bytes - a.bytes,
];
const length = (s: Span): number => s.last - s.first + 1;

/**
 * Offsets at which spans that are needed at one time do not overlap, in arenas of at most `limit` bytes: each span, in
 * several orders, at the lowest offset that is free while it is needed (Pisarchyk and Lee, "Efficient Memory Management
 * for Deep Neural Net Inference", 2020). Bytes are multiples of the alignment.
 */
export function arrange(spans: readonly Span[], limit: number): Arenas {
  const least = leastBytes(spans);
  let best: Arenas = { at: [], sizes: [] };
  let size = Number.POSITIVE_INFINITY;
  for (const order of orders) {
    const made = greedy(spans, order, limit);
    const bytes = made.sizes.reduce((n, b) => n + b, 0);
    if (bytes < size) [best, size] = [made, bytes];
    if (size === least) break;
  }
  return best;
}

interface Placed extends Span {
  readonly offset: number;
}

function greedy(spans: readonly Span[], order: (a: Span, b: Span) => number, limit: number): Arenas {
  const arenas: Placed[][] = [];
  const sizes: number[] = [];
  const at = new Map<Span, { arena: number; offset: number }>();
  for (const s of [...spans].sort(order)) {
    let arena = 0;
    let offset = lowest(arenas[arena] ?? [], s);
    while (offset + s.bytes > limit && (arenas[arena]?.length ?? 0) > 0) offset = lowest(arenas[++arena] ?? [], s);
    const list = arenas[arena] ?? [];
    arenas[arena] = list;
    insert(list, { ...s, offset });
    sizes[arena] = Math.max(sizes[arena] ?? 0, offset + s.bytes);
    at.set(s, { arena, offset });
  }
  return { at: spans.map((s) => at.get(s) as { arena: number; offset: number }), sizes };
}

/** The lowest free offset; `placed` is sorted by offset. */
function lowest(placed: readonly Placed[], s: Span): number {
  let offset = 0;
  for (const p of placed) {
    if (p.last < s.first || p.first > s.last) continue;
    if (p.offset - offset >= s.bytes) return offset;
    offset = Math.max(offset, p.offset + p.bytes);
  }
  return offset;
}

function insert(list: Placed[], p: Placed): void {
  let low = 0;
  for (let high = list.length; low < high; ) {
    const middle = (low + high) >> 1;
    if ((list[middle] as Placed).offset <= p.offset) low = middle + 1;
    else high = middle;
  }
  list.splice(low, 0, p);
}
