import type { Graph, Node } from "../ir/graph.ts";
import type { Region } from "./region.ts";

/**
 * A text that two regions share exactly when they are the same computation on buffers of the same types in the same
 * binding order: the layers of a model are written once.
 */
export function regionKey(region: Region): string {
  const lines: string[] = [region.family, region.space.join(), region.axes.join()];
  const names = new Map<Node, string>();
  region.inputs.forEach((n, i) => {
    names.set(n, `i${i}`);
    lines.push(typeKey(n));
  });
  const visit = (n: Node): string => {
    const known = names.get(n);
    if (known) return known;
    const args = n.args.map(visit);
    const name = `n${names.size}`;
    names.set(n, name);
    lines.push(`${name}=${n.op}(${args.join()})${attrsKey(n)}:${typeKey(n)}`);
    return name;
  };
  for (const n of region.anchors) lines.push(`a:${visit(n)}`);
  for (const n of region.members) lines.push(`m:${visit(n)}`);
  for (const n of region.outputs) lines.push(`o:${visit(n)}`);
  for (const s of region.slots ?? []) {
    lines.push(`s:${s.input ? visit(s.input) : ""}>${s.output ? visit(s.output) : ""} ${s.access} ${s.part ?? ""}`);
  }
  return lines.join("\n");
}

const typeKey = (n: Node): string => (n.results ?? [n.type]).map((t) => `${t.dtype}[${t.shape.join()}]`).join();

/** Attributes as text; numbers keep -0, infinities and NaN apart. */
function attrsKey(n: Node): string {
  return JSON.stringify(n.attrs, (_, v) => {
    if (typeof v === "number") return Object.is(v, -0) ? "-0" : Number.isFinite(v) ? v : String(v);
    if (v !== null && typeof v === "object" && "nodes" in v) return graphKey(v as Graph);
    return v as unknown;
  });
}

const graphKey = (g: Graph): string => {
  const at = new Map(g.nodes.map((n, i) => [n, i]));
  const body = g.nodes.map((n) => `${n.op}(${n.args.map((a) => at.get(a)).join()})${attrsKey(n)}`);
  return `${body.join(";")}->${g.outputs.map((o) => at.get(o.node)).join()}`;
};
