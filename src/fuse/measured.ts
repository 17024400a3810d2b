import type { Node } from "../ir/graph.ts";
import type { FusionChoice } from "../manifest/tuning.ts";
import type { Fuser, Refusal } from "./fuser.ts";
import type { Group } from "./groups.ts";
import { shapeOf } from "./pull.ts";
import { typeText } from "./signature.ts";

/** What a tuning table knows of fusions, and what became of it in one program. */
export interface Measured {
  readonly fusions: Readonly<Record<string, FusionChoice>>;
  /** Every fusion that a table can decide, by its signature, and whether it was made: what a tuner can try the other way. */
  readonly asked: Map<string, boolean>;
  /** Nodes that were kept apart because the table says so, and from what. */
  readonly apart: Map<Node, { readonly refusal: Refusal; readonly from: ReadonlySet<Node> }>;
}

export const measuredBy = (fusions: Measured["fusions"]): Measured => ({ fusions, asked: new Map(), apart: new Map() });

/** What is otherwise than usual takes less than this share of the time: less is noise. */
export const margin = 0.97;

/** Whether to fuse: as measured, else as `usual`. */
export function pays({ measured, mode }: Fuser, signature: () => string, usual = true): boolean {
  if (!measured || mode !== "profit") return usual;
  const name = signature();
  const choice = Object.hasOwn(measured.fusions, name) ? measured.fusions[name] : undefined;
  const fuse = !choice ? usual : usual ? choice.apart >= margin * choice.fused : choice.fused < margin * choice.apart;
  measured.asked.set(name, fuse);
  return fuse;
}

/** Notes that a node is not computed where it could be; a later pass must not bring it together with `from` either. */
export function keepApart({ measured }: Fuser, n: Node, signature: string, from: Iterable<Node> = []): Refusal {
  const { fused, apart } = measured?.fusions[signature] ?? { fused: 0, apart: 0 };
  const refusal = {
    reason: "measured",
    detail: `on this adapter it takes ${micros(apart)} apart and ${micros(fused)} fused, by the tuning table`,
  };
  const before = measured?.apart.get(n);
  measured?.apart.set(n, { refusal, from: new Set([...(before?.from ?? []), ...from]) });
  return refusal;
}

/** What is computed from a node that is kept apart from a group stays apart from it too. */
export function followsApart({ measured, grouping }: Fuser, n: Node, g: Group): Refusal | undefined {
  if (!measured?.apart.size) return undefined;
  const seen = new Set<Node>();
  const visit = (x: Node): Refusal | undefined => {
    if (seen.has(x) || grouping.owner.has(x)) return undefined;
    seen.add(x);
    const held = measured.apart.get(x);
    if (held && [...held.from].some((m) => g.members.has(m))) return held.refusal;
    for (const a of x.args) {
      const found = visit(a);
      if (found) return found;
    }
    return undefined;
  };
  return visit(n);
}

/** Are these groups to stay two by measurement? */
export function heldApart({ measured }: Fuser, a: Group, b: Group): boolean {
  if (!measured?.apart.size) return false;
  const holds = (g: Group, h: Group): boolean =>
    [...g.members].some((n) => [...(measured.apart.get(n)?.from ?? [])].some((m) => h.members.has(m)));
  return holds(a, b) || holds(b, a);
}

const micros = (t: number): string => `${t < 10 ? t.toFixed(1) : Math.round(t)} µs`;

/** What a group is called in the signatures of fusions. */
const groupText = (g: Pick<Group, "family" | "space" | "axes" | "anchors">): string => {
  const anchors = [...new Set([...g.anchors].map((n) => n.op))].sort();
  const axes = g.axes.length ? `/${g.axes.join(",")}` : "";
  return [g.family, g.space.join("x") + axes, anchors.join(" ")].filter((t) => t !== "").join(" ");
};

export const riderText = (sum: Node, product: Node): string =>
  `rider | ${sum.op} ${typeText(sum.args[0] as Node)} | matmul ${shapeOf(product).join("x")} k${shapeOf(product.args[0] as Node).at(-1)}`;

export const joinText = (n: Node, g: Group): string =>
  `join | ${n.op} ${typeText(n.args[0] as Node)}/${n.attrs.axes} | ${groupText(g)}`;

export const epilogueText = (n: Node, g: Group): string => `epilogue | ${n.op} ${typeText(n)} | ${groupText(g)}`;

/** A node that each of its readers computes for itself, instead of one kernel that stores it. */
export function repeatText(n: Node, readers: readonly Group[]): string {
  const names = readers.map(groupText).sort();
  return `repeat | ${n.op} ${typeText(n)} | ${names.join(" + ")}`;
}
