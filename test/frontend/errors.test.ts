import { describe, expect, test } from "vitest";
import * as s from "../../src/index.ts";

const specs = { x: s.f32(2, 3), y: s.f32(4), h: s.f16(2, 3), i: s.i32(3), u: s.u32(3), b: s.bool(2, 3) };
type Inputs = s.Traced<typeof specs>;

/** The message of the error that building `fn` gives; every one must name the cause or a next step. */
function refused(fn: (t: Inputs) => unknown): string {
  try {
    s.compile(specs, fn as (t: Inputs) => s.Tensor);
  } catch (e) {
    if (!(e instanceof s.SinterError)) throw e;
    expect(e.diagnostic.place?.file).toContain("errors.test.ts");
    expect(e.diagnostic.cause ?? e.diagnostic.hint).toBeDefined();
    return e.message;
  }
  throw new Error("nothing was refused");
}

describe("what an op refuses, and what it says", () => {
  test.each<[string, (t: Inputs) => unknown, RegExp]>([
    ["shapes", ({ x, y }) => x.add(y), /shapes \[2, 3\] and \[4\] do not broadcast.*sizes are 3 and 4/s],
    ["dtypes", ({ x, i }) => x.add(i), /f32\[2, 3\] and i32\[3\].*cast/s],
    [
      "matmul, last axes",
      ({ x, y }) => x.matmul(y),
      /\[2, 3\] and \[4\] do not contract.*3 in the first and 4 in the second/s,
    ],
    ["matmul of scalars", ({ x }) => x.sum().matmul(x), /matmul takes a with at least one axis, not f32\[\]/],
    ["a fraction with integers", ({ i }) => i.mul(0.5), /mul: 0.5 is not a value of dtype i32.*cast\(x, "f32"\)/s],
    ["a negative with unsigned", ({ u }) => u.add(-1), /-1 is not a value of dtype u32/],
    ["a number too large", ({ i }) => i.add(2 ** 31), /2147483648 is not a value of dtype i32/],
    ["a boolean with numbers", ({ x }) => x.add(true), /true is not a value of dtype f32/],
    ["a number with booleans", ({ b }) => b.and(2), /2 is not a value of dtype bool/],
    ["numbers alone", () => s.add(1, 2), /add got numbers only.*constant\(2\)/s],
    [
      "a typed array",
      ({ x }) => x.add(new Float32Array(3) as never),
      /argument 2 is a Float32Array.*constant\(data, shape\)/s,
    ],
    ["undefined", ({ x }) => x.mul(undefined as never), /argument 2 is undefined/],
    ["no tensor as x", () => s.gelu(3 as never), /gelu takes a tensor as x, not the number 3/],
    ["an axis", ({ x }) => x.sum({ axes: 2 }), /axis 2 is outside a tensor of rank 2.*from -2 to 1/s],
    ["an axis twice", ({ x }) => x.sum({ axes: [0, -2] }), /axes \[0, 0\] name axis 0 twice/],
    ["a fractional axis", ({ x }) => x.softmax({ axis: 0.5 }), /axis 0.5 is outside/],
    ["a name as axis", ({ x }) => x.sum({ axes: ["a"] as never }), /axis must be an integer, not the string "a"/],
    ["an unknown option", ({ x }) => x.sum({ axs: [1] } as never), /sum has no option "axs".*did you mean "axes"/s],
    ["an unknown option without a like", ({ x }) => x.softmax({ temperature: 2 } as never), /known: axis/],
    ["an option's type", ({ x }) => x.sum({ keepDims: 1 } as never), /keepDims must be a boolean, not the number 1/],
    [
      "options that are none",
      ({ x }) => x.softmax(-1 as never),
      /softmax takes its options as an object, not the number -1/,
    ],
    ["a string option", ({ x }) => x.gelu({ approximate: "tan" } as never), /approximate cannot be "tan".*"tanh"/s],
    ["a dtype", ({ x }) => x.cast("f64" as never), /dtype cannot be "f64".*known: f32, f16/s],
    ["reshape", ({ x }) => x.reshape([4]), /reshape: shape \[2, 3\] does not hold as many elements as \[4\]/],
    ["reshape, open size", ({ x }) => x.reshape([4, -1]), /f32\[2, 3\] does not fit shape \[4, -1\]/],
    ["reshape, two open sizes", ({ x }) => x.reshape([-1, -1]), /size of axis 0 is -1/],
    ["transpose", ({ x }) => x.transpose([0]), /f32\[2, 3\] has 2 axes, but the order names 1/],
    ["transpose, twice", ({ x }) => x.transpose([0, 0]), /name axis 0 twice/],
    ["expand", ({ x }) => x.expand([2, 4]), /\[2, 3\] does not expand to \[2, 4\]/],
    ["squeeze", ({ x }) => x.squeeze({ axes: 0 }), /axis 0 of \[2, 3\] has size 2, not 1/],
    ["pad", ({ x }) => x.pad({ low: [1] }), /low \[1\] does not fit a tensor of rank 2/],
    ["tile", ({ x }) => x.tile([1, 0.5]), /repeats \[1, 0.5\] does not fit/],
    [
      "split, parts",
      ({ x }) => x.split({ axis: 1, parts: 2 }),
      /axis 1 of f32\[2, 3\] cannot be cut into 2 equal parts/,
    ],
    ["split, nothing said", ({ x }) => x.split({}), /split takes either parts or sizes/],
    ["concat", ({ x, y }) => s.concat([x, y]), /concat: shapes \[2, 3\] and \[4\] do not join/],
    [
      "concat of no array",
      ({ x }) => s.concat(x as never),
      /concat takes an array of tensors, not a tensor f32\[2, 3\]/,
    ],
    ["concat of nothing", () => s.concat([]), /not an empty array/],
    ["einsum", ({ x, y }) => s.einsum("ij,ij->i", x, y), /einsum.*"ij" names 2 axes of a tensor of rank 1/s],
    ["einsum without equation", ({ x }) => s.einsum(x as never, x), /einsum takes an equation first/],
    ["constant", () => s.constant([1, 2, 3], [2, 2]), /3 elements do not fill shape \[2, 2\]/],
    ["constant, ragged", () => s.constant([[1, 2], [3]]), /nested arrays have different lengths/],
    ["constant, fraction", () => s.constant([0.5], [1], "i32"), /0.5 is not a value of dtype i32/],
    [
      "constant of text",
      () => s.constant("1" as never),
      /takes numbers in a typed array or in nested arrays, not the string "1"/,
    ],
    [
      "reduce without combine",
      ({ x }) => s.reduce([x], { identity: [0] } as never),
      /reduce needs combine, a function/,
    ],
    [
      "combine's results",
      ({ x }) => s.reduce([x], { identity: [0], combine: () => [] as never }),
      /combine returned 0 values/,
    ],
    [
      "a tensor from outside in combine",
      ({ x, y }) => s.reduce([x], { identity: [0], combine: ([a]) => [a.add(y.sum())] }),
      /reduce: combine uses the tensor "y" from outside/,
    ],
    ["oneHot", ({ i }) => i.oneHot({} as never), /oneHot needs depth/],
    [
      "an operator",
      ({ x }) => x.mul((x as never) * 2),
      /operators do not work on tensors, here f32\[2, 3\].*x\.mul\(2\)/s,
    ],
    ["an operator that would make text", ({ x }) => ((x as never) + 1) as never, /operators do not work on tensors/],
    ["a comparison", ({ x }) => ((x as never) < 1 ? x : x.neg()), /operators do not work/],
    ["too many axes", ({ x }) => x.reshape([1, 1, 1, 1, 1, 1, 1, 2, 3]), /at most 8 axes/],
  ])("%s", (_, fn, message) => {
    expect(refused(fn)).toMatch(message);
  });
});

test("what compile takes by name is a list", () => {
  const compile = (options: object) => () => s.compile({ w: s.f32(2) }, ({ w }) => w.neg(), options);
  expect(compile({ weights: "w" })).toThrow(/weights is the string "w", not a list[\s\S]*weights: \["w"\]/);
  expect(compile({ donate: { w: true } })).toThrow(/donate is an object, not a list/);
});

test("a spec that cannot be is refused where it was written", () => {
  for (const make of [() => s.f32(-1), () => s.i32(2.5), () => s.bool(1, 1, 1, 1, 1, 1, 1, 1, 1)]) {
    expect(make).toThrow(
      expect.objectContaining({ diagnostic: expect.objectContaining({ place: expect.anything() }) }),
    );
    expect(make).toThrow(/errors\.test\.ts/);
  }
});

test("random ops outside a traced function", () => {
  let seed: s.Tensor | undefined;
  s.compile({ seed: s.u32(2) }, (t) => {
    seed = t.seed;
    return t.seed;
  });
  expect(() => s.uniform(seed as s.Tensor, [2])).toThrow(/uniform was called outside a traced function/);
});
