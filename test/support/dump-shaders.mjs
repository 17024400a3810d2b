// Compiles kernels one after the other with Dawn's dump of what it hands to the driver on standard output: node dump-shaders.mjs LOADER < texts
import { constants } from "node:os";
import { text } from "node:stream/consumers";
import { create } from "webgpu";

try {
  // RTLD_NODELETE of glibc: Dawn finds the loader that is in the process already.
  process.dlopen({ exports: {} }, process.argv[2], constants.dlopen.RTLD_NOW | constants.dlopen.RTLD_GLOBAL | 0x1000);
} catch {
  // It is no addon of Node's; what counts is that it is loaded.
}
const gpu = create(["enable-dawn-features=allow_unsafe_apis,dump_shaders"]);
globalThis.keptForDawn = gpu;
const adapter = await gpu.requestAdapter();
const limits = [
  "maxStorageBuffersPerShaderStage",
  "maxComputeWorkgroupStorageSize",
  "maxComputeInvocationsPerWorkgroup",
];
const device = await adapter.requestDevice({
  requiredFeatures: ["subgroups", "shader-f16"].filter((f) => adapter.features.has(f)),
  requiredLimits: Object.fromEntries(
    [...limits, "maxComputeWorkgroupSizeX"].map((name) => [name, adapter.limits[name]]),
  ),
});
for (const code of JSON.parse(await text(process.stdin))) {
  const module = device.createShaderModule({ code });
  const { messages } = await module.getCompilationInfo();
  if (messages.some((m) => m.type === "error"))
    throw new Error(`${messages.map((m) => m.message).join("; ")}\n${code}`);
  await device.createComputePipelineAsync({ layout: "auto", compute: { module } });
}
