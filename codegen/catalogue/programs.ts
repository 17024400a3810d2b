import type { ErrorSection } from "./entry.ts";

export const programs: ErrorSection = {
  title: "Writing a program",
  intro: "Raised by `compile`, by gradients and by the ops inside, at the place of the call.",
  errors: [
    {
      code: "bad-arguments",
      summary: "too few arguments, or one that must be there is not",
      text: `
An argument is missing or is of a kind that the call cannot use. The message says what the call takes, in its order. Options always come last
and as an object: \`softmax(x, { axis: -1 })\`.`,
    },
    {
      code: "bad-option",
      summary: "an option of the wrong type, or a value it cannot have",
      text: `
The option exists, but not with this value. Where only certain words are allowed the nearest one is suggested; where a number must lie in a range
the cause says why.`,
      example: {
        wrong: 'compile({ x: f32(8) }, ({ x }) => x.relu(), { fuse: "all" });',
        right: 'compile({ x: f32(8) }, ({ x }) => x.relu(), { fuse: "legal" });',
      },
    },
    {
      code: "unknown-option",
      summary: "an option that the call does not have; the nearest name is suggested",
      text: `
Options that nobody reads are refused: a misspelt \`keepdims\` would otherwise change the result without a word. Compare the name with the
suggestion, or with the list of what the call knows.`,
      example: {
        wrong: "compile({ x: f32(8, 64) }, ({ x }) => x.sum({ axes: -1, keepdims: true }));",
        right: "compile({ x: f32(8, 64) }, ({ x }) => x.sum({ axes: -1, keepDims: true }));",
      },
    },
    {
      code: "not-a-tensor",
      summary: "something else where a tensor is needed",
      text: `
Ops take tensors that the function given to \`compile\` got, or that other ops returned. Arrays and typed arrays of the host are no tensors: make
them constants of the program with \`constant(…)\` or, better for anything large, declare them as inputs.

A promise here means an \`await\` is missing; \`undefined\` often is an input's misspelt name.`,
      example: {
        wrong: "compile({ x: f32(2) }, ({ x }) => x.add([1, 2]));",
        right: "compile({ x: f32(2) }, ({ x }) => x.add(constant([1, 2])));",
      },
    },
    {
      code: "no-tensor",
      summary: "an op got numbers only, so that no dtype follows",
      text: `
A plain number takes its dtype from a tensor beside it, and there is none. Either the computation belongs to JavaScript, done once while
tracing, or one of the numbers should be a tensor.`,
      example: {
        wrong: "compile({ x: f32(4) }, ({ x }) => x.mul(max(2, 3)));",
        right: "compile({ x: f32(4) }, ({ x }) => x.mul(Math.max(2, 3)));",
      },
    },
    {
      code: "no-operators",
      summary: "JavaScript's `+`, `<` and the like were used on a tensor: write `x.add(y)`",
      text: `
JavaScript has no operator overloading: \`x * 2\` asks the tensor for a number, and a symbolic tensor has none, since its elements exist only
when the program runs. Use the methods. For the same reason \`if (x > 0)\` cannot choose between elements: that is \`where(x.greater(0), a, b)\`.

In the bodies of \`elementwise\` and \`reduction\`, in a \`*.kernel.ts\` file, operators do work: they are read from the source.`,
      example: {
        wrong: "compile({ x: f32(4) }, ({ x }) => x.add(x * 2));",
        right: "compile({ x: f32(4) }, ({ x }) => x.add(x.mul(2)));",
      },
    },
    {
      code: "foreign-tensor",
      summary: "a tensor of another `compile`, or from outside a combine function",
      text: `
A symbolic tensor stands for a value of one program while that program is traced. Kept in a variable and used in another \`compile\`, it means nothing.
Declare it as an input of both. A combine function of \`reduce\` is a little program of its own and sees its two states only.`,
      example: {
        wrong:
          "let kept;\ncompile({ x: f32(4) }, ({ x }) => (kept = x));\ncompile({ y: f32(4) }, ({ y }) => y.add(kept));",
        right: "compile({ x: f32(4), y: f32(4) }, ({ x, y }) => y.add(x));",
      },
    },
    {
      code: "outside-trace",
      summary: "a random op outside the function given to `compile`",
      text: `
Every random op of a program draws from a stream of its own, numbered in the order of the calls, so that dropout of two layers never repeats. Outside a
traced function there is no such order.`,
    },
    {
      code: "bad-tree",
      summary: "inputs or results that are no tree of specs or tensors",
      text: `
Inputs are nested objects and arrays with specs (\`f32(2, 3)\`) as leaves; results the same with tensors. A leaf's name is its path, joined by dots, so
two leaves may not come to the same path. The function is called once and read at once: it cannot be async.

For optimisers, the state must be the tree that their \`…Init(params)\` makes.`,
      example: {
        wrong: "compile({ x: f32(4) }, async ({ x }) => x.relu());",
        right: "compile({ x: f32(4) }, ({ x }) => x.relu());",
      },
    },
    {
      code: "no-output",
      summary: "the function returned no tensor",
      text: "The function given to `compile` returned an empty object or array: a program without results has nothing to compute. One that returns nothing at all, such as an arrow function whose braces lack a `return`, is `bad-tree`.",
      example: {
        wrong: "compile({ x: f32(4) }, ({ x }) => ({}));",
        right: "compile({ x: f32(4) }, ({ x }) => ({ y: x.relu() }));",
      },
    },
    {
      code: "unknown-input",
      summary: "`weights` or `donate` names an input that is not there",
      text: `
\`weights\` and \`donate\` name inputs by their path in the tree of specs: \`"params"\` for a whole branch, \`"params.embed"\` for one of its leaves. The
nearest existing path is suggested.`,
      example: {
        wrong: 'compile({ x: f32(4), w: f32(4) }, ({ x, w }) => x.mul(w), { weights: ["weight"] });',
        right: 'compile({ x: f32(4), w: f32(4) }, ({ x, w }) => x.mul(w), { weights: ["w"] });',
      },
    },
    {
      code: "state-mismatch",
      summary: "a donated input is returned with another shape or dtype",
      text: `
An input that is donated and returned under its own name is state: each run replaces it by what was returned, in the same memory. So its
shape and dtype cannot change. Mostly a reduction or a cast crept in; otherwise return the value under another name.`,
      example: {
        wrong: 'compile({ s: f32(4) }, ({ s }) => ({ s: s.cast("f16") }), { donate: ["s"] });',
        right: 'compile({ s: f32(4) }, ({ s }) => ({ s: s.mul(0.9) }), { donate: ["s"] });',
      },
    },
    {
      code: "bad-combine",
      summary: "the function given to `reduce` does not combine two states into one",
      text: `
\`combine\` gets two states, arrays of scalars, and returns their combination: an array of the same length and dtypes, made by elementwise ops alone.
\`identity\` holds a number for each. Combining must be associative, since the order of a parallel reduction is not the order of the elements.`,
      example: {
        wrong: "compile({ x: f32(8) }, ({ x }) => reduce([x], { combine: ([a], [b]) => a.add(b), identity: [0] })[0]);",
        right:
          "compile({ x: f32(8) }, ({ x }) => reduce([x], { combine: ([a], [b]) => [a.add(b)], identity: [0] })[0]);",
      },
    },
    {
      code: "bad-seed",
      summary: "a seed that is not `u32[2]`",
      text: `
Random ops take their seed as data, two 32-bit words, so that the same program draws other numbers in each run. Declare it as an input
\`u32(2)\` and pass a \`Uint32Array\`; a count of the step in one word and the run's seed in the other works well.`,
    },
    {
      code: "bad-loss",
      summary: "the function given to `grad` returns no scalar of floating point",
      text: `
A gradient is of one number. Reduce the losses of a batch with \`mean()\` or \`sum()\`; for the derivative in a direction, multiply by the direction and
sum. What is returned beside the loss goes second: \`[loss, { accuracy }]\` with \`aux: true\`.`,
      example: {
        wrong: "compile({ w: f32(4) }, ({ w }) => grad((w) => w.mul(w))(w));",
        right: "compile({ w: f32(4) }, ({ w }) => grad((w) => w.mul(w).sum())(w));",
      },
    },
    {
      code: "bad-parameter",
      summary: "a gradient is asked by a tensor that is not of floating point",
      text: `
Gradients are taken by the first argument of the function, all its leaves. Token ids, masks and counts are no parameters: pass them as further
arguments, or close over them.`,
      example: {
        wrong: 'compile({ n: i32(4) }, ({ n }) => grad((n) => n.cast("f32").sum())(n));',
        right: 'compile({ w: f32(4), n: i32(4) }, ({ w, n }) => grad((w) => w.mul(n.cast("f32")).sum())(w));',
      },
    },
    {
      code: "not-differentiable",
      summary: "the loss depends on a parameter through an op, or a closure, that has no derivative",
      text: `
Some ops are steps (argmax, floor into an integer), and no derivative would be useful. If the path should not count, cut it with \`stopGradient(x)\`; if
it should, give it a derivative of your own with \`customGradient(fn, backward)\`. What a \`customGradient\` or a checkpointed function closes over has to be passed
as an argument to be differentiated by.`,
    },
    {
      code: "bad-gradient",
      summary: "what a `customGradient` returns does not fit the arguments",
      text: `
\`backward(cotangent, { args })\` returns an array with a cotangent for each argument of the function, of that argument's shape and dtype, or
undefined for zero. An argument that was broadcast gets the sum over the axes along which it was.`,
      example: {
        wrong:
          "const f = customGradient((x) => x.mul(x), (ct) => ct);\ncompile({ w: f32(4) }, ({ w }) => grad((w) => f(w).sum())(w));",
        right:
          "const f = customGradient((x) => x.mul(x), (ct, { args: [x] }) => [ct.mul(x).mul(2)]);\ncompile({ w: f32(4) }, ({ w }) => grad((w) => f(w).sum())(w));",
      },
    },
  ],
};
