import fc from "fast-check";
import type { DType } from "../../src/base/dtype.ts";
import { type Graph, GraphBuilder, makeGraph, type Node } from "../../src/ir/graph.ts";
import type { NDArray } from "../../src/ir/ndarray.ts";
import { print } from "../../src/ir/print.ts";
import { rowSteps } from "./random-rows.ts";
import { type Choices, pointwiseSteps, type Step, viewSteps } from "./random-steps.ts";
import { limits, type Value } from "./random-value.ts";
import { benign, randomOf } from "./values.ts";

/** A random program with inputs, and for each output how far from the interpreter a correct GPU result may be. */
export interface RandomGraph {
  readonly graph: Graph;
  readonly inputs: Readonly<Record<string, NDArray>>;
  readonly tolerances: Readonly<Record<string, number>>;
}

/** Sizes around the borders of vectors, subgroups and workgroups. The small ones come first: values shrink to them. */
const sizes = [3, 1, 2, 0, 5, 7, 31, 32, 33, 63, 64, 65, 255, 256, 257, 1023];

/** What a graph is made from. Every number is taken modulo what there is to choose from, so any smaller recipe is a graph too. */
interface Recipe {
  readonly inputs: readonly { readonly dtype: DType; readonly sizes: readonly number[] }[];
  readonly steps: readonly {
    readonly kind: number;
    readonly op: number;
    readonly on: number;
    readonly picks: readonly number[];
  }[];
  readonly outputs: readonly number[];
  readonly seed: number;
}

const small = fc.nat({ max: 1023 });

function recipes(dtypes: readonly DType[], maxNodes: number): fc.Arbitrary<Recipe> {
  const shape = fc.array(fc.nat({ max: sizes.length - 1 }), { maxLength: 4, size: "max" });
  return fc.record({
    inputs: fc.array(fc.record({ dtype: fc.constantFrom(...dtypes), sizes: shape }), { minLength: 1, maxLength: 3 }),
    steps: fc.array(
      fc.record({
        kind: fc.nat({ max: 9 }),
        op: small,
        on: small,
        picks: fc.array(small, { maxLength: 8, size: "max" }),
      }),
      { minLength: 1, maxLength: maxNodes, size: "max" },
    ),
    outputs: fc.array(small, { maxLength: 2 }),
    seed: small,
  });
}

/** Half of the steps are pointwise, a fifth views, the rest reductions, products and normalisations. */
const kinds: readonly (readonly Step[])[] = [
  ...new Array<readonly Step[]>(5).fill(pointwiseSteps),
  ...new Array<readonly Step[]>(2).fill(viewSteps),
  ...new Array<readonly Step[]>(3).fill(rowSteps),
];

function build(recipe: Recipe): RandomGraph {
  const b = new GraphBuilder();
  const values: Value[] = [];
  const signature = recipe.inputs.map(({ dtype, sizes: at }, i) => {
    let left = limits.elements;
    const shape = at.map((s) => {
      const size = (sizes[s] as number) <= left ? (sizes[s] as number) : 1;
      left = Math.floor(left / Math.max(1, size));
      return size;
    });
    const node = b.input(`x${i}`, { dtype, shape });
    values.push({
      node,
      bound: { f32: 4, f16: 4, i32: 8, u32: 15, bool: 1 }[dtype],
      error: 0,
      grid: dtype.startsWith("f") ? 3 : 0,
    });
    return node;
  });
  for (const step of recipe.steps) {
    const left = [...step.picks];
    const choices: Choices = { b, values, pick: (n) => (left.shift() ?? 0) % Math.max(1, n) };
    const x = operand(values, step);
    const made = firstThatFits(kinds[step.kind] as readonly Step[], step.op, choices, x);
    if (made) values.push(made);
  }
  const chosen = [values.length - 1, ...recipe.outputs.map((o) => values.length - 1 - (o % values.length))];
  const outputs = [...new Set(chosen)].map((at, i) => ({ name: `y${i}`, value: values[at] as Value }));
  let inputs: Record<string, NDArray> | undefined;
  return {
    graph: makeGraph(
      signature,
      outputs.map(({ name, value }) => ({ name, node: value.node })),
    ),
    // Drawn for whoever computes with them.
    get inputs() {
      inputs ??= drawn(signature, recipe.seed);
      return inputs;
    },
    tolerances: Object.fromEntries(outputs.map(({ name, value }) => [name, 4 * value.error])),
  };
}

function drawn(signature: readonly Node[], seed: number): Record<string, NDArray> {
  const random = randomOf(seed);
  return Object.fromEntries(
    signature.map((n, i) => [`x${i}`, benign(n.type.dtype, n.type.shape as readonly number[], random)]),
  );
}

/** Mostly the newest value, so that graphs are deep; seldom a bool, of which little but another bool can be made. */
function operand(values: readonly Value[], step: Recipe["steps"][number]): Value {
  const newest = step.on % 3 === 0 ? step.on % values.length : 0;
  const upTo = values.slice(0, values.length - newest);
  const wanted = step.on % 5 === 4 ? undefined : upTo.findLast((v) => v.node.type.dtype !== "bool");
  return wanted ?? (upTo.at(-1) as Value);
}

function firstThatFits(steps: readonly Step[], from: number, c: Choices, x: Value): Value | undefined {
  for (let i = 0; i < steps.length; i++) {
    // Not simply the next one: a step that seldom fits would pass all its turns to one neighbour.
    const made = (steps[(from + i * 11) % steps.length] as Step)(c, x);
    if (made) return made;
  }
  return undefined;
}

/**
 * Random graphs of 1 to `maxNodes` ops with inputs whose sizes lie around the borders of vectors, subgroups and workgroups
 * (0 included), at most about 70,000 elements a tensor. Magnitudes stay below 10,000 and nothing that jumps is done to
 * values that rounding may have moved, so a correct result is within `tolerances`. Shrinks to fewer steps, smaller sizes and
 * earlier ops. A failing case prints as graph text.
 */
export function randomGraphs(
  options: { dtypes?: readonly DType[]; maxNodes?: number } = {},
): fc.Arbitrary<RandomGraph> {
  const { dtypes = ["f32", "f32", "f32", "f16", "i32", "u32", "bool"], maxNodes = 12 } = options;
  return recipes(dtypes, maxNodes).map((recipe) => {
    const made = build(recipe);
    const text = (): string => `${print(made.graph)}seed ${recipe.seed}`;
    return Object.defineProperties(made, { [fc.toStringMethod]: { value: text, enumerable: false } });
  });
}
