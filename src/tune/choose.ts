import { fail } from "../base/diagnostic.ts";
import type { Tuning, TuningTable } from "../manifest/tuning.ts";
import type { Gpu } from "../runtime/gpu.ts";
import { shippedTable } from "./shipped.ts";
import { checkTuningTable } from "./table.ts";

/** Shipped tables of devices, once they are there. */
const found = new WeakMap<Gpu, TuningTable | undefined>();

/**
 * The table that programs of a device are compiled by; a promise where a shipped one has to be loaded first.
 * @throws SinterError `bad-option`, `bad-tuning-table`
 */
export function tableFor(gpu: Gpu, tuning: Tuning): TuningTable | undefined | Promise<TuningTable | undefined> {
  if (tuning === "off") return undefined;
  if (typeof tuning === "object") return checkTuningTable(tuning);
  if (tuning !== "auto") {
    fail("bad-option", `tuning cannot be ${JSON.stringify(tuning)}`, {
      hint: 'give "auto", "off" or a table that sinter tune wrote',
    });
  }
  if (found.has(gpu)) return found.get(gpu);
  const loading = shippedTable(gpu);
  if (loading === undefined) return undefined;
  return loading.then((table) => {
    found.set(gpu, table);
    return table;
  });
}
