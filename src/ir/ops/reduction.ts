import type { OpRow } from "../op.ts";

export const reductionRows: readonly OpRow[] = [];
