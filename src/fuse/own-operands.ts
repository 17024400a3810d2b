import type { Graph, GraphBuilder, Node } from "../ir/graph.ts";
import { ownBindings } from "../ir/ops/wgsl.ts";
import { rowOf } from "../ir/ops.ts";
import { countReaders } from "../passes/rewrite.ts";
import { boundBy, countOf, isStored } from "./pull.ts";

/** Constants with more elements are computed for the kernel that reads them. */
const largestLiteral = 65_536;

/**
 * Gives every argument of a user's own kernel a tensor of its own to bind: constants lie in memory from the start, what is
 * given twice is copied, and what the kernel replaces is copied where anything else needs it. `uniform`: sizes are data,
 * and scalar inputs no tensors.
 */
export function separateOperands(
  graph: Graph,
  uniform: boolean,
): (n: Node, args: readonly Node[], b: GraphBuilder) => Node {
  const readers = countReaders(graph);
  const copy = (b: GraphBuilder, x: Node): Node => b.add("cast", [x], { dtype: x.type.dtype });
  return (n, given, b) => {
    const replaced = new Map(
      ownBindings(n.attrs).flatMap(({ argument, result }) =>
        argument === undefined || result === undefined ? [] : [[argument, result] as const],
      ),
    );
    const taken = new Set<Node>();
    const args = given.map((x, i) => {
      const result = replaced.get(i);
      const owned = result === undefined || mayReplace(graph, readers, n, n.args[i] as Node, result);
      const scalar = uniform && x.op === "input" && x.type.shape.length === 0;
      const again = taken.has(boundBy(x));
      const own = !owned || scalar || again ? copy(b, x) : result === undefined && !uniform ? inMemory(b, x) : x;
      taken.add(boundBy(own));
      return own;
    });
    return args.every((a, i) => a === n.args[i]) ? n : b.add(n.op, args, n.attrs);
  };
}

/** A constant as a tensor that is in memory before the program runs. */
function inMemory(b: GraphBuilder, x: Node): Node {
  const base = boundBy(x);
  const known = base.op === "const" || (base.op === "words" && base.args.length === 0);
  if (!known || countOf(base) > largestLiteral) return x;
  const { dtype, shape } = x.type;
  const [value] = rowOf(base.op).evaluate?.([], base.attrs, [base.type]) ?? [];
  return b.add("literal", [], { data: value?.data, dtype, shape });
}

type Readers = ReadonlyMap<Node, number>;

/** May a kernel write over its argument: is it computed for this kernel alone, or the state that the result replaces? */
function mayReplace(graph: Graph, readers: Readers, n: Node, arg: Node, result: number): boolean {
  const base = boundBy(arg);
  if (!readOnce(readers, arg)) return false;
  if (base.op !== "input") return !isStored(base) && base.op !== "window";
  const next = graph.outputs.find((o) => o.name === base.attrs.name && base.attrs.role === "state");
  return next !== undefined && comesFrom(readers, boundBy(next.node), n, result);
}

/** Is a tensor, or what it is a reshape of, read by one node only? */
function readOnce(readers: Readers, x: Node): boolean {
  const base = boundBy(x);
  for (let at = x; ; at = at.args[0] as Node) {
    if (readers.get(at) !== 1) return false;
    if (at === base) return true;
  }
}

/** Is a tensor a result of `n`, or what kernels of the user's made of it in its place? */
function comesFrom(readers: Readers, x: Node, n: Node, result: number): boolean {
  const [made] = x.args;
  if (x.op !== "result" || made?.op !== "wgsl") return false;
  if (made === n) return x.attrs.index === result;
  const argument = ownBindings(made.attrs).find((b) => b.result === x.attrs.index)?.argument;
  const operand = argument === undefined ? undefined : (made.args[argument] as Node);
  return operand !== undefined && readOnce(readers, operand) && comesFrom(readers, boundBy(operand), n, result);
}

/** Whether a node is bound together with an argument of its kernel: its place is that of the argument. */
export const replacesOperand = (n: Node): boolean =>
  n.op === "result" &&
  n.args[0]?.op === "wgsl" &&
  ownBindings(n.args[0].attrs).some((b) => b.result === n.attrs.index && b.argument !== undefined);
