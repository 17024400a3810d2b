import * as k from "../../../kernels/embedding.kernel.ts";
import { at, type Draw, filled, type KernelCase, of, type Sizes, sizesOf, type Values } from "./case.ts";

const sizes = sizesOf(
  "rows cols vocabulary",
  [1, 1, 1],
  [2, 3, 2],
  [5, 4, 3],
  [9, 7, 4],
  [17, 16, 33],
  [3, 64, 100],
  [64, 5, 7],
);
/** Tokens that come several times, and some that count from the end. */
const tokens: Draw = (i, random, d) =>
  Math.floor(random() * of(d, "vocabulary")) - (i % 5 === 4 ? of(d, "vocabulary") : 0);

const rowOf = (token: number, d: Sizes): number => (token < 0 ? token + of(d, "vocabulary") : token);

function gradient({ tokens, dy, dtable }: Values, d: Sizes): Float64Array {
  const [rows, cols] = [of(d, "rows"), of(d, "cols")];
  const out = dtable ? Float64Array.from(dtable) : new Float64Array(of(d, "vocabulary") * cols);
  for (let r = 0; r < rows; r++) {
    const start = rowOf(at(tokens, r), d) * cols;
    for (let c = 0; c < cols; c++) out[start + c] = at(out, start + c) + at(dy, r * cols + c);
  }
  return out;
}

const base = { sizes, large: sizesOf("rows cols vocabulary", [300, 68, 70_001]), draw: { tokens } } as const;

export const embeddingCases: readonly KernelCase[] = [
  {
    ...base,
    kernel: k.embedding,
    reference({ table, tokens }, d) {
      const [rows, cols] = [of(d, "rows"), of(d, "cols")];
      return {
        y: filled(rows * cols, (i) => at(table, rowOf(at(tokens, Math.floor(i / cols)), d) * cols + (i % cols))),
      };
    },
  },
  { ...base, kernel: k.embeddingBackward, reference: (x, d) => ({ dtable: gradient(x, d) }) },
  { ...base, kernel: k.embeddingBackwardAccumulate, reference: (x, d) => ({ dtable: gradient(x, d) }) },
];
