import type { OpRow } from "../op.ts";

/** Rows that exist for differentiation: they steer it and have no arithmetic of their own. */
export const gradientRows: readonly OpRow[] = [];
