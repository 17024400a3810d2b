import type { AdapterIdentity, TuningTable } from "../manifest/tuning.ts";
import type { Gpu } from "../runtime/gpu.ts";

/** What a tuning table belongs to. A CPU adapter's device names the version of its compiler, which is left out. */
export function identityOf({ info, capabilities }: Pick<Gpu, "info" | "capabilities">): AdapterIdentity {
  return {
    vendor: info?.vendor ?? "",
    architecture: info?.architecture ?? "",
    device: capabilities.software ? "" : (info?.device ?? "").replace(/-+$/, ""),
  };
}

/** Are these one kind of adapter? Of browsers only vendor and architecture are known. */
export function sameAdapter(a: AdapterIdentity, b: AdapterIdentity): boolean {
  if (a.vendor === "" || a.vendor !== b.vendor || a.architecture !== b.architecture) return false;
  if (a.device === "" || b.device === "") return a.architecture !== "";
  return a.device === b.device;
}

/** Whether measurements of a device may join a table: it is of the same adapter, or of one that tells no name. */
export const mayJoin = (table: TuningTable, gpu: Pick<Gpu, "info" | "capabilities">): boolean =>
  table.adapter.vendor === "" || sameAdapter(table.adapter, identityOf(gpu));

/** Names of the features that kernels can use, for people. */
export const featuresOf = ({ capabilities }: Pick<Gpu, "capabilities">): readonly string[] =>
  Object.entries(capabilities.features).flatMap(([name, has]) => (has ? [name] : []));
