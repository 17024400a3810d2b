import { fail } from "../base/diagnostic.ts";
import { type DType, isFloat } from "../base/dtype.ts";
import { type Shape, shapeEqual } from "../ir/dim.ts";
import type { GraphBuilder, Node } from "../ir/graph.ts";
import { broadcastAll } from "../ir/ops/infer.ts";
import { type BodyInput, mapValues, type ScalarProgram, type ValueTree } from "./body-data.ts";
import type { Value } from "./body-values.ts";
import { Evaluation } from "./body-values.ts";
import { tensorsIn } from "./grad-body.ts";
import { describe, isTensor, wrap } from "./tensor.ts";

/** A function of plain arithmetic as its call is traced: what it was given, and the dtype and shape of what it gives. */
export interface Applied {
  readonly b: GraphBuilder;
  /** The inputs in the order of the body, floats as f32. */
  readonly values: readonly Value[];
  readonly shape: Shape;
  /** What results of floating point are rounded to. */
  readonly float: "f32" | "f16";
}

/** Whether there is a tensor among arguments, which may be trees. */
export const anyTensor = (args: readonly unknown[]): boolean => tensorsIn(args).length > 0;

/** Reads a call's arguments by the body's parameters. f16 is computed as f32 and rounded once, in the results. */
export function readArguments(
  b: GraphBuilder,
  what: string,
  args: readonly unknown[],
  params: readonly ValueTree[],
  inputs: readonly BodyInput[],
): Applied {
  if (args.length !== params.length) {
    fail("bad-arguments", `${what} takes ${params.length} arguments, not ${args.length}`, {
      hint: "give one for each parameter",
    });
  }
  const given = new Array<Value>(inputs.length);
  const nodes: Node[] = [];
  const read = (tree: ValueTree, arg: unknown, path: string): void => {
    if (typeof tree === "number") {
      if (isTensor(arg)) nodes.push((given[tree] = arg.node));
      else if (typeof arg === "number") given[tree] = { constant: arg, type: "number" };
      else if (typeof arg === "boolean") given[tree] = { constant: arg ? 1 : 0, type: "bool" };
      else {
        fail("not-a-tensor", `${what} takes tensors and numbers, but ${path} is ${describe(arg)}`, {
          hint: "pass a tensor: an input of the traced function or the result of an op",
        });
      }
      return;
    }
    if (typeof arg !== "object" || arg === null || isTensor(arg)) {
      fail("not-a-tensor", `${what}: ${path} is ${describe(arg)}, not an object of tensors`, {
        cause: `the function reads ${Object.keys(tree).join(", ")} of it`,
        hint: "give an object or array with a tensor for each",
      });
    }
    for (const [key, e] of Object.entries(tree)) read(e, (arg as Record<string, unknown>)[key], `${path}.${key}`);
  };
  args.forEach((arg, i) => {
    const tree = params[i] as ValueTree;
    read(tree, arg, typeof tree === "number" ? (inputs[tree]?.name ?? `argument ${i + 1}`) : `argument ${i + 1}`);
  });
  const floats = nodes.filter((n) => isFloat(n.type.dtype));
  const half = floats.length > 0 && floats.every((n) => n.type.dtype === "f16");
  return {
    b,
    values: given.map((v) => ("constant" in v || v.type.dtype !== "f16" ? v : b.add("cast", [v], { dtype: "f32" }))),
    shape: broadcastAll(
      nodes.map((n) => n.type.shape),
      what,
    ),
    float: half ? "f16" : "f32",
  };
}

/** The results of a program as tensors of the call's shape, in the form that the function gives them. */
export function results(program: ScalarProgram, { b, values, shape, float }: Applied): unknown {
  const e = new Evaluation(b, program, values);
  return mapValues(program.result, (i) => {
    const x = e.node(i);
    return wrap(expanded(b, x.type.dtype === "f32" ? e.cast(x, float) : x, shape));
  });
}

export const expanded = (b: GraphBuilder, x: Node, shape: Shape): Node => {
  if (shapeEqual(x.type.shape, shape)) return x;
  if (x.op === "const") return b.const(x.attrs.value as number, x.type.dtype as DType, shape);
  return b.add("expand", [x], { shape });
};

/** Refuses a call on tensors of a function whose source no build has read. */
export function notBuilt(what: "elementwise" | "reduction", fn: string): never {
  return fail(
    "not-built",
    `${fn ? `${fn}, an ${what}` : `the ${what}`} function was called on tensors, but no build has read its source`,
    {
      cause: "its arithmetic becomes kernels from the text of the file, which running it does not show",
      hint: "name the file *.kernel.ts and run `sinter build` over it, or bundle with the plugin of sinter/esbuild or sinter/vite; on numbers it runs anywhere",
    },
  );
}
