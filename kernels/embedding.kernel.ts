import { constant, defineKernel, dim, embedding as embeddingOf, f32, i32, scatterAdd } from "sinter";
import { wide } from "./precision.ts";

const rows = dim("rows", { hint: 8192 });
const cols = dim("cols", { hint: 768 });
const vocabulary = dim("vocabulary", { hint: 50_257 });

/** y[row] = table[tokens[row]]. Negative tokens count from the end, and what is still outside is clamped into the table. */
export const embedding = defineKernel(
  { name: "embedding", inputs: (float) => ({ table: float(vocabulary, cols), tokens: i32(rows) }) },
  ({ table, tokens }) => ({ y: embeddingOf(table, tokens) }),
);

/**
 * dtable[token] = the sum of dy over the rows with this token, f32, in the order of the rows and so the same from run to run;
 * 0 for tokens that no row has. Negative tokens count from the end; those outside the table are dropped.
 */
export const embeddingBackward = defineKernel(
  { name: "embeddingBackward", inputs: (float) => ({ tokens: i32(rows), dy: float(rows, cols) }) },
  ({ tokens, dy }) => ({ dtable: scatterAdd(constant(0, [vocabulary, cols]), tokens, wide(dy)) }),
);

/** `embeddingBackward` added to dtable in place: only rows of tokens that are there are touched. */
export const embeddingBackwardAccumulate = defineKernel(
  {
    name: "embeddingBackwardAccumulate",
    inputs: (float) => ({ tokens: i32(rows), dy: float(rows, cols), dtable: f32(vocabulary, cols) }),
    donate: ["dtable"],
  },
  ({ tokens, dy, dtable }) => ({ dtable: scatterAdd(dtable, tokens, wide(dy)) }),
);
