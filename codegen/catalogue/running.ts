import type { ErrorSection } from "./entry.ts";

export const running: ErrorSection = {
  title: "Loading and running",
  intro:
    "Raised by `load`, by runs, batches and tensors. What was refused was not submitted, and the session goes on working.",
  errors: [
    {
      code: "missing-input",
      summary: "no value for an input, a weight or a state",
      text: `
\`load\` takes weights and states, each run takes the other inputs, as trees like that of the specs. The message lists the paths that have no value. Where
names come from a file, the nearest name in it is suggested.`,
      example: {
        wrong:
          "const p = compile({ x: f32(4), y: f32(4) }, ({ x, y }) => x.add(y));\nawait (await p.load(gpu)).run({ x: new Float32Array(4) });",
        right:
          "const p = compile({ x: f32(4), y: f32(4) }, ({ x, y }) => x.add(y));\nawait (await p.load(gpu)).run({ x: new Float32Array(4), y: new Float32Array(4) });",
      },
    },
    {
      code: "extra-input",
      summary: "a value for something that is not given there",
      text: `
A value was given that nobody reads: a misspelt name, or a weight passed to a run that belongs to \`load\`. Passing over it in silence would hide
the mistake. To load a file that holds more than the model needs, use \`fromNames(…, { ignoreOthers: true })\`.`,
      example: {
        wrong:
          "const s = await compile({ x: f32(4) }, ({ x }) => x.relu()).load(gpu);\nawait s.run({ x: new Float32Array(4), xs: new Float32Array(4) });",
        right:
          "const s = await compile({ x: f32(4) }, ({ x }) => x.relu()).load(gpu);\nawait s.run({ x: new Float32Array(4) });",
      },
    },
    {
      code: "bad-tuning-table",
      summary: "what was given as a tuning table is none, or one of another release",
      text: `
A tuning table is what \`sinter tune\` writes: \`version\`, \`adapter\`, \`features\`, \`kernels\` and \`fusions\`, see [tuning.md](tuning.md). The cause names the first part of
it that is wrong. Names that this release does not know are no error: such an entry is passed over. \`tune\` and \`sinter tune\` also refuse to go on from the table of another adapter.`,
      example: {
        wrong: "await compile({ x: f32(4) }, ({ x }) => x.relu()).load(gpu, { tuning: { version: 1 } });",
        right: 'await compile({ x: f32(4) }, ({ x }) => x.relu()).load(gpu, { tuning: "off" });',
      },
    },
    {
      code: "wrong-size",
      summary: "a value with another number of elements or another shape",
      text: `
Values are matched with the declared shape before anything is uploaded. A typed array is flat, in row-major order, and must have as many elements as
the shape; nested lists must have its lengths. A named dim has one size per session (or per call of a library kernel): inputs that imply two
different sizes of \`T\` contradict each other.`,
      example: {
        wrong:
          "const s = await compile({ x: f32(4) }, ({ x }) => x.relu()).load(gpu);\nawait s.run({ x: new Float32Array(5) });",
        right:
          "const s = await compile({ x: f32(4) }, ({ x }) => x.relu()).load(gpu);\nawait s.run({ x: new Float32Array(4) });",
      },
    },
    {
      code: "wrong-dtype",
      summary: "a value of another dtype",
      text: `
A typed array must hold the elements of the input's dtype, or numbers that convert without loss. A \`Uint8Array\` given for f32 often is the bytes of
a file: make the view \`new Float32Array(bytes.buffer, bytes.byteOffset, count)\`. f16 takes a \`Float32Array\`, which is rounded, or a \`Uint16Array\` or \`Float16Array\` of halves.`,
      example: {
        wrong:
          "const s = await compile({ n: i32(4) }, ({ n }) => n.neg()).load(gpu);\nawait s.run({ n: new Float64Array(4) });",
        right:
          "const s = await compile({ n: i32(4) }, ({ n }) => n.neg()).load(gpu);\nawait s.run({ n: new Int32Array(4) });",
      },
    },
    {
      code: "wrong-value",
      summary: "a value of a kind that cannot be given",
      text: `
Values are typed arrays, numbers, nested lists of numbers, tensors of this device, or \`GPUBuffer\`s, in a tree like that of the specs. A promise lacks
its \`await\`; an integer input takes no fractions, and no number beyond its range.`,
      example: {
        wrong: 'const s = await compile({ x: f32(4) }, ({ x }) => x.relu()).load(gpu);\nawait s.run({ x: "0,1,2,3" });',
        right:
          "const s = await compile({ x: f32(4) }, ({ x }) => x.relu()).load(gpu);\nawait s.run({ x: [0, 1, 2, 3] });",
      },
    },
    {
      code: "bad-buffer",
      summary: "a `GPUBuffer` that is too small, mapped, or lacks a usage",
      text: `
A buffer of the caller's is bound as it is, so it must hold the whole tensor from the offset on, be unmapped, and have the usages that the call needs: \`STORAGE\`
to be bound, \`COPY_SRC\` to be copied from. Usages are fixed when a buffer is created. Two tensors that one kernel writes may not lie in overlapping parts of a buffer.`,
      example: {
        wrong:
          "const s = await compile({ x: f32(4) }, ({ x }) => x.relu()).load(gpu);\nconst x = gpu.device.createBuffer({ size: 16, usage: GPUBufferUsage.COPY_DST });\nawait s.run({ x });",
        right:
          "const s = await compile({ x: f32(4) }, ({ x }) => x.relu()).load(gpu);\nconst { STORAGE, COPY_SRC, COPY_DST } = GPUBufferUsage;\nconst x = gpu.device.createBuffer({ size: 16, usage: STORAGE | COPY_SRC | COPY_DST });\nawait s.run({ x });",
        shown: true,
      },
    },
    {
      code: "wrong-device",
      summary: "a tensor or session of another device",
      text: `
GPU memory belongs to the device that made it, and two calls of \`openDevice\` give two devices even on one card. Open one and use it for all, or move the values
through the CPU: \`await tensor.data()\`.`,
    },
    {
      code: "disposed",
      summary: "the tensor, session, batch or device was disposed",
      text: `
Something was used after \`dispose()\`, or after the \`using\` declaration that held it left its block. Disposing a device ends all its sessions and tensors. Read or
copy results before they go.`,
      example: {
        wrong:
          "const s = await compile({ x: f32(4) }, ({ x }) => x.relu()).load(gpu);\ns.dispose();\nawait s.run({ x: [1, 2, 3, 4] });",
        right:
          "const s = await compile({ x: f32(4) }, ({ x }) => x.relu()).load(gpu);\nawait s.run({ x: [1, 2, 3, 4] });\ns.dispose();",
      },
    },
    {
      code: "late-pipeline",
      summary: "a kernel would be compiled after the warm-up, while a strict session lives",
      text: `
Compiling a kernel takes from milliseconds to seconds, in the middle of a step. A strict session promises that this does not happen: all pipelines
were made by a warm-up, and any other on its device is an error. Load or \`warmup\` every program before the strict session starts, including the second sequence length and
the evaluation step.`,
    },
    {
      code: "not-loaded",
      summary: "a program with weights or state was given to a batch without a session",
      text: "A batch runs a bare program only when all its inputs come with the run. Weights and state live in a session: `program.load(gpu, { weights, state })`, and pass that.",
    },
    {
      code: "not-submitted",
      summary: "a batch's result was read before the batch was submitted",
      text: `
A batch collects runs and submits them at once. Until then its results are only promised: they can be inputs of later runs of the batch, but have no
data. Read them after \`await batch.submit()\`.`,
    },
    {
      code: "already-submitted",
      summary: "a batch was used after its submit",
      text: "A batch is one submit to the GPU and cannot be reopened. Start a new one with `gpu.batch()`; sessions and buffers are reused, so a new batch costs nothing.",
    },
    {
      code: "foreign-handle",
      summary: "a result of another batch was given to a batch",
      text: "Within a batch, results are handed on without being stored. Across batches, submit the first and pass its result's `.tensor`.",
    },
    {
      code: "aborted",
      summary: "the `signal` was aborted",
      text: `
The \`AbortSignal\` given to the call was aborted; the cause is its reason. Nothing is held: buffers of a load that was cut short are free again, and what is already on the
GPU ends by itself. The call can be made again.`,
      example: {
        wrong: "await compile({ x: f32(4) }, ({ x }) => x.relu()).load(gpu, { signal: AbortSignal.abort() });",
        right: "await compile({ x: f32(4) }, ({ x }) => x.relu()).load(gpu, { signal: new AbortController().signal });",
      },
    },
    {
      code: "timeout",
      summary: "the device did not answer in time (`openDevice({ timeoutMs })`)",
      text: `
Every wait has an end, five minutes by default. Software adapters can take longer for a large model's step or for hundreds of kernels: raise
\`timeoutMs\`. On a GPU a wait of that length mostly means that the driver hangs.`,
    },
    {
      code: "device-lost",
      summary: "the GPU was lost: open a new device and load again",
      text: `
The driver was reset or updated, the computer slept, the page was in the background too long, or a kernel ran so long that the operating system stopped it.
Everything on the device is gone, and all pending calls end with this error. Open a new device, load again from values on the CPU and repeat what was not read back. Long jobs
should save their state now and then.`,
    },
    {
      code: "out-of-memory",
      summary: "the GPU has no memory left, after free buffers were given back",
      text: `
Before this is raised, buffers that are free for reuse were destroyed and the allocation was tried again. Dispose results and sessions that are done with (a result
that is only dropped stays until it is garbage-collected), donate what is replaced, use smaller batches, or \`checkpoint\` parts of a training step.
\`program.memory()\` shows what takes how much, and when.`,
    },
    {
      code: "memory-damaged",
      summary: "on a device opened with `checkMemory`: a kernel wrote outside of its tensors, which is a bug in Sinter",
      text: `
With \`checkMemory: true\` there are guards behind all tensors, and they are read after each run. One was overwritten. The cause names the dispatches between which it happened:
please report it with the program.`,
    },
    {
      code: "buffer-too-large",
      summary: "more bytes than one buffer of the device may have",
      text: "A tensor, or the elements of one run together, exceed the device's `maxBufferSize`. Split the tensor, use a smaller batch, or store it as f16.",
    },
    {
      code: "no-timestamps",
      summary: "profiling on a device without timestamp queries",
      text: `
Times of single kernels need the WebGPU feature \`timestamp-query\`. Without it measure whole runs: the time from before a run until \`await gpu.idle()\`, over many
runs. Chrome has the feature when started with \`--enable-dawn-features=allow_unsafe_apis\`.`,
    },
    {
      code: "too-many-dispatches",
      summary: "profiling a program of more dispatches than can be timed",
      text: "A query set holds 4096 timestamps, two for each dispatch. Profile a part of the program.",
    },
  ],
};
