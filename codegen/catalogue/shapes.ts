import type { ErrorSection } from "./entry.ts";

export const shapes: ErrorSection = {
  title: "Shapes and dtypes",
  intro: "Raised by ops, at the place of their call.",
  errors: [
    {
      code: "shape-mismatch",
      summary: "shapes that do not broadcast, contract, join or fill",
      text: `
Shapes are compared from the last axis on, as in NumPy: two sizes go together when they are equal or one of them is 1. The message names
both shapes, the cause the axis on which they part. A named dim goes together with itself and with 1 only: \`T\` and \`U\` may have the
same size in every run, but nothing says so.

Most often an axis was lost by a reduction, which drops the axes that it reduces: keep them with \`keepDims: true\`, or put an axis of size 1
where it is missing with \`reshape\`. For matmul the last axis of the first operand must be the last but one of the second.`,
      example: {
        wrong: "compile({ x: f32(8, 64) }, ({ x }) => x.sub(x.mean({ axes: -1 })));",
        right: "compile({ x: f32(8, 64) }, ({ x }) => x.sub(x.mean({ axes: -1, keepDims: true })));",
      },
    },
    {
      code: "dtype-mismatch",
      summary: "dtypes that differ, or that the op does not take; nothing is promoted silently, use `cast`",
      text: `
An op computes in one dtype. Sinter never promotes: a silent f16 to f32 doubles the bytes that a kernel moves, and a silent i32 to f32
loses digits. Write the conversion where it should happen; fused into a kernel, a \`cast\` costs nothing.

Plain numbers have no dtype of their own and take that of the tensor beside them.`,
      example: {
        wrong: "compile({ x: f32(8), n: i32(8) }, ({ x, n }) => x.mul(n));",
        right: 'compile({ x: f32(8), n: i32(8) }, ({ x, n }) => x.mul(n.cast("f32")));',
      },
    },
    {
      code: "rank-mismatch",
      summary: "a tensor with too many or too few axes",
      text: `
The op needs a tensor with a certain number of axes, whatever their sizes: matmul at least one on both sides, a learning rate none at all.
Add axes of size 1 or merge axes with \`reshape\`, or use the op for that rank: \`mul\` to scale by a scalar, \`gather\` to pick whole slices.`,
      example: {
        wrong: "compile({ x: f32(4, 8), s: f32() }, ({ x, s }) => matmul(x, s));",
        right: "compile({ x: f32(4, 8), s: f32() }, ({ x, s }) => x.mul(s));",
      },
    },
    {
      code: "rank-limit",
      summary: "the result would have more than 8 axes",
      text: `
Tensors have at most 8 axes, because every axis is arithmetic in each load and store of a kernel. An outer product, \`stack\` or an einsum with many
letters gets there. Merge neighbouring axes that are not permuted apart with \`reshape\` first, and split them again at the end.`,
    },
    {
      code: "bad-axis",
      summary: "an axis that is not there, or is named twice",
      text: `
Axes count from 0, or from -1 backwards: of a tensor with 2 axes, 0 and -2 are the first, 1 and -1 the last. A permutation names every axis
exactly once. The graph's text form knows positive axes in ascending order only.`,
      example: {
        wrong: "compile({ x: f32(8, 64) }, ({ x }) => x.sum({ axes: 2 }));",
        right: "compile({ x: f32(8, 64) }, ({ x }) => x.sum({ axes: -1 }));",
      },
    },
    {
      code: "bad-shape",
      summary: "a size that is no size, or a shape that is no array",
      text: `
A size is an integer of at least 0, or a named dim for what is known later. NaN, fractions and negative numbers come from arithmetic on
sizes: look at how it was computed. In \`reshape\`, -1 stands for the one size that follows from the others.`,
      example: {
        wrong: "const heads = 12, width = 770;\ncompile({ x: f32(8, width / heads) }, ({ x }) => x.relu());",
        right: "const heads = 12, width = 768;\ncompile({ x: f32(8, width / heads) }, ({ x }) => x.relu());",
      },
    },
    {
      code: "bad-slice",
      summary: "a range that reads past the end, or a step of 0",
      text: `
\`slice\` takes for each axis \`[start, end]\` or \`[start, end, step]\`, or null for the whole axis; negative numbers count from the end. A range is not
clipped silently as in NumPy: kernels are written for known sizes, and a result that is shorter than it looks would hide a mistake.

To start at a place that is known only when the program runs, use \`dynamicSlice\`.`,
      example: {
        wrong: "compile({ x: f32(10) }, ({ x }) => x.slice([[0.5, 10]]));",
        right: "compile({ x: f32(10) }, ({ x }) => x.slice([[5, 10]]));",
      },
    },
    {
      code: "bad-padding",
      summary: "more padding than the mode can take from the tensor",
      text: `
Modes other than \`constant\` fill the border with elements of the tensor: \`reflect\` leaves out the edge and so has one element less to give than
the axis is long. Pad in several steps, or by less, or with a constant.`,
    },
    {
      code: "bad-equation",
      summary: "an einsum equation that does not describe its tensors",
      text: `
An equation names the axes of each operand and of the result by letters: \`"bik,bkj->bij"\`. Every operand needs as many letters as it has axes, a letter has one
size wherever it stands, and every letter of the result stands in some operand. The cause says which of these is broken.`,
      example: {
        wrong: 'compile({ x: f32(4, 8), w: f32(8, 16) }, ({ x, w }) => einsum("ik,kj->ijz", x, w));',
        right: 'compile({ x: f32(4, 8), w: f32(8, 16) }, ({ x, w }) => einsum("ik,kj->ij", x, w));',
      },
    },
    {
      code: "empty-axis",
      summary: "an index is asked of an axis without elements",
      text: `
argmax, argmin, gather and embedding return or read an element, and an axis of size 0 has none. Sums and maxima of nothing exist (0 and -Infinity) and are
no error. Search along another axis, or leave the op out for empty inputs.`,
    },
    {
      code: "bad-number",
      summary: "a number that the dtype beside it cannot hold",
      text: `
A plain number becomes a constant of the dtype of the tensor beside it, so 0.5 beside an i32 tensor would become 0, and 300 has no place
in a bool. Instead of rounding in silence this is refused. Cast the tensor if you mean floating-point arithmetic.`,
      example: {
        wrong: "compile({ n: i32(8) }, ({ n }) => n.mul(0.5));",
        right: 'compile({ n: i32(8) }, ({ n }) => n.cast("f32").mul(0.5));',
      },
    },
    {
      code: "bad-data",
      summary: "elements that are no numbers, or nested arrays of uneven length",
      text: `
\`constant\`, \`tensor\` and readers of files take a typed array, or nested arrays in which all rows of a level are equally long: a tensor has no gaps.
Fill short rows with a number and mask them, as with padded sequences.`,
      example: {
        wrong: "compile({ x: f32(2, 2) }, ({ x }) => x.add(constant([[1, 2], [3]])));",
        right: "compile({ x: f32(2, 2) }, ({ x }) => x.add(constant([[1, 2], [3, 0]])));",
      },
    },
    {
      code: "bad-dim",
      summary: "a size that a named dim cannot have",
      text: "The size bound to a named dim must be an integer of at least 0. NaN mostly comes from a property that is not there.",
      example: {
        wrong: 'compile({ x: f32(dim("T")) }, ({ x }) => x.relu()).explain({ dims: { T: -1 } });',
        right: 'compile({ x: f32(dim("T")) }, ({ x }) => x.relu()).explain({ dims: { T: 128 } });',
      },
    },
    {
      code: "bad-dim-name",
      summary: "a dim's name is not an identifier",
      text: `
Names of dims appear in messages, in the graph's text and as keys of \`{ dims: { … } }\`: letters, digits and \`_\`, beginning with a letter. Two
dims of one name are the same dim.`,
      example: {
        wrong: 'dim("sequence length");',
        right: 'dim("sequenceLength");',
      },
    },
  ],
};
