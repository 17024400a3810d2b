import { isConcrete, type Shape, shapeEqual } from "../ir/dim.ts";
import type { GraphBuilder, Node } from "../ir/graph.ts";

/** The value that a node is filled with, or undefined. */
export const constOf = (n: Node | undefined): number | undefined =>
  n?.op === "const" ? (n.attrs.value as number) : undefined;

/** Whether a node is filled with exactly this value; 0 and -0 differ. */
export const isConst = (n: Node | undefined, value: number): boolean =>
  n?.op === "const" && Object.is(n.attrs.value, value);

export const isFloatNode = (n: Node): boolean => n.type.dtype === "f32" || n.type.dtype === "f16";
export const isIntegerNode = (n: Node): boolean => n.type.dtype === "i32" || n.type.dtype === "u32";

/** `x` repeated to a shape it broadcasts to; itself when it has that shape. */
export const toShape = (b: GraphBuilder, x: Node, shape: Shape): Node =>
  shapeEqual(x.type.shape, shape) ? x : b.add("expand", [x], { shape });

/** The shape as numbers, or undefined while a size is symbolic. */
export const numbersOf = (shape: Shape): readonly number[] | undefined => (isConcrete(shape) ? shape : undefined);
