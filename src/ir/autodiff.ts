import { fail } from "../base/diagnostic.ts";
import { isFloat } from "../base/dtype.ts";
import { sumTo } from "./derivatives/helpers.ts";
import { shapeEqual } from "./dim.ts";
import type { GraphBuilder, Node, TensorType } from "./graph.ts";
import type { OpRow } from "./op.ts";
import { mayEqual, typeText } from "./ops/infer.ts";
import { rowOf } from "./ops.ts";
import { inPhase } from "./phase.ts";

type Cotangent = Node | undefined;

/**
 * Reverse mode, graph to graph: the derivatives of a loss by `wrt`, given those by `results`; undefined is zero. The nodes
 * it makes are ordinary ones, so they can be differentiated again. `wrt` and `fixed` are leaves: nothing above them is
 * looked at. Composites without a derivative of their own go through their decomposition, whose nodes are equal to what
 * the forward pass decomposes to: common subexpression elimination makes them one.
 *
 * Griewank and Walther, "Evaluating Derivatives", 2008, chapter 3.
 * @throws SinterError `not-differentiable`
 */
export function pullback(
  b: GraphBuilder,
  results: readonly Node[],
  cotangents: readonly Cotangent[],
  wrt: readonly Node[],
  fixed: readonly Node[] = [],
): Cotangent[] {
  const leaves = new Set([...wrt, ...fixed]);
  const order = reach(results, leaves);
  const active = new Set(wrt);
  for (const n of order) if (!leaves.has(n) && carries(n) && n.args.some((a) => active.has(a))) active.add(n);
  const sums = new Map<Node, Cotangent[]>();
  const give = (n: Node, index: number, ct: Cotangent): void => {
    if (!ct || !active.has(n)) return;
    const own = sums.get(n) ?? [];
    const fitted = inShape(b, n, ct, n.results?.[index] ?? n.type);
    own[index] = own[index] ? b.add("add", [own[index], fitted]) : fitted;
    sums.set(n, own);
  };
  const { place } = b;
  results.forEach((r, i) => {
    give(r, 0, cotangents[i]);
  });
  for (const n of order.reverse()) {
    const given = sums.get(n);
    if (!given || leaves.has(n)) continue;
    sums.delete(n);
    b.place = inPhase("backward", n.place ?? place);
    if (n.op === "result") give(n.args[0] as Node, n.attrs.index as number, given[0]);
    else step(b, n, given, active).forEach((ct, i) => void give(n.args[i] as Node, 0, ct));
  }
  b.place = place;
  return wrt.map((n) => sums.get(n)?.[0]);
}

/** Whether cotangents go through a node at all. */
const carries = (n: Node): boolean =>
  rowOf(n.op).derivative !== null && (n.results ?? [n.type]).some((t) => isFloat(t.dtype));

/** What `results` are made of down to the leaves, arguments first. */
function reach(results: readonly Node[], leaves: ReadonlySet<Node>): Node[] {
  const order: Node[] = [];
  const seen = new Set<Node>();
  const stack: { readonly node: Node; next: number }[] = [];
  for (const root of results) {
    stack.push({ node: root, next: 0 });
    while (stack.length) {
      const top = stack[stack.length - 1] as { readonly node: Node; next: number };
      const arg = leaves.has(top.node) ? undefined : top.node.args[top.next++];
      if (seen.has(top.node)) stack.pop();
      else if (arg) stack.push({ node: arg, next: 0 });
      else {
        seen.add(top.node);
        order.push(top.node);
        stack.pop();
      }
    }
  }
  return order;
}

/** The cotangents of one node's arguments. */
function step(b: GraphBuilder, n: Node, cotangents: readonly Cotangent[], active: ReadonlySet<Node>): Cotangent[] {
  const row = rowOf(n.op);
  if (!row.derivative) return throughDecomposition(b, row, n, cotangents, active);
  const made = row.derivative({
    b,
    node: n,
    args: n.args,
    results: b.results(n),
    cotangents,
    ct: cotangents.find((c) => c) as Node,
    needs: (i) => active.has(n.args[i] as Node),
    pullback: (results, cts, wrt) => pullback(b, results, cts, wrt),
  });
  return made.map((ct, i) => {
    const to = (n.args[i] as Node).type.shape;
    return ct && row.kind === "elementwise" ? sumTo(b, ct, to) : ct;
  });
}

function throughDecomposition(
  b: GraphBuilder,
  row: OpRow,
  n: Node,
  cotangents: readonly Cotangent[],
  active: ReadonlySet<Node>,
): Cotangent[] {
  if (!row.decompose) {
    const { place } = n;
    fail("not-differentiable", `${n.op} has no derivative`, {
      cause: "the loss depends on a parameter through it",
      hint: "take a derivative around it: stopGradient(x), or customGradient(fn, backward)",
      ...(place ? { place } : {}),
    });
  }
  const { place } = b;
  // What the forward pass decomposes to, too.
  b.place = n.place ?? place;
  const made = row.decompose(b, n.args, n.attrs);
  b.place = place;
  const results = Array.isArray(made) ? (made as readonly Node[]) : b.results(made as Node);
  const wrt = [...new Set(n.args)].filter((a) => active.has(a));
  const found = pullback(b, results, cotangents, wrt, n.args);
  // An argument given twice gets the whole of its cotangent once.
  return n.args.map((a, i) => (n.args.indexOf(a) === i ? found[wrt.indexOf(a)] : undefined));
}

/** A cotangent in the shape of what it belongs to. Symbolic sizes may be written in several ways. */
function inShape(b: GraphBuilder, n: Node, ct: Node, type: TensorType): Node {
  const [have, want] = [ct.type.shape, type.shape];
  if (ct.type.dtype === type.dtype && shapeEqual(have, want)) return ct;
  const fits =
    ct.type.dtype === type.dtype && have.length === want.length && have.every((d, i) => mayEqual(d, want[i] ?? -1));
  if (fits) return b.add("reshape", [ct], { shape: want });
  return fail(
    "bad-derivative",
    `the derivative by ${n.op} of type ${typeText(type)} came out as ${typeText(ct.type)}`,
    {
      hint: "please report this with the program",
    },
  );
}
