import type { Kinds } from "./options.ts";

/** Options of programs and their devices, which a page with library kernels alone does without. */
export const programOptions: Kinds = {
  maxSubmitMs: { is: (v) => typeof v === "number" && v > 0, what: "a number of milliseconds above 0" },
  read: { is: (v) => typeof v === "boolean", what: "true or false" },
  checkMemory: { is: (v) => typeof v === "boolean", what: "true or false" },
  powerPreference: {
    is: (v) => v === "low-power" || v === "high-performance",
    what: '"low-power" or "high-performance"',
  },
  statistics: { is: (v) => typeof v === "boolean", what: "true or false" },
  log: { is: (v) => Number.isInteger(v) && (v as number) >= 0, what: "a number of events" },
  runs: { is: (v) => Number.isInteger(v) && (v as number) >= 1, what: "a whole number of runs, 1 or more" },
  tuning: {
    is: (v) => v === "auto" || v === "off" || (typeof v === "object" && !Array.isArray(v)),
    what: '"auto", "off" or a tuning table',
  },
  timeoutMs: { is: (v) => typeof v === "number" && v > 0, what: "a number of milliseconds above 0" },
};
