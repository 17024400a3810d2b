import type { OpRow } from "../op.ts";
import { activationRows } from "./elementwise-activation.ts";
import { arithmeticRows } from "./elementwise-arith.ts";
import { castRows } from "./elementwise-cast.ts";
import { logicRows } from "./elementwise-logic.ts";
import { mathRows } from "./elementwise-math.ts";

/** Rows that compute each element from the elements at the same index. Arguments broadcast; dtypes are never promoted. */
export const elementwiseRows: readonly OpRow[] = [
  ...arithmeticRows,
  ...mathRows,
  ...activationRows,
  ...logicRows,
  ...castRows,
];
