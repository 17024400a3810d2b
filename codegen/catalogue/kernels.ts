import type { ErrorSection } from "./entry.ts";

export const kernels: ErrorSection = {
  title: "Kernels built ahead",
  intro: "Raised for `*.kernel.ts` files by `sinter build`, `check`, `watch` and the bundler plugins.",
  errors: [
    {
      code: "unsupported-syntax",
      summary: "the body of an `elementwise` or `reduction` function has syntax that cannot become a kernel",
      text: `
Bodies are read from the source, never run for it: what stands there becomes arithmetic of a kernel. Numbers, booleans, objects and arrays of them, \`const\` and \`let\`,
\`if\` and \`?:\`, bounded \`for\`, \`Math.*\`, and calls to other such functions can. Text, classes, exceptions, \`await\`, \`while\`, \`switch\` and anything from outside that is not a
constant cannot. The place is the piece of syntax itself and the help says what to write instead; the rest of the file may use anything.`,
      example: {
        wrong:
          "export const step = elementwise((x: number) => {\n  switch (x > 0) { case true: return x; default: return 0; }\n});",
        right: "export const step = elementwise((x: number) => (x > 0 ? x : 0));",
        shown: true,
      },
    },
    {
      code: "not-constant",
      summary: "a number in a body must be known when it is built: a loop's bound, an index, a shift",
      text: `
Loops of a body are written out, and arrays are values with names: how often a loop runs and which element is read must not depend on a parameter. Use a literal or a
\`const\` of the file. To run over the elements of a tensor, reduce over its axis; to pick by a computed index, \`gather\`.`,
      example: {
        wrong:
          "export const power = elementwise((x: number, n: number) => {\n  let y = 1;\n  for (let i = 0; i < n; i++) y *= x;\n  return y;\n});",
        right: "export const power = elementwise((x: number, n: number) => x ** n);",
        shown: true,
      },
    },
    {
      code: "body-too-large",
      summary: "a body has more operations, calls or rounds of loops than a kernel should have",
      text: `
Loops and calls are written out, so a few lines can become thousands of operations, which shader compilers take minutes for. Compute what is used twice once, as a
\`const\`; loop less often; or let a reduction over an axis do the repetition.`,
    },
    {
      code: "recursive-function",
      summary: "a function or constant of a body is defined by itself",
      text: `
Calls are written out in place, which never ends for a function that calls itself, directly or through others. Write it as a loop with a constant bound.`,
      example: {
        wrong: "const power = (x: number, n: number): number => (n === 0 ? 1 : x * power(x, n - 1));",
        right: "const cube = (x: number): number => x * x * x;",
        shown: true,
      },
    },
    {
      code: "bad-state",
      summary: "init, map and combine of a `reduction` give states of different forms",
      text: `
A reduction carries one state from element to element: a number, an array or an object of numbers. \`init\`, \`map\` and \`combine\` must give it in the same form, with the same properties
or as many elements, since any of the three may be combined with any other.`,
      example: {
        wrong:
          "export const mean = reduction({\n  init: () => ({ n: 0, sum: 0 }),\n  map: (x: number) => ({ sum: x }),\n  combine: (a, b) => ({ n: a.n + b.n, sum: a.sum + b.sum }),\n});",
        right:
          "export const mean = reduction({\n  init: () => ({ n: 0, sum: 0 }),\n  map: (x: number) => ({ n: 1, sum: x }),\n  combine: (a, b) => ({ n: a.n + b.n, sum: a.sum + b.sum }),\n  result: (s) => s.sum / s.n,\n});",
        shown: true,
      },
    },
    {
      code: "unknown-name",
      summary: "a body uses a name that is not declared, or not where a build can read it",
      text: `
Names in a body are parameters, locals, constants and functions of the file, and those that it imports from files by relative paths. What comes from packages, from the
environment or from a \`let\` at the top of the file has no fixed value in the source.`,
    },
    {
      code: "syntax-error",
      summary: "a kernel file is no valid TypeScript",
      text: `
The parser stopped at the place; mistakes often lie a line above it. Nothing was written: the generated files are those of the last build that succeeded. Types are not checked by a
build: run \`tsc\` for that.`,
    },
    {
      code: "no-kernel-files",
      summary: "no file matches the globs of the build",
      text: `
Kernel files are those that \`include\` of the config matches, \`**/*.kernel.ts\` by default, outside of \`node_modules\`, \`dist\` and folders whose names begin with a dot. Globs on the command
line choose among them, and are relative to the current folder; quote them, so that the shell leaves them as they are.`,
    },
    {
      code: "no-kernels",
      summary: "a kernel file exports no kernel",
      text: `
A bundler imports a \`*.kernel.ts\` file for its kernels: exports that \`defineKernel\`, \`elementwise\`, \`reduction\` or \`wgslKernel\` returned. Functions that kernels only share are better off in a
file of another name.`,
    },
    {
      code: "no-such-kernel",
      summary: "a page asks for a kernel that its file no longer has",
      text: "The bundle that a page runs is older than the kernel file: a kernel was renamed or removed since. Load the page again, or build again what imports it.",
    },
    {
      code: "kernel-import",
      summary: "a kernel file imports something that is not there, or that a build must not read",
      text: `
What a kernel file generates must be the same on every machine, so it may import other files, packages, \`sinter\` and \`sinter/nn\`, but none of Node's modules: a kernel that
depends on a file read at build time, on the time or on the environment could not be checked. Import data as a module or as JSON.`,
      example: {
        wrong:
          'import { readFileSync } from "node:fs";\nconst { width } = JSON.parse(readFileSync("model.json", "utf8"));',
        right: 'import { width } from "./model.json";',
        shown: true,
      },
    },
    {
      code: "kernel-threw",
      summary: "a kernel file threw an exception when it was run",
      text: `
A build runs each kernel file once, to get what it exports. It has no device, no page and no files there. Move what needs these into other modules; the place is the innermost line of
your sources on the stack.`,
    },
    {
      code: "not-built",
      summary: "a definition was used as if a build had made a kernel of it",
      text: `
\`defineKernel\`, \`elementwise\`, \`reduction\` and \`wgslKernel\` describe kernels; texts and signatures are made by a build. On numbers an \`elementwise\` function is an ordinary function and
runs anywhere, but on tensors its source must have been read, and a runtime takes generated modules only. Run \`sinter build\` and import from \`./generated/…\`, or
bundle with the plugin of \`sinter/esbuild\` or \`sinter/vite\`, which turns an import of the kernel file into the generated module.`,
      example: {
        wrong: "const square = elementwise((x) => x * x);\ncompile({ x: f32(4) }, ({ x }) => square(x));",
        right: "const square = elementwise((x) => x * x);\nsquare(3);",
      },
    },
    {
      code: "bad-kernel-name",
      summary: "a kernel's name is not an identifier",
      text: `
The name becomes an exported identifier and part of file names: up to 100 letters, digits, \`_\` and \`$\`, and no digit first, no word that JavaScript or a file system keeps for
itself. It is best the name of the export.`,
      example: {
        wrong: 'defineKernel({ name: "layer-norm", inputs: { x: f32(dim("n")) } }, ({ x }) => ({ y: x.relu() }));',
        right: 'defineKernel({ name: "layerNorm", inputs: { x: f32(dim("n")) } }, ({ x }) => ({ y: x.relu() }));',
      },
    },
    {
      code: "name-clash",
      summary: "two things that are given or generated by name have the same one",
      text: `
Tensors, sizes and scalars of a call, kernels of a folder and files of a build are found by name, files on some systems without regard to capitals. An output that has the name of
an input replaces it in place when the input is listed in \`donate\`; otherwise rename one of the two.`,
    },
    {
      code: "not-uniform",
      summary: "a kernel cannot be written for all sizes",
      text: `
A kernel that is built ahead has one text for all sizes of its named dims: it is compiled at several, and where the texts differ by more than numbers there is no
such text. The cause says where they part. Mostly the structure depends on a size: a split into a number of parts that follows from a dim, a reduction of two
stages above some length, a schedule that changes.

Make that size a plain number, or add \`variants\` whose sizes lie closer together: \`variants: [{ name: "long", min: { cols: 4096 } }]\`.`,
    },
    {
      code: "bad-variant",
      summary: "a variant's conditions leave too few sizes, or contradict each other",
      text: `
A text for all sizes of a variant is found by comparing kernels at several of them, so a variant must allow a few sizes that are far enough apart. A class of one or two sizes is
better a kernel of its own with the size as a number.`,
    },
    {
      code: "bad-dtype",
      summary: "a scalar of a kernel has a dtype that cannot be passed as a word",
      text: `
Scalars (inputs of shape \`[]\`) are passed as 32-bit words beside the sizes: f32, i32 or u32. Cast inside the kernel: in f16 variants too, an f32 scalar is the better choice.`,
    },
    {
      code: "bad-donation",
      summary: "an input cannot be replaced in place",
      text: `
A kernel of \`donate\` writes its result over the input, while other invocations still read: that is right only where each element is computed from the very element that it replaces,
and no later kernel of the same definition reads the old value. Return the new value under another name, into a buffer of its own.`,
    },
    {
      code: "outside-root",
      summary: "a build would read or write outside of its root",
      text: `
Generated files lie in a folder beside each kernel file, and never outside of the root, the config's folder unless it says otherwise. An \`outDir\` that is absolute or has \`..\` in it, a
kernel file above the root and a symbolic link that leads out of it are refused before anything is written.`,
      example: {
        wrong: 'export default defineConfig({ outDir: "../../shared" });',
        right: 'export default defineConfig({ root: "../..", outDir: "generated" });',
        shown: true,
      },
    },
    {
      code: "foreign-file",
      summary: "a file that the build did not write is where a generated one must be",
      text: `
A build overwrites and removes only what it wrote itself: files that its manifest lists or that bear its header. Anything else stays as it is, and a kernel that needs its name is refused. Move the file out
of the generated folder, or rename the kernel.`,
    },
    {
      code: "no-such-folder",
      summary: "the root is no folder",
      text: "`root` of the config, or of the call of `build`, names a folder that is not there. It is relative to the config's folder.",
    },
    {
      code: "cannot-read",
      summary: "a folder of generated files cannot be read",
      text: "The operating system refused to list a folder; its reason is in the message. Nothing was written. Check its permissions.",
    },
    {
      code: "cannot-write",
      summary: "generated files cannot be written",
      text: `
The operating system refused; its reason is in the message. All files of a build are first written beside their places and then moved, so no file is half written, but some may be new and others
old: build again when there is space and permission, and \`sinter check\` says whether all is well.`,
    },
    {
      code: "wgsl-syntax",
      summary: "the text given to `wgslKernel` cannot be read",
      text: "Line and column count from the beginning of the text. Only declarations are read here (bindings, structs, overrides, entry points); what stands inside functions is checked by `wgsl-compile`.",
    },
    {
      code: "wgsl-compile",
      summary: "the text given to `wgslKernel` does not compile",
      text: `
The build compiles the text with Dawn, without a GPU, where the package \`webgpu\` is installed. Line, column and message are the compiler's, counted from the beginning of the
text. Without the package the same mistake is found when the kernel is first used.`,
    },
    {
      code: "wgsl-entry-point",
      summary: "the text given to `wgslKernel` has no compute entry point, or several",
      text: 'Write `@compute @workgroup_size(64)` before the function to run. Where there are several, choose: `wgslKernel(source, { entry: "main" })`.',
    },
    {
      code: "wgsl-unsupported",
      summary: "the text given to `wgslKernel` binds something that no tensor can be given for",
      text: `
A kernel of a program reads and writes tensors: storage buffers that are arrays of numbers or vectors, or structs of numbers, in bind group 0, and uniform buffers of numbers. Textures,
samplers, other groups, structs that end in an array, matrices as arguments and WGSL extensions other than f16 and subgroups have no counterpart. Pass their contents as plain arrays.`,
      example: {
        wrong: "wgslKernel(`@group(0) @binding(0) var image: texture_2d<f32>; …`);",
        right: "wgslKernel(`@group(0) @binding(0) var<storage, read> image: array<vec4<f32>>; …`);",
        shown: true,
      },
    },
    {
      code: "unknown-output",
      summary: "`outputs` of a `wgslKernel` names a buffer that the text does not write",
      text: "Outputs are buffers that the text declares as `var<storage, read_write>`. One that is only read is an input, given in the first argument.",
    },
    {
      code: "missing-output",
      summary: "a buffer that a `wgslKernel` writes is not among its `outputs`",
      text: "Shapes do not follow from WGSL: every buffer that the text may write is declared by its spec, `{ outputs: { y: f32(rows, cols) } }`. An input that is changed in place is given and declared under the same name.",
    },
    {
      code: "missing-override",
      summary: "an override of a `wgslKernel` has no value",
      text: "The text declares `override name: type;` without a default. Give it one, or a value at the call: `{ overrides: { name: 4 } }`.",
    },
  ],
};

