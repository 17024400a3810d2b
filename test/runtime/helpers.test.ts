import { expect, test, vi } from "vitest";
import { openAdapter } from "../../src/node/adapters.ts";
import { Compilers } from "../../src/node/compilers.ts";
import { loadManifest, openDevice } from "../../src/node/runtime.ts";
import { deviceDescriptor } from "../../src/runtime/capabilities.ts";
import { Gpu } from "../../src/runtime/gpu.ts";
import { chain } from "./programs.ts";

const steps = 12;
/** Every kernel of the chain with as much to compile as it takes to be worth a helper; what it computes stays. */
function long(): ReturnType<typeof chain> {
  const program = chain(64, steps);
  const lines = Array.from({ length: 60 }, (_, i) => `x = select(x, sin(x * ${i}.5) + ${i}.25, x > ${1000 + i}.0);`);
  const kernels = program.kernels.map((k, i) => {
    const wgsl = k.wgsl.replace(
      /(fn main[^{]*\{)/,
      `$1 var x = f32(${i}u); ${lines.join("\n")} if (x > 1e9) { return; }`,
    );
    return { ...k, wgsl, key: `${i}`.padStart(64, "a") };
  });
  return { ...program, kernels };
}

test("helpers whose work the driver does not find again: the results are right, and their devices are gone", async () => {
  const plain = await openDevice();
  const { adapterName: name, capabilities } = plain;
  const devices: GPUDevice[] = [];
  const open = async (): Promise<GPUDevice> => {
    const { adapter } = await openAdapter(name);
    const device = await adapter.requestDevice(deviceDescriptor(adapter));
    devices.push(device);
    return device;
  };
  const gpu = new Gpu(await open(), capabilities, {
    adapterName: name,
    compilers: (ended) => new Compilers({ most: 2, open }, ended),
  });
  const program = long();
  const x = Float32Array.from({ length: 64 }, (_, i) => i);
  const [expected, results] = await Promise.all(
    [plain, gpu].map(async (g) => {
      using session = await loadManifest(g, program, { strict: true });
      return (await session.run({ x })).y!.data();
    }),
  );
  expect(results).toEqual(expected);
  expect(gpu.counters.pipelines).toBe(program.kernels.length);
  // Those that did help are kept for ten seconds.
  const now = performance.now.bind(performance);
  const clock = vi.spyOn(performance, "now").mockImplementation(() => now() + 10_000);
  await Promise.all(devices.slice(1).map((d) => d.lost));
  clock.mockRestore();
  await gpu.idle();
  gpu.dispose();
  plain.dispose();
});
