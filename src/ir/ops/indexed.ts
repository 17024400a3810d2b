import type { OpRow } from "../op.ts";

export const indexedRows: readonly OpRow[] = [];
