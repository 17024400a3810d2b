import { afterAll, describe, expect, test } from "vitest";
import type { Capabilities, KernelSpec, Manifest } from "../../src/manifest/manifest.ts";
import { type Gpu, openDevice } from "../../src/node/runtime.ts";
import { profiles } from "../../src/runtime/profiles.ts";
import { aliases } from "../plan/replay.ts";
import { compiledFor, type FuseMode } from "./kernels.ts";
import { dispatchProblems, kernelProblems } from "./limits.ts";

const opened: Gpu[] = [];
afterAll(() => {
  for (const g of opened) g.dispose();
});

/** Dawn's backend that runs nothing: its front end and its validation are those of every other backend. */
async function nullDevice(profile?: "base"): Promise<GPUDevice> {
  const gpu = await openDevice({ adapter: "null", profile });
  opened.push(gpu);
  return gpu.device;
}

/** What the shader compiler and, with `pipeline`, the device have against a kernel. */
async function refusals(device: GPUDevice, k: KernelSpec, pipeline: boolean): Promise<string[]> {
  device.pushErrorScope("validation");
  const module = device.createShaderModule({ code: k.wgsl });
  if (pipeline) {
    const layout = device.createBindGroupLayout({
      entries: k.bindings.map((access, binding) => ({
        binding,
        visibility: 4,
        buffer: { type: access === "read" ? ("read-only-storage" as const) : ("storage" as const) },
      })),
    });
    device.createComputePipeline({
      layout: device.createPipelineLayout({ bindGroupLayouts: [layout] }),
      compute: { module, entryPoint: k.entryPoint },
    });
  }
  const error = await device.popErrorScope();
  const info = await module.getCompilationInfo();
  const messages = info.messages.filter((m) => m.type === "error").map((m) => `${m.lineNum}:${m.linePos} ${m.message}`);
  return error ? [...messages, error.message] : messages;
}

/** Windows of dispatches that overlap where they must not, and places in a buffer that not every device binds. */
function windowProblems(m: Manifest): string[] {
  return [...m.setup, ...m.dispatches].flatMap((d) => {
    const k = m.kernels[d.kernel] as KernelSpec;
    const odd = d.bindings.filter((w) => w.offset % 256 !== 0).map((w) => `offset ${w.offset}`);
    return [...aliases(d, k), ...odd].map((p) => `${k.label}: ${p}`);
  });
}

/** Compiles every program for a device and lists what is wrong with its kernels, each kernel looked at once. */
async function check(device: GPUDevice, c: Capabilities, pipeline: boolean, modes: readonly FuseMode[]) {
  const seen = new Set<string>();
  const problems: string[] = [];
  const failed = (p: string): void => void problems.push(p);
  for (const { name, manifest } of compiledFor(c, { modes, failed })) {
    for (const p of [...dispatchProblems(manifest, c), ...windowProblems(manifest)]) problems.push(`${name}: ${p}`);
    for (const k of manifest.kernels) {
      if (seen.has(k.key)) continue;
      seen.add(k.key);
      for (const p of [...kernelProblems(k, c), ...(await refusals(device, k, pipeline))]) {
        problems.push(`${name}: ${k.label}: ${p}\n${k.wgsl}`);
      }
    }
  }
  return { problems, kernels: seen.size };
}

describe("every program compiles under WebGPU's base limits", () => {
  for (const software of [false, true]) {
    test(`to pipelines, software: ${software}`, async () => {
      const c = { ...profiles.base, software };
      const { problems, kernels } = await check(
        await nullDevice("base"),
        c,
        true,
        software ? ["profit", "legal"] : ["profit", "legal", "off"],
      );
      expect(problems).toEqual([]);
      expect(kernels).toBeGreaterThan(300);
    });
  }
});

describe("larger variants compile to shader modules within their profile's limits", () => {
  for (const name of ["subgroups", "f16", "lavapipe", "h200"] as const) {
    for (const software of [false, true]) {
      test(`${name}, software: ${software}`, async () => {
        const { problems, kernels } = await check(await nullDevice(), { ...profiles[name], software }, false, [
          "profit",
        ]);
        expect(problems).toEqual([]);
        expect(kernels).toBeGreaterThan(300);
      });
    }
  }
});

test.each(["f16", "lavapipe", "h200"] as const)("no dispatch aliases what it writes, unfused: %s", (name) => {
  const problems: string[] = [];
  let dispatches = 0;
  for (const { name: program, manifest } of compiledFor(profiles[name], { modes: ["off"] })) {
    for (const p of windowProblems(manifest)) problems.push(`${program}: ${p}`);
    dispatches += manifest.setup.length + manifest.dispatches.length;
  }
  expect(problems).toEqual([]);
  expect(dispatches).toBeGreaterThan(500);
});

test("the device refuses what it should: a kernel that does not compile, and one beyond the limits", async () => {
  const device = await nullDevice("base");
  const [first] = compiledFor(profiles.base);
  const good = first?.manifest.kernels[0] as KernelSpec;
  expect(await refusals(device, good, true)).toEqual([]);
  const broken = { ...good, wgsl: good.wgsl.replace("let group", "let 1group") };
  expect((await refusals(device, broken, false)).join()).toMatch(/^\d+:\d+ /);
  const wide = { ...good, wgsl: good.wgsl.replace(/@workgroup_size\([^)]*\)/, "@workgroup_size(512, 1, 1)") };
  expect(await refusals(device, wide, true)).not.toEqual([]);
  expect(kernelProblems(wide, profiles.base)).toContain("512 invocations a workgroup");
  const many = { ...good, bindings: new Array(9).fill("read" as const) };
  expect(await refusals(device, many, true)).not.toEqual([]);
});
