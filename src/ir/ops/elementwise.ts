import type { OpRow } from "../op.ts";

export const elementwiseRows: readonly OpRow[] = [];
