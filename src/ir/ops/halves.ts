import { fail } from "../../base/diagnostic.ts";
import { fromHalfBits, toHalfBits } from "../../base/half.ts";
import { type Dim, dimCeilDiv, type Shape, shapeEqual } from "../dim.ts";
import type { Attrs, Node, TensorType } from "../graph.ts";
import { type NDArray, ndarray } from "../ndarray.ts";
import type { IndexAlgebra, OpRow } from "../op.ts";
import { tensorType } from "./axes.ts";
import { typeText } from "./infer.ts";

/** Rows and columns of a matrix that share an exponent. */
export const halvesBlock = 128;
/** Exponents of f32 lie this much higher than they are. */
export const halvesBias = 127;
/** Scaled elements are below 2 to this power: halves reach 65504, and roundings stay below. */
export const halvesTop = 15;
/** The exponents of maxima that scales are made for. Below, elements stay smaller than they could be; above is no number. */
export const [leastExponent, largestExponent] = [halvesTop, 254];

/** Text of what multiplies elements whose largest has the exponent that a text gives, and of what undoes it. */
export const scaleText = (exponent: string): string =>
  `bitcast<f32>((${2 * halvesBias + halvesTop - 1}u - ${exponent}) << 23u)`;
export const unscaleText = (exponent: string): string => `bitcast<f32>((${exponent} - ${halvesTop - 1}u) << 23u)`;

/** A matrix below views that leave its halves where they are, and whether they transpose it. */
interface Below {
  readonly base: Node;
  readonly turned: boolean;
}

/**
 * The matrix that an operand of a product is by views by which it can be read as its halves are stored: transposed, or with more
 * rows, of those that repeat the last one.
 */
export function matrixBelow(operand: Node): Below {
  const views: Node[] = [];
  let base = operand;
  for (; (isMatrix(base) && base.op === "transpose") || isPadded(base); base = base.args[0] as Node)
    views.unshift(base);
  let turned = false;
  for (const view of views) {
    if (view.op === "transpose") turned = !turned;
    else if (!repeatsRows(view, turned ? 1 : 0)) [base, turned] = [view, false];
  }
  return { base, turned };
}

const isMatrix = ({ type }: Node): boolean => type.shape.length === 2;
const isPadded = (n: Node): boolean =>
  isMatrix(n) && n.op === "pad" && n.attrs.mode === "edge" && (n.attrs.low as readonly number[]).every((x) => x === 0);

/** Whether a pad leaves the columns, the axis other than `rows`, as they are, and ends within the last block. */
function repeatsRows({ attrs, args }: Node, rows: 0 | 1): boolean {
  const high = attrs.high as readonly number[];
  const count = args[0]?.type.shape[rows];
  const room = typeof count === "number" ? Math.ceil(count / halvesBlock) * halvesBlock - count : 0;
  return high[1 - rows] === 0 && (high[rows] as number) <= room;
}

/** Shape of the exponents of a matrix in halves. */
export const exponentsShape = (shape: readonly Dim[]): readonly Dim[] => shape.map((d) => dimCeilDiv(d, halvesBlock));
/** Shape of its words: those of a block lie together. */
export const wordsShape = (shape: readonly Dim[]): readonly Dim[] => [...exponentsShape(shape), halvesBlock ** 2];

/** Rows and columns of a fragment, which devices multiply at a time: all of its upper halves lie together, then all of its lower ones. */
const halvesUnit = 16;
/** Words from those of upper halves to those of lower ones. */
export const lowerWords = halvesUnit ** 2 / 2;

type Arithmetic<I> = Pick<IndexAlgebra<I>, "add" | "mul" | "div" | "mod">;

/** The index of the word that holds the upper half of an element, in its low bits where the column is even. */
export function wordAt<I>(g: Arithmetic<I>, row: I, column: I): I[] {
  const perBlock = halvesBlock / halvesUnit;
  const [across, down] = [column, row].map((x) => g.mod(g.div(x, halvesUnit), perBlock)) as [I, I];
  const fragment = g.add(g.mul(down, perBlock), across);
  const within = g.add(g.mul(g.mod(row, halvesUnit), halvesUnit / 2), g.div(g.mod(column, halvesUnit), 2));
  return [g.div(row, halvesBlock), g.div(column, halvesBlock), g.add(g.mul(fragment, 2 * lowerWords), within)];
}

const numbers: Arithmetic<number> = {
  add: (a, b) => a + b,
  mul: (a, n) => a * n,
  div: (a, n) => Math.floor(a / n),
  mod: (a, n) => a % n,
};

const float = new Float32Array(1);
const bits = new Uint32Array(float.buffer);

/** The exponent of an f32 as it is stored, of 0 to 255. */
function exponentOf(x: number): number {
  float[0] = x;
  return ((bits[0] as number) >>> 23) & 255;
}

/**
 * A matrix as pairs of halves: its words and exponents (see the row `fromHalves`). Each element becomes the half nearest to it and
 * the half nearest to what is left, after each block was multiplied by the power of two that brings its largest magnitude
 * below 2^15.
 */
