import { permutedFrom } from "../fuse/pull.ts";
import type { Region } from "../fuse/region.ts";
import type { Node } from "../ir/graph.ts";
import { type Index, ravel } from "../ir/index-expr.ts";
import { elements } from "./emitter.ts";
import { indexFor } from "./kernel.ts";
import type { RowWriter } from "./row-parts.ts";

const transcendental = new Set([
  "exp",
  "exp2",
  "expm1",
  "log",
  "log1p",
  "tanh",
  "erf",
  "gelu",
  "sigmoid",
  "pow",
  "sin",
  "cos",
]);

/**
 * Operands with transcendental work that an output is computed from: they are written to that output's buffer as they
 * are reduced, and read back when the output's turn comes, instead of being computed twice. An invocation reads only what
 * it wrote.
 */
export function keptOperands(w: RowWriter, level: readonly Node[]): Map<Node, Node> {
  const { region } = w.frame;
  const size = region.space.reduce((n, d) => n * d, 1);
  const kept = new Map<Node, Node>();
  const { taken } = w;
  for (const { args } of level) {
    const [operand] = args as [Node];
    if (
      !transcendental.has(operand.op) ||
      operand.type.dtype !== "f32" ||
      elements(operand) !== size ||
      kept.has(operand)
    )
      continue;
    if (region.outputs.includes(operand) || region.inputs.includes(operand)) continue;
    const output = region.outputs.find(
      (o) =>
        !taken.has(o) &&
        o.type.dtype === "f32" &&
        elements(o) === size &&
        permutedFrom(o) === o &&
        dependsOn(o, operand, region) &&
        !readsPlaceLater(w, o, operand, level),
    );
    if (!output) continue;
    kept.set(operand, output);
    taken.add(output);
  }
  return kept;
}

/** Is `output` in the place of an input that is read again after this level, other than through the operand? */
function readsPlaceLater(w: RowWriter, output: Node, operand: Node, level: readonly Node[]): boolean {
  const { frame, done } = w;
  const input = frame.inPlace.get(output);
  if (!input) return false;
  const known = (n: Node): boolean => n === operand || level.includes(n) || done.has(n);
  const later = frame.region.anchors.filter((a) => !known(a)).flatMap((a) => a.args);
  return [...later, ...frame.region.outputs].some((n) => dependsOn(n, input, frame.region, known));
}

export function writeOperand(w: RowWriter, operand: Node, output: Node, index: readonly Index[]): void {
  const { e, region, outputs } = w.frame;
  const value = e.value(operand, indexFor(operand, index, region.space));
  // Invocations past the last row repeat it: they must not write over what its owner has finished.
  if (w.valid) e.open(`if (${w.valid}) {`);
  e.store(outputs.get(output)!, ravel(index, region.space), value);
  if (w.valid) e.close();
}

/** Is `target` computed or loaded on the way to `n`, not looking behind what is `known`? */
function dependsOn(n: Node, target: Node, region: Region, known: (n: Node) => boolean = () => false): boolean {
  const seen = new Set<Node>();
  const visit = (x: Node): boolean => {
    if (x === target) return true;
    if (seen.has(x) || known(x) || region.inputs.includes(x)) return false;
    seen.add(x);
    return x.args.some(visit);
  };
  return visit(n);
}
