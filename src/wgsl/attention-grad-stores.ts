import { add, type Index, indexText, int, variable } from "../ir/index-expr.ts";
import { pairAt } from "./attention-grad.ts";
import { columnsOf, lanes, type Sum, type Tiling } from "./attention-grad-steps.ts";
import { provideResult, storeAside, storeAt } from "./attention-parts.ts";

/** lse and delta of the own queries, stored by the first of the invocations that share them. */
export function storeRows({ frame, s, lead, own }: Tiling, lse: string): void {
  const { e } = frame;
  for (let i = 0; i < 4; i++) {
    const r = add(own.at, int(i));
    const inside = r.max < s.rows;
    e.open(`if (a == 0u${inside ? "" : ` && ${indexText(r)} < ${s.rows}u`}) {`);
    const at = inside ? r : e.opaque(indexText(r), s.rows - 1, e.depth);
    for (const [which, name] of [lse, "delta"].entries()) {
      const value = { text: `${name}.${lanes[i]}`, width: 1, dtype: "f32" as const, depth: e.depth };
      storeAside(frame, s, pairAt(lead, which as 0 | 1, at), value);
    }
    e.close();
  }
}

/** The finished sums at each own position, with what is computed from them. */
export function storeSums({ frame, s, queries, own }: Tiling, [changes, second]: readonly Sum[]): void {
  const { e } = frame;
  const factor = e.literal(s.scale, "f32").text;
  const a = variable("a", 7);
  const each = (depth: number, body: (i: number, j: number, at: readonly Index[]) => void): void => {
    for (let i = 0; i < 4; i++) {
      for (let j = 0; j < columnsOf(depth); j++) {
        const place = [
          { x: add(own.at, int(i)), n: own.size },
          { x: add(a, int(8 * j)), n: depth },
        ];
        const guards = place.filter(({ x, n }) => x.max >= n).map(({ x, n }) => `${indexText(x)} < ${n}u`);
        e.open(guards.length ? `if (${guards.join(" && ")}) {` : "{");
        const at = place.map(({ x, n }) => (x.max < n ? x : e.opaque(indexText(x), n - 1, e.depth)));
        body(i, j, [...own.lead, ...at]);
        e.close();
      }
    }
  };
  const element = (sum: Sum | undefined, i: number, j: number): string => `${sum?.names[j]}.${lanes[i]}`;
  const together = !queries && s.depth === s.valueDepth;
  e.width = 1;
  each(s.depth, (i, j, at) => {
    const grad = element(changes, i, j);
    const value = queries && second ? `(${grad} - delta.${lanes[i]} * ${element(second, i, j)})` : grad;
    provideResult(frame, s.node, 0, e.let(`${value} * ${factor}`, 1, "f32"));
    if (together) provideResult(frame, s.node, 1, e.let(element(second, i, j), 1, "f32"));
    storeAt(frame, s, at);
  });
  if (queries || together) return;
  each(s.valueDepth, (i, j, at) => storeAside(frame, s, at, e.let(element(second, i, j), 1, "f32")));
}
