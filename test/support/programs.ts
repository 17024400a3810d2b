import { halfRound } from "../../src/base/half.ts";
import type { Graph } from "../../src/ir/graph.ts";
import { count, type NDArray } from "../../src/ir/ndarray.ts";
import { contractionPrograms } from "./programs/contractions.ts";
import { gradientPrograms } from "./programs/gradients.ts";
import { indexedPrograms } from "./programs/indexed.ts";
import type { Listed } from "./programs/listed.ts";
import { pointwisePrograms } from "./programs/pointwise.ts";
import { rowPrograms } from "./programs/rows.ts";
import { wholePrograms } from "./programs/whole.ts";
import { randomOf } from "./values.ts";

/** A traced program at fixed sizes with a value for each of its inputs, by flat name. */
export interface ProgramCase {
  readonly name: string;
  readonly graph: Graph;
  readonly inputs: Readonly<Record<string, NDArray>>;
}

const usual = { f32: [-2, 2], f16: [-2, 2], i32: [-8, 9], u32: [0, 16], bool: [0, 2] } as const;

/** Random values of a tensor's dtype in a range [low, high). */
function valuesOf(type: Graph["inputs"][0]["type"], random: () => number, range?: readonly [number, number]): NDArray {
  const { dtype } = type;
  const shape = type.shape as readonly number[];
  const [low, high] = range ?? usual[dtype];
  const data = Float64Array.from({ length: count(shape) }, () => {
    const x = low + random() * (high - low);
    return dtype === "f32" ? Math.fround(x) : dtype === "f16" ? halfRound(x) : Math.floor(x);
  });
  return { dtype, shape, data };
}

function caseOf([name, program, { dims, ranges = {} } = {}]: Listed, index: number): ProgramCase {
  const graph = program.bind(dims);
  const random = randomOf(index + 1);
  const inputs = Object.fromEntries(
    graph.inputs.map((n) => {
      const at = n.attrs.name as string;
      return [at, valuesOf(n.type, random, ranges[at])] as const;
    }),
  );
  return { name, graph, inputs };
}

/** Programs of every family, dtype and kind of shape, with several outputs, weights and state; small enough to run everywhere. */
export const programs: readonly ProgramCase[] = [
  ...pointwisePrograms,
  ...rowPrograms,
  ...contractionPrograms,
  ...indexedPrograms,
  ...gradientPrograms,
  ...wholePrograms,
].map(caseOf);
