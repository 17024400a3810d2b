import { concreteDim, type Dim, dimEqual, type Shape, shapeSize } from "../dim.ts";
import type { Attrs, GraphBuilder, Node, TensorType } from "../graph.ts";
import type { OpRow } from "../op.ts";
import { range, tensorType } from "./axes.ts";
import { reduceOver, reshape, transpose } from "./composite-helpers.ts";
import { precisionOf, productPrecisions } from "./contraction.ts";
import { parseEinsum } from "./einsum-equation.ts";
import { numbers, requireDType, sameDType } from "./infer.ts";

/** A tensor and the labels of its axes. */
interface Term {
  readonly x: Node;
  readonly labels: readonly string[];
}

const sizeAt = (t: Term, label: string): Dim => t.x.type.shape[t.labels.indexOf(label)] as Dim;
const sizesAt = (t: Term, labels: readonly string[]): Shape => labels.map((l) => sizeAt(t, l));

const arrange = (b: GraphBuilder, t: Term, labels: readonly string[]): Term => ({
  x: transpose(
    b,
    t.x,
    labels.map((l) => t.labels.indexOf(l)),
  ),
  labels,
});

/** Takes the diagonal of axes with one label: of an n by n matrix in a row of n*n elements it is every (n+1)th. */
function diagonals(b: GraphBuilder, t: Term): Term {
  const label = t.labels.find((l, i) => t.labels.indexOf(l) !== i);
  if (label === undefined) return t;
  const [i, j] = [t.labels.indexOf(label), t.labels.lastIndexOf(label)];
  const others = range(t.labels.length).filter((k) => k !== i && k !== j);
  const lead = others.map((k) => t.x.type.shape[k] as Dim);
  const last = transpose(b, t.x, [...others, i, j]);
  const n = concreteDim(t.x.type.shape[i] as Dim);
  const flat = reshape(b, last, [...lead, n * n]);
  const x = b.add("slice", [flat], {
    starts: [...lead.map(() => 0), 0],
    steps: [...lead.map(() => 1), n + 1],
    sizes: [...lead, n],
  });
  return diagonals(b, { x, labels: [...others.map((k) => t.labels[k] as string), label] });
}

/** Sums over the axes whose labels nothing else needs. */
function sumAlone(b: GraphBuilder, t: Term, needed: ReadonlySet<string>): Term {
  const axes = range(t.labels.length).filter((i) => !needed.has(t.labels[i] as string));
  if (axes.length === 0) return t;
  return { x: reduceOver(b, "sum", t.x, axes, false), labels: t.labels.filter((l) => needed.has(l)) };
}

/** Repeats axes of size 1 among `labels` to the sizes they have in the other term. */
function widen(b: GraphBuilder, t: Term, other: Term, labels: readonly string[]): Term {
  const shape = t.labels.map((l, i): Dim => {
    const own = t.x.type.shape[i] as Dim;
    return labels.includes(l) && own === 1 ? sizeAt(other, l) : own;
  });
  return shape.every((d, i) => dimEqual(d, t.x.type.shape[i] as Dim))
    ? t
    : { ...t, x: b.add("expand", [t.x], { shape }) };
}

/** The product of two terms, summed over the labels they share that nothing else needs. */
function contract(b: GraphBuilder, l: Term, r: Term, needed: ReadonlySet<string>, attrs: Attrs): Term {
  const shared = l.labels.filter((x) => r.labels.includes(x));
  const batch = shared.filter((x) => needed.has(x));
  const sum = shared.filter((x) => !needed.has(x));
  const left = l.labels.filter((x) => !shared.includes(x));
  const right = r.labels.filter((x) => !shared.includes(x));
  const labels = [...batch, ...left, ...right];
  if (sum.length === 0) {
    const x = arrange(b, l, [...batch, ...left]);
    const y = arrange(b, r, [...batch, ...right]);
    const wide = reshape(b, x.x, [...x.x.type.shape, ...right.map(() => 1)]);
    const lifted = reshape(b, y.x, [...sizesAt(y, batch), ...left.map(() => 1), ...sizesAt(y, right)]);
    return { x: b.add("mul", [wide, lifted]), labels };
  }
  const x = arrange(b, widen(b, l, r, sum), [...batch, ...left, ...sum]);
  const y = arrange(b, widen(b, r, l, sum), [...batch, ...sum, ...right]);
  const [m, k, n] = [sizesAt(x, left), sizesAt(x, sum), sizesAt(y, right)];
  const product = b.add(
    "matmul",
    [
      reshape(b, x.x, [...sizesAt(x, batch), shapeSize(m), shapeSize(k)]),
      reshape(b, y.x, [...sizesAt(y, batch), shapeSize(k), shapeSize(n)]),
    ],
    attrs,
  );
  return { x: reshape(b, product, [...product.type.shape.slice(0, -2), ...m, ...n]), labels };
}

function einsum(b: GraphBuilder, args: readonly Node[], a: Attrs): Node {
  const { operands, output } = parseEinsum(
    a.equation as string,
    args.map((x) => x.type.shape),
  );
  const needed = (after: number): Set<string> => new Set([...output, ...operands.slice(after).flat()]);
  const terms = args.map((x, i) => {
    const t = diagonals(b, { x, labels: operands[i] as string[] });
    return sumAlone(b, t, new Set([...output, ...operands.filter((_, j) => j !== i).flat()]));
  });
  const all = terms.reduce((l, r, i) => contract(b, l, r, needed(i + 1), precisionOf(a)));
  return arrange(b, all, output).x;
}

export const einsumComposites: readonly OpRow[] = [
  {
    name: "einsum",
    kind: "composite",
    params: ["...xs"],
    attrs: {
      equation: { type: "string", doc: "a letter for each axis of each operand, -> and those of the result" },
      precision: {
        type: "string",
        doc: "that of the products it consists of",
        default: null,
        oneOf: productPrecisions,
      },
    },
    doc:
      "Einstein summation: the product of the operands, aligned by label, summed over labels that the result does not have. `...` stands for broadcasting " +
      "axes, a label twice in one operand for its diagonal; without -> the result has the labels that appear once, sorted. Operands combine from left " +
      "to right. One dtype: f32, f16, i32, u32.",
    infer: (xs, a) => {
      const dtype = sameDType("einsum", ...xs);
      requireDType("einsum", xs[0] as TensorType, numbers);
      const { output, sizes } = parseEinsum(
        a.equation as string,
        xs.map((x) => x.shape),
      );
      return tensorType(
        "einsum",
        dtype,
        output.map((l) => sizes.get(l) as Dim),
      );
    },
    decompose: einsum,
    accuracy: { ulp: (n) => Math.max(1, 2 * n) },
  },
];
