import type { ErrorSection } from "./entry.ts";

export const helpers: ErrorSection = {
  title: "Testing helpers",
  intro: "Raised by `sinter/testing`.",
  errors: [
    {
      code: "kernel-count",
      summary: "`expectKernels` found another number of kernels",
      text: `
The message holds the table of kernels and, under \`not fused\`, a reason for every tensor that passes through memory between two of them. More kernels than expected: read
these reasons. Fewer: fusion got better, and the number can be lowered.`,
      example: {
        wrong: "expectKernels(compile({ x: f32(8, 64) }, ({ x }) => x.softmax()), 2);",
        right: "expectKernels(compile({ x: f32(8, 64) }, ({ x }) => x.softmax()), 1);",
      },
    },
    {
      code: "not-fused",
      summary: "`expectFused` found no kernel with all of the ops",
      text: `
No single kernel computes all the named ops. Names are those of the table in the message: composites such as softmax or gelu's tanh form appear as
the ops they decompose into.`,
      example: {
        wrong:
          'const p = compile({ x: f32(8, 64), w: f32(64, 64) }, ({ x, w }) => x.matmul(w).softmax());\nexpectFused(p, "matmul", "exp");',
        right:
          'const p = compile({ x: f32(8, 64), w: f32(64, 64) }, ({ x, w }) => x.matmul(w).relu());\nexpectFused(p, "matmul", "relu");',
      },
    },
  ],
};

export const graphs: ErrorSection = {
  title: "Graph text",
  intro:
    "Raised by the parser, the verifier and the interpreter of graphs, which tests and tools use. Places are in the graph's text.",
  errors: [
    {
      code: "parse-error",
      summary: "the text is not a graph",
      text: "The place is the first token that does not fit, and the message says what was expected there. `String(program)` prints a well-formed graph to compare with.",
    },
    {
      code: "unknown-op",
      summary: "no op has that name",
      text: "Ops of the graph are the rows of [ops.md](ops.md). Some have other names than the functions: the reductions `min` and `max` are `reduceMin` and `reduceMax`.",
    },
    {
      code: "bad-arity",
      summary: "an op with too many or too few arguments",
      text: "The message has the op's signature from the op table. Numbers are no arguments in a graph: write a `const`.",
    },
    {
      code: "bad-attribute",
      summary: "an attribute that is missing, unknown or of the wrong type",
      text: `
Attributes stand in braces after the arguments and are in their normal form: axes are positive and ascending, defaults are written out where they are not omitted. In the
language the same check reads options whose values cannot be.`,
    },
    {
      code: "bad-result",
      summary: "a result that the node does not have",
      text: "A node of several results is read by `result(%n) {index}`, counted from 0.",
    },
    {
      code: "tuple-argument",
      summary: "a node of several results where one tensor is needed",
      text: "Take one of the results first: `result(%n) {index: 0}`.",
    },
    {
      code: "type-mismatch",
      summary: "the type written down is not the one that follows",
      text: "Types in the text are checked against what follows from the op's rule. One of the two is wrong: mostly an operand was changed and not the types below it.",
    },
    {
      code: "invalid-graph",
      summary: "the graph breaks a rule of its form",
      text: `
The verifier runs after parsing and, in tests, after every pass: names are unique, arguments stand above their uses, types follow from the rows. After a pass this is a
bug of the pass; the cause holds the node.`,
    },
  ],
};

export const faults: ErrorSection = {
  title: "Faults of Sinter or of the driver",
  intro: "Not about your program. Please report them with the output of `explain()` and of `sinter doctor`.",
  errors: [
    {
      code: "kernel-compile-failed",
      summary: "a generated kernel does not compile",
      text: `
The browser or Dawn refused WGSL that Sinter wrote, although everything that can be wrong is checked before. The cause is the compiler's message. Until it is
repaired, \`{ fuse: "off" }\` or another capability profile often avoids the text.`,
    },
    {
      code: "gpu-validation",
      summary: "WebGPU refused a call",
      text: `
If buffers of your own are involved: they may be destroyed, mapped, or of another device; the hint names them. Otherwise Sinter asked for something
invalid, and the cause is WebGPU's message.`,
    },
    {
      code: "gpu-internal",
      summary: "the driver or Dawn failed",
      text: "The driver failed at something valid. Open a new device and load again; update the driver; if it repeats, report it with the adapter's name (`sinter doctor`).",
    },
    {
      code: "no-meaning",
      summary: "an op without a CPU meaning was interpreted",
      text: "The interpreter runs ops that have a meaning on the CPU or decompose into such. `wgslKernel`s have none unless one is given, and a call is interpreted only after it was inlined.",
    },
    {
      code: "no-decomposition",
      summary: "an op that does not decompose was asked to",
      text: "Only composites decompose. A pass asked for the decomposition of a primitive row.",
    },
    {
      code: "bad-derivative",
      summary: "an op's derivative has another shape or dtype than what it belongs to",
      text: "A rule in `src/ir/derivatives` returned a cotangent that does not fit its argument.",
    },
    {
      code: "unknown-helper",
      summary: "a kernel asks for a WGSL function that is not there",
      text: "A row names a helper that `src/ir/ops/helpers.ts` does not hold.",
    },
    {
      code: "state-output",
      summary: "a planned program has a state without its next value",
      text: "A graph was planned in which an input with the role of state has no output of its name. `compile` never makes such graphs.",
    },
  ],
};
