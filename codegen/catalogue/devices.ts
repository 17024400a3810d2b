import type { ErrorSection } from "./entry.ts";

export const devices: ErrorSection = {
  title: "Sizes and devices",
  intro: "Raised by `bind`, `manifest`, `explain`, `load`, `warmup` and `openDevice`.",
  errors: [
    {
      code: "unbound-dim",
      summary: "a named dim has no size",
      text: `
Kernels of a program are written for known sizes, so every named dim needs one before they are: at \`load(gpu, { dims: { T: 512 } })\`,
\`bind({ T: 512 })\` or \`manifest({ dims: { T: 512 } })\`. \`explain\` and \`memory\` assume the dim's hint instead. A program that runs without a session takes sizes
from its inputs.

\`pack\` and \`foreach\` lay tensors end to end, at places that are part of the program, and so take none with a named dim. Kernels that are built
ahead with \`defineKernel\` take sizes as data at each call.`,
      example: {
        wrong: 'compile({ x: f32(dim("T"), 64) }, ({ x }) => x.relu()).manifest();',
        right: 'compile({ x: f32(dim("T"), 64) }, ({ x }) => x.relu()).manifest({ dims: { T: 512 } });',
      },
    },
    {
      code: "unknown-dim",
      summary: "a size for a dim that the program does not have",
      text: "A size was given under a name that no dim of the program has. Names are case-sensitive; the nearest one is suggested.",
      example: {
        wrong: 'compile({ x: f32(dim("T")) }, ({ x }) => x.relu()).manifest({ dims: { t: 512 } });',
        right: 'compile({ x: f32(dim("T")) }, ({ x }) => x.relu()).manifest({ dims: { T: 512 } });',
      },
    },
    {
      code: "tensor-too-large",
      summary: "one tensor exceeds what a buffer binding of the device holds",
      text: `
WebGPU guarantees 128 MiB a binding and 256 MiB a buffer; many devices have more, and \`openDevice\` asks for all that there is. Programs
that are compiled without a device, by \`manifest\` or \`explain\`, are for the guaranteed limits unless \`capabilities\` says otherwise.

Store the tensor as f16, split it along an axis into several, or process it in chunks. For logits of a large vocabulary, a fused
cross-entropy never stores probabilities.`,
      example: {
        wrong: "compile({ x: f32(2 ** 28) }, ({ x }) => x.relu()).manifest();",
        right: "compile({ x: f32(2 ** 24) }, ({ x }) => x.relu()).manifest();",
      },
    },
    {
      code: "kernel-limits",
      summary: "one op needs more than the device allows, with nothing left to split",
      text: `
Fusion keeps every kernel within the device's limits and splits what exceeds them. A single op can still need more: a concat of
nine tensors binds ten buffers where eight are allowed. Do it in steps: \`concat([concat(first), concat(second)])\`.`,
    },
    {
      code: "workgroup-memory",
      summary: "a row kernel's states exceed the device's workgroup memory",
      text: `
A reduction whose state is very large (a \`reduce\` with dozens of state values) keeps a copy of it for every invocation of a workgroup. Use fewer
state values, or two reductions.`,
    },
    {
      code: "no-adapter",
      summary: "no WebGPU adapter could be opened; the message lists what was tried and what to install",
      text: `
In Node, adapters come from Dawn through the npm package \`webgpu\`: a GPU whose driver offers Vulkan, Metal or Direct3D 12, or else a software
adapter. \`sinter doctor\` says which of them there are on this machine and what is missing for the others.

In a browser, WebGPU needs a secure context (https or localhost) and a browser that has it switched on; \`chrome://gpu\` says why not. In a container or
over ssh, check that the GPU's device files are visible.`,
    },
    {
      code: "unknown-adapter",
      summary: "no adapter has that name",
      text: `
\`openDevice({ adapter })\` and the environment variable \`SINTER_ADAPTER\` take \`gpu\`, \`lavapipe\`, \`swiftshader\` or \`null\`: any real GPU, Mesa's software driver,
Google's software driver, and Dawn's backend that runs nothing.`,
      example: {
        wrong: 'await openDevice({ adapter: "swift" });',
        right: 'await openDevice({ adapter: "null" });',
      },
    },
    {
      code: "no-webgpu",
      summary: "the npm package `webgpu`, which Node needs, could not be loaded",
      text: `
Node has no WebGPU of its own. The package \`webgpu\` brings Dawn; it is an optional peer dependency of Sinter because browsers do not need it:
\`npm install webgpu\`. When it is installed and still fails, the cause holds the loader's message: mostly a C library that is too old, or a platform
without a prebuilt binary.`,
    },
    {
      code: "unknown-profile",
      summary: "no capability profile has that name",
      text: "The capability profiles are `base`, `subgroups`, `f16`, `lavapipe` and `h200`. `base` has what WebGPU guarantees everywhere.",
      example: {
        wrong: 'await openDevice({ adapter: "null", profile: "basic" });',
        right: 'await openDevice({ adapter: "null", profile: "base" });',
      },
    },
    {
      code: "profile-unavailable",
      summary: "the adapter has less than the profile asks for",
      text: `
\`openDevice({ profile })\` opens a device with exactly the features and limits of the profile, to try how programs behave there. The adapter must
have at least these. Leave the profile out to get all that the adapter has.`,
    },
    {
      code: "feature-missing",
      summary: "a kernel needs a feature that the device lacks",
      text: `
The manifest was compiled for a device with shader-f16 or subgroups, and runs on one without. Compile it for this device
(\`manifest({ capabilities: gpu.capabilities })\`) or for the \`base\` profile, which runs everywhere. Library kernels choose by themselves.`,
    },
    {
      code: "feature-faulty",
      summary: "a warning: the device computes wrong numbers with a feature that it offers",
      text: `
Kernels with subgroups or subgroup matrices are tested on small data while the first program that uses them is loaded. Where a driver gives wrong numbers the program
is compiled again without the feature before \`load\` resolves, and so is everything after it on that device; a warm-up reports the event \`warning\`, and without a
listener the warning is on the console. Nothing needs to be done: results are right, and slower until the driver or the browser is updated.`,
    },
    {
      code: "device-too-small",
      summary: "a program compiled for a larger device",
      text: `
The manifest needs larger buffers, bindings or workgroups than this device offers, because it was compiled with the capabilities of another one.
Compile it again with \`capabilities: gpu.capabilities\`, or once with \`profiles.base\` for all devices.`,
    },
    {
      code: "bad-manifest",
      summary: "a stored program was damaged, edited, or written by another version",
      text: `
A manifest is plain data with a schema, and everything in it is checked before the GPU sees it; the message names the entry. Files that were cut short, edited, or
written by a version with another schema are refused as a whole. Build it again: manifests are results, never sources.`,
      example: {
        wrong: 'manifestFromJson("{}");',
        right: "manifestFromJson(manifestToJson(compile({ x: f32(4) }, ({ x }) => x.relu()).manifest()));",
      },
    },
  ],
};
