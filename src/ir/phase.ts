import type { Place } from "../base/diagnostic.ts";
import type { Graph, Node } from "./graph.ts";

/** Which part of a training step work belongs to. A program without gradients is all `forward`. */
export type Phase = "forward" | "backward" | "optimiser";

/** In the order in which they run. */
export const phases: readonly Phase[] = ["forward", "backward", "optimiser"];

/** The same place, marked: nodes that are made there belong to a later phase than the one they would have by themselves. */
interface MarkedPlace extends Place {
  readonly phase: Phase;
}

const marked = new WeakMap<Place, Map<Phase, MarkedPlace>>();

/**
 * `place` for nodes of a phase. Passes hand the place of a node on to what they make of it, so the phase goes with it; it is
 * in no attribute, and so nodes of different phases can still become one.
 */
export function inPhase(phase: Phase, place: Place | undefined): Place | undefined {
  if (!place || phaseAt(place) === phase) return place;
  const known = marked.get(place) ?? new Map<Phase, MarkedPlace>();
  marked.set(place, known);
  let made = known.get(phase);
  if (!made) {
    made = {
      phase,
      // Places may be worked out when they are first looked at.
      get file() {
        return place.file;
      },
      get line() {
        return place.line;
      },
      get column() {
        return place.column;
      },
    };
    known.set(phase, made);
  }
  return made;
}

export const phaseAt = (place: Place | undefined): Phase | undefined => (place as MarkedPlace | undefined)?.phase;

/**
 * The phase of every node. What a gradient made is the backward pass; of the rest, what only new states need and what reads
 * gradients, or is read by what does, is the optimiser's; all else is the forward pass.
 */
export function phasesOf(graph: Graph): (n: Node) => Phase {
  const states = new Set(graph.inputs.filter((n) => n.attrs.role === "state").map((n) => n.attrs.name));
  const needed = new Set<Node>();
  for (const o of graph.outputs) if (!states.has(o.name)) needed.add(o.node);
  const later = new Set<Node>();
  for (const n of graph.nodes) if (phaseAt(n.place) || n.args.some((a) => later.has(a))) later.add(n);
  const update = new Set<Node>();
  for (const n of graph.nodes.toReversed()) {
    const phase = phaseAt(n.place);
    if (needed.has(n) || phase === "backward") for (const a of n.args) needed.add(a);
    if (phase === "optimiser" || (!phase && later.has(n) && !needed.has(n))) update.add(n);
    if (update.has(n)) for (const a of n.args) if (!needed.has(a) && !phaseAt(a.place)) update.add(a);
  }
  return (n) => phaseAt(n.place) ?? (update.has(n) && !needed.has(n) ? "optimiser" : "forward");
}
