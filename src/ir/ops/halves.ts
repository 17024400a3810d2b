import { fail } from "../../base/diagnostic.ts";
import { fromHalfBits, toHalfBits } from "../../base/half.ts";
import { type Dim, dimCeilDiv, shapeEqual } from "../dim.ts";
import type { TensorType } from "../graph.ts";
import { type NDArray, ndarray } from "../ndarray.ts";
import type { OpRow } from "../op.ts";
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

/** Shape of the exponents of a matrix in halves. */
export const exponentsShape = (shape: readonly Dim[]): readonly Dim[] => shape.map((d) => dimCeilDiv(d, halvesBlock));

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
  const words = ndarray("u32", [rows, columns]);
  const exponents = ndarray("u32", exponentsShape(x.shape) as number[]);
  const across = exponents.shape[1] as number;
  const blockOf = (i: number): number =>
    Math.floor(Math.floor(i / columns) / halvesBlock) * across + Math.floor((i % columns) / halvesBlock);
  exponents.data.fill(leastExponent);
  x.data.forEach((v, i) => {
    const e = Math.min(exponentOf(v), largestExponent);
    if (e > (exponents.data[blockOf(i)] as number)) exponents.data[blockOf(i)] = e;
  });
  x.data.forEach((v, i) => {
    const scaled = v * 2 ** (halvesBias + halvesTop - 1 - (exponents.data[blockOf(i)] as number));
    const upper = toHalfBits(scaled);
    const lower = toHalfBits(scaled - fromHalfBits(upper));
    // Of each four, two words of upper halves and two of lower ones.
    const at = i - (i % 4) + ((i % 4) >> 1);
    const shift = i % 2 === 1 ? 2 ** 16 : 1;
    words.data[at] = (words.data[at] as number) + upper * shift;
    words.data[at + 2] = (words.data[at + 2] as number) + lower * shift;
  });
  return [words, exponents];
}

function fromHalvesType(words: TensorType, exponents: TensorType): TensorType {
  const columns = words.shape[1];
  const fits =
    words.dtype === "u32" &&
    exponents.dtype === "u32" &&
    words.shape.length === 2 &&
    (typeof columns !== "number" || columns % 4 === 0) &&
    shapeEqual(exponents.shape, exponentsShape(words.shape));
  if (!fits) {
    fail("bad-arguments", `fromHalves: ${typeText(words)} and ${typeText(exponents)} are no matrix in halves`, {
      hint: `give u32[M, N] with N a multiple of 4, and an exponent for each ${halvesBlock} by ${halvesBlock} elements`,
    });
  }
  return tensorType("fromHalves", "f32", words.shape);
}

/** Rows of matrices that are stored as pairs of halves, which subgroup matrices multiply. */
export const halvesRows: readonly OpRow[] = [
  {
    name: "fromHalves",
    kind: "indexed",
    params: ["words", "exponents"],
    doc:
      "A matrix f32[M, N] of pairs of halves, (upper + lower) * 2^(e - 141). Of each four neighbours in a row of words, u32[M, N], the first two words hold the upper halves and the others the lower ones, " +
      'two a word; exponents is u32[ceil(M / 128), ceil(N / 128)], e being that of the block, at least 15 and at most 254. The compiler makes it for products with `precision: "f16x3"`.',
    infer: ([w, e]) => fromHalvesType(w as TensorType, e as TensorType),
    evaluate: ([w, e], _, [t]) => {
      const [words, exponents] = [w as NDArray, e as NDArray];
      const out = ndarray("f32", (t as TensorType).shape as number[]);
      const columns = out.shape[1] as number;
      const across = exponents.shape[1] as number;
      for (let i = 0; i < out.data.length; i++) {
        const at = i - (i % 4) + ((i % 4) >> 1);
        const half = (word: number): number => fromHalfBits(Math.floor(word / (i % 2 === 1 ? 2 ** 16 : 1)) % 2 ** 16);
        const block =
          Math.floor(Math.floor(i / columns) / halvesBlock) * across + Math.floor((i % columns) / halvesBlock);
        const exponent = Math.min(Math.max(exponents.data[block] as number, leastExponent), largestExponent);
        const sum = half(words.data[at] as number) + half(words.data[at + 2] as number);
        out.data[i] = sum * 2 ** (exponent - (halvesBias + halvesTop - 1));
      }
      return [out];
    },
    derivative: null,
  },
];
