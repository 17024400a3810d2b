import type { OpRow } from "../op.ts";

export const compositeRows: readonly OpRow[] = [];
