import type { Graph } from "../../src/ir/graph.ts";
import { type NDArray, ndarray } from "../../src/ir/ndarray.ts";
import type { Manifest, PortSpec } from "../../src/manifest/manifest.ts";
import type { Gpu } from "../../src/runtime/gpu.ts";
import { loadManifest, type Session } from "../../src/runtime/session.ts";
import { hostData } from "../support/gpu.ts";

export type Inputs = Readonly<Record<string, NDArray>>;

const given = (ports: readonly PortSpec[], inputs: Inputs) =>
  Object.fromEntries(ports.map((p) => [p.name, hostData(p.dtype, (inputs[p.name] as NDArray).data)]));

export const load = (gpu: Gpu, m: Manifest, inputs: Inputs): Promise<Session> =>
  loadManifest(gpu, m, { weights: given(m.weights, inputs), state: given(m.state, inputs) });

/** Every result of one run by name, state included. */
export async function runOnce(session: Session, inputs: Inputs): Promise<Record<string, NDArray>> {
  const results = await session.run(given(session.manifest.inputs, inputs));
  const out: Record<string, NDArray> = {};
  for (const [name, t] of Object.entries({ ...results, ...session.state })) {
    out[name] = ndarray(t.dtype, t.shape, await t.data());
  }
  for (const t of Object.values(results)) t.dispose();
  return out;
}

/** Random inputs are of no use here: a ramp that fits every dtype. */
export const rampInputs = (graph: Graph): Record<string, NDArray> =>
  Object.fromEntries(
    graph.inputs.map((n) => {
      const shape = n.type.shape as readonly number[];
      const size = shape.reduce((p, d) => p * d, 1);
      const { dtype } = n.type;
      const data = Float64Array.from({ length: size }, (_, i) =>
        dtype === "bool" ? i % 2 : dtype.startsWith("f") ? ((i * 7) % 32) / 8 - 2 : i % 8,
      );
      return [n.attrs.name as string, { dtype, shape, data }];
    }),
  );