export const calls: ErrorSection = {
  title: "Calling generated kernels",
  intro:
    "Raised by `createRuntime` of `sinter/runtime`, by `warmup` and `run`. A call that was refused recorded nothing.",
  errors: [
    {
      code: "not-warmed",
      summary: "a kernel was run whose texts are loaded by a warm-up only",
      text: `
f32 texts for all devices are in a generated module itself; those for f16 and for subgroups are modules of their own, loaded when a device can use them, which takes an await that \`run\`
does not have. Warm up at load: \`await runtime.warmup([{ kernel: layerNorm, dtype: "f16" }])\`.`,
    },
    {
      code: "kernel-load-failed",
      summary: "a module with a kernel's texts could not be loaded",
      text: `
The runtime imports the module of the best variant for the device. It is missing from the server, or the bundler did not emit it: check that the files beside the bundle are
deployed with it. Where there are other texts that run, this is a warning and they are used.`,
    },
    {
      code: "aliased-buffers",
      summary: "tensors of one call overlap, or share a buffer of which one is written",
      text: `
In one dispatch, WebGPU lets a buffer be read or be written, as a whole, and ranges that are written must not overlap. So a tensor that is written needs a buffer in which nothing is
read; several that are written may share one if they begin at multiples of 256 bytes. Kernels that update a tensor in place take it once.`,
    },
    {
      code: "too-many-workgroups",
      summary: "a call needs more workgroups than a dispatch can have",
      text: "A dispatch has at most 65,535 workgroups in each of two dimensions here. Tensors of that size come in parts: call the kernel on each.",
    },
  ],
};
