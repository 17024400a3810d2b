import type { OpRow } from "../op.ts";

export const viewRows: readonly OpRow[] = [];
