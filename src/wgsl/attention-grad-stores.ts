import { add, type Index, indexText, int, scale, variable } from "../ir/index-expr.ts";
import { pairAt } from "./attention-grad.ts";
import { columnsOf, lanes, pitch, type Sum, type Tiling } from "./attention-grad-steps.ts";
import { provideResult, storeAside, storeAt } from "./attention-parts.ts";
import { lane, type Value } from "./emitter.ts";

/** lse and delta of the own queries, stored by the first of the invocations that share them. */
export function storeRows({ frame, s, lead, own, roles }: Tiling, lse: string): void {
  const { e } = frame;
  for (let i = 0; i < 4; i++) {
    const r = add(own.at, int(i));
    const inside = r.max < s.rows;
    e.open(`if (a == 0u${roles === 2 ? " && role == 0u" : ""}${inside ? "" : ` && ${indexText(r)} < ${s.rows}u`}) {`);
    const at = inside ? r : e.opaque(indexText(r), s.rows - 1, e.depth);
    for (const [which, name] of [lse, "delta"].entries()) {
      const value = { text: `${name}.${lanes[i]}`, width: 1, dtype: "f32" as const, depth: e.depth };
      storeAside(frame, s, pairAt(lead, which as 0 | 1, at), value);
    }
    e.close();
  }
}

/** A result of the kernel while it is in registers: the text of column j, a vector of the four own positions. */
interface Finished {
  readonly result: 0 | 1;
  readonly depth: number;
  /** Which half of the invocations has it; undefined: its sum is that of both. */
  readonly role?: 0 | 1 | undefined;
  column(j: number): string;
}

/** The finished sums at each own position, with what is computed from them. */
export function storeSums(t: Tiling, [changes, second]: readonly Sum[]): void {
  const { queries, s } = t;
  const factor = t.frame.e.literal(s.scale, "f32").text;
  const of = (sum: Sum | undefined, j: number): string => sum?.names[j] as string;
  const first = (j: number): string =>
    queries && second ? `(${of(changes, j)} - delta * ${of(second, j)})` : of(changes, j);
  const results: Finished[] = [
    { result: 0, depth: s.depth, role: changes?.role, column: (j) => `${first(j)} * ${factor}` },
  ];
  if (!queries) results.push({ result: 1, depth: s.valueDepth, role: second?.role, column: (j) => of(second, j) });
  // Results of one depth are there together, for what is computed from both.
  const together = results.every((r) => r.depth === s.depth);
  for (const group of together ? [results] : results.map((r) => [r])) {
    (s.depth % 4 === 0 && s.valueDepth % 4 === 0 ? storeVectors : storeScalars)(t, group);
  }
}

/** Stores what has been computed of the results at one place: position i of the invocation's own four, and a feature. */
function storePoint(
  { frame, s, own }: Tiling,
  i: Index,
  d: Index,
  count: number,
  group: readonly Finished[],
  read: (f: Finished) => Value,
): void {
  const { e } = frame;
  const place = [
    { x: add(own.at, i), n: own.size },
    { x: d, n: count },
  ];
  const guards = place.filter(({ x, n }) => x.max >= n).map(({ x, n }) => `${indexText(x)} < ${n}u`);
  e.open(guards.length ? `if (${guards.join(" && ")}) {` : "{");
  const [row, feature] = place.map(({ x, n }) => (x.max < n ? x : e.opaque(indexText(x), n - 1, e.depth))) as [
    Index,
    Index,
  ];
  const at = [...own.lead, row, e.width === 1 ? feature : add(scale(feature, e.width), lane(e.width))];
  for (const f of group) {
    const value = read(f);
    provideResult(frame, s.node, f.result, value);
    if (f.result === 1) storeAside(frame, s, at, value);
  }
  if (group[0]?.result === 0) storeAt(frame, s, at);
  e.close();
}

/** As the features are: an invocation has every eighth. */
function storeScalars(t: Tiling, group: readonly Finished[]): void {
  const { e } = t.frame;
  const depth = group[0]?.depth as number;
  e.width = 1;
  for (let j = 0; j < columnsOf(depth); j++) {
    const columns = new Map(group.map((f) => [f, e.let(f.column(j), 4, "f32").text]));
    const d = add(variable("a", 7), int(8 * j));
    for (let i = 0; i < 4; i++) {
      storePoint(t, int(i), d, depth, group, (f) => e.let(`${columns.get(f)}.${lanes[i]}`, 1, "f32"));
    }
  }
}

/** By vectors of four features: invocations exchange columns through the memory of the weights, 32 at a time. */
function storeVectors(t: Tiling, group: readonly Finished[]): void {
  const { e } = t.frame;
  const depth = group[0]?.depth as number;
  const halved = t.roles === 2;
  const memory = (f: Finished): string => (f === group[1] ? "weights" : "changes");
  for (let j = 0; j < columnsOf(depth); j += 4) {
    const hand = (f: Finished, more = false): void => {
      for (let c = 0; c < Math.min(4, columnsOf(depth) - j); c++) {
        const place = `${memory(f)}[(a + ${8 * c}u) * ${pitch}u + b]`;
        e.line(`${place} = ${more ? `${place} + ` : ""}${f.column(j + c)};`);
      }
    };
    e.line("workgroupBarrier();");
    for (const f of group) {
      if (halved) e.open(`if (role == ${f.role ?? 1}u) {`);
      hand(f);
      if (halved) e.close();
    }
    e.line("workgroupBarrier();");
    if (halved && group.some((f) => f.role === undefined)) {
      e.open("if (role == 0u) {");
      for (const f of group) hand(f, true);
      e.close();
      e.line("workgroupBarrier();");
    }
    const blocks = new Map(
      group.map((f) => [
        f,
        lanes.map((_, l) => e.let(`${memory(f)}[(a * 4u + ${l}u) * ${pitch}u + b]`, 4, "f32").text),
      ]),
    );
    e.width = 4;
    // Each half of the invocations stores two of the four own positions.
    const four = (f: Finished, i: number): string =>
      `vec4<f32>(${blocks
        .get(f)
        ?.map((x) => `${x}.${lanes[i]}`)
        .join(", ")})`;
    for (let i = 0; i < 4 / t.roles; i++) {
      const position = halved ? add(int(i), scale(variable("role", 1), 2)) : int(i);
      storePoint(t, position, add(variable("a", 7), int(2 * j)), depth / 4, group, (f) =>
        e.let(halved ? `select(${four(f, i)}, ${four(f, i + 2)}, role == 1u)` : four(f, i), 4, "f32"),
      );
    }
    e.width = 1;
  }
}
