import type { TuningTable } from "../manifest/tuning.ts";
import type { Gpu } from "../runtime/gpu.ts";
import { identityOf, sameAdapter } from "./adapter.ts";

interface Shipped {
  readonly adapter: TuningTable["adapter"];
  /** A table is loaded when its adapter is met. */
  load(): Promise<{ readonly default: unknown }>;
}

const shipped: readonly Shipped[] = [
  {
    adapter: { vendor: "nvidia", architecture: "", device: "nvidia-h200" },
    load: () => import("./tables/h200.json", { with: { type: "json" } }),
  },
  {
    adapter: { vendor: "mesa", architecture: "software", device: "" },
    load: () => import("./tables/lavapipe.json", { with: { type: "json" } }),
  },
  {
    adapter: { vendor: "google", architecture: "swiftshader", device: "" },
    load: () => import("./tables/swiftshader.json", { with: { type: "json" } }),
  },
];

/** The table that is shipped for a device's adapter, if there is one. */
export function shippedTable(gpu: Pick<Gpu, "info" | "capabilities">): Promise<TuningTable> | undefined {
  const identity = identityOf(gpu);
  const known = shipped.find((s) => sameAdapter(s.adapter, identity));
  return known?.load().then((table) => table.default as TuningTable);
}