export function toHalves(x: NDArray): readonly [words: NDArray, exponents: NDArray] {
  const [rows, columns] = x.shape as [number, number];
  const words = ndarray("u32", wordsShape(x.shape) as number[]);
  const exponents = ndarray("u32", exponentsShape(x.shape) as number[]);
  const [high, wide] = exponents.shape as [number, number];
  const blockOf = (row: number, column: number): number =>
    Math.floor(row / halvesBlock) * wide + Math.floor(column / halvesBlock);
  exponents.data.fill(leastExponent);
  x.data.forEach((v, i) => {
    const e = Math.min(exponentOf(v), largestExponent);
    const block = blockOf(Math.floor(i / columns), i % columns);
    if (e > (exponents.data[block] as number)) exponents.data[block] = e;
  });
  for (let row = 0; row < high * halvesBlock; row++) {
    for (let column = 0; column < columns; column++) {
      const v = x.data[Math.min(row, rows - 1) * columns + column] as number;
      const scaled = v * 2 ** (halvesBias + halvesTop - 1 - (exponents.data[blockOf(row, column)] as number));
      const upper = toHalfBits(scaled);
      const lower = toHalfBits(scaled - fromHalfBits(upper));
      const at = offsetOf(row, column, wide);
      const shift = column % 2 === 1 ? 2 ** 16 : 1;
      words.data[at] = (words.data[at] as number) + upper * shift;
      words.data[at + lowerWords] = (words.data[at + lowerWords] as number) + lower * shift;
    }
  }
  return [words, exponents];
}

/** Where the word of an element is among all of them, of a matrix so many blocks wide. */
function offsetOf(row: number, column: number, wide: number): number {
  const [high, across, within] = wordAt(numbers, row, column) as [number, number, number];
  return (high * wide + across) * halvesBlock ** 2 + within;
}

function fromHalvesType(words: TensorType, exponents: TensorType, a: Attrs): TensorType {
  const shape = a.shape as Shape;
  const columns = shape[1];
  const fits =
    words.dtype === "u32" &&
    exponents.dtype === "u32" &&
    shape.length === 2 &&
    (typeof columns !== "number" || columns % 4 === 0) &&
    shapeEqual(words.shape, wordsShape(shape)) &&
    shapeEqual(exponents.shape, exponentsShape(shape));
  if (!fits) {
    const cause = `${typeText(words)} and ${typeText(exponents)} are no matrix of ${shape.join(" by ")} in halves`;
    fail("bad-arguments", `fromHalves: ${cause}`, {
      hint: `give u32[M / ${halvesBlock}, N / ${halvesBlock}, ${halvesBlock ** 2}] with N a multiple of 4, and an exponent for each ${halvesBlock} by ${halvesBlock} elements`,
    });
  }
  return tensorType("fromHalves", "f32", shape);
}

/** Rows of matrices that are stored as pairs of halves, which subgroup matrices multiply. */
export const halvesRows: readonly OpRow[] = [
  {
    name: "fromHalves",
    kind: "indexed",
    params: ["words", "exponents"],
    attrs: { shape: { type: "shape", doc: "rows and columns of the matrix" } },
    doc:
      "A matrix f32[M, N] of pairs of halves, (upper + lower) * 2^(e - 141). Words, two halves each, are u32[ceil(M / 128), ceil(N / 128), 16384]: for each block of 128 by 128 elements its 64 fragments of 16 by 16, row by row, and of each first " +
      "the upper halves row by row, then the lower ones. Rows beyond the end repeat the last one, columns beyond it are zeros. Exponents are u32[ceil(M / 128), ceil(N / 128)], e being that of the block, at least 15 and at most 254. " +
      'The compiler makes it for products with `precision: "f16x3"`.',
    infer: ([w, e], a) => fromHalvesType(w as TensorType, e as TensorType, a),
    evaluate: ([w, e], _, [t]) => {
      const [words, exponents] = [w as NDArray, e as NDArray];
      const out = ndarray("f32", (t as TensorType).shape as number[]);
      const [, columns] = out.shape as [number, number];
      const [, wide] = exponents.shape as [number, number];
      for (let i = 0; i < out.data.length; i++) {
        const [row, column] = [Math.floor(i / columns), i % columns];
        const at = offsetOf(row, column, wide);
        const half = (word: number): number =>
          fromHalfBits(Math.floor(word / (column % 2 === 1 ? 2 ** 16 : 1)) % 2 ** 16);
        const block = Math.floor(row / halvesBlock) * wide + Math.floor(column / halvesBlock);
        const exponent = Math.min(Math.max(exponents.data[block] as number, leastExponent), largestExponent);
        const sum = half(words.data[at] as number) + half(words.data[at + lowerWords] as number);
        out.data[i] = sum * 2 ** (exponent - (halvesBias + halvesTop - 1));
      }
      return [out];
    },
    derivative: null,
  },
];
