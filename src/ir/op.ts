import type { DType } from "../base/dtype.ts";
import type { Attrs, GraphBuilder, Node, TensorType } from "./graph.ts";
import type { NDArray } from "./ndarray.ts";

export type OpKind =
  | "leaf"
  | "elementwise"
  | "reduction"
  | "contraction"
  | "view"
  | "indexed"
  | "random"
  | "scan"
  | "composite"
  | "opaque";

/** How one attribute is typed, printed, parsed and documented. */
export interface AttrSpec {
  readonly type: "int" | "float" | "bool" | "string" | "dtype" | "dim" | "ints" | "floats" | "shape" | "graph" | "data";
  readonly doc: string;
  /** Absent means required. `null` means optional without a value. */
  readonly default?: unknown;
  /** Allowed values of a string. */
  readonly oneOf?: readonly string[];
}

/**
 * Context of an elementwise row's WGSL text. Values in kernels are f32, i32, u32 or bool, one to four lanes wide; f16
 * exists in memory only (arithmetic is f32, rounded where meaning asks for it).
 */
export interface WgslContext {
  /** Lanes: 1, 2 or 4. */
  readonly width: number;
  /** dtypes of the arguments and of the result, as in the graph (f16 means an f32 value that is representable in f16). */
  readonly args: readonly DType[];
  readonly result: DType;
  readonly attrs: Attrs;
  /** The WGSL type of a value of this dtype at this width: `f32`, `vec4<f32>`, `vec2<bool>`, … */
  type(dtype: DType): string;
  /** A literal of this dtype at this width, exact by bit pattern (infinities and NaN included). */
  lit(value: number, dtype?: DType): string;
  /**
   * A call of a helper function of `ir/ops/helpers.ts`, declared in the module on first use at this width.
   * `call("erf", x)` gives `erf_4(x)`.
   */
  call(helper: string, ...args: string[]): string;
}

/** CPU and GPU meaning of a row that computes each element from the elements at the same index. */
export interface ElementwiseMeaning {
  /** In f64. Integer rows wrap as WGSL does; bool is 0 or 1. */
  cpu(x: readonly number[], dtypes: { readonly args: readonly DType[]; readonly result: DType }, attrs: Attrs): number;
  /** An expression; every entry of `x` is the text of a value and may be used more than once. */
  wgsl(x: readonly string[], c: WgslContext): string;
}

/** Integer arithmetic a view's index map is written in: numbers in the interpreter, expressions in kernels. */
export interface IndexAlgebra<I> {
  int(n: number): I;
  add(a: I, b: I): I;
  sub(a: I, b: I): I;
  mul(a: I, n: number): I;
  div(a: I, n: number): I;
  mod(a: I, n: number): I;
  /** `cond ? a : b` with `cond` = `x < n`. */
  lessThen(x: I, n: number, a: I, b: I): I;
}

/** Where an element of a view's result comes from. Shapes are concrete. */
export interface ViewMeaning {
  /** The argument's index for result index `index`. */
  map<I>(
    alg: IndexAlgebra<I>,
    index: readonly I[],
    node: { readonly attrs: Attrs; readonly from: readonly number[]; readonly to: readonly number[] },
  ): I[];
}

/** How a reduction row combines: an associative elementwise row of two arguments and its identity. */
export interface ReductionMeaning {
  /** `add`, `mul`, `min`, `max`, `and` or `or`. */
  readonly combine: string;
  identity(dtype: DType): number;
}

export interface OpFlags {
  readonly commutative?: boolean;
  readonly associative?: boolean;
  readonly idempotent?: boolean;
  /** f(x, identity) = x */
  readonly identity?: number;
  /** f(x, absorbing) = absorbing, for every x (so never set for floating-point multiplication). */
  readonly absorbing?: number;
  /** f(f(x)) = x */
  readonly involution?: boolean;
}

/** Largest difference from the exact result: in units in the last place of the result's dtype, or absolute. `n` is the number of elements combined. */
export interface Accuracy {
  readonly ulp?: number | ((n: number) => number);
  readonly atol?: number;
}

/** What a row's derivative is given: one node of the forward graph and the cotangents of its results. */
export interface Adjoint {
  readonly b: GraphBuilder;
  readonly node: Node;
  readonly args: readonly Node[];
  /** The node's results as tensors: itself, or one `result` node for each. */
  readonly results: readonly Node[];
  /** The derivative of the loss by each result; undefined where the loss does not depend on it. At least one is there. */
  readonly cotangents: readonly (Node | undefined)[];
  /** The first cotangent, for rows of one result. */
  readonly ct: Node;
  /** Whether the derivative by argument `i` is wanted. What is not wanted need not be made. */
  needs(i: number): boolean;
  /** The cotangents of `wrt` given those of `results` that are made of them: reverse mode itself, for rows that hold a graph. */
  pullback(
    results: readonly Node[],
    cotangents: readonly (Node | undefined)[],
    wrt: readonly Node[],
  ): (Node | undefined)[];
}

/**
 * The cotangents of a row's arguments, in the arguments' dtypes; undefined is zero. Those of an elementwise row have the
 * result's shape (the caller sums over what was broadcast), all others the argument's.
 */
export type Derivative = (a: Adjoint) => readonly (Node | undefined)[];

/** One row of the op table: everything the compiler knows of an op. */
export interface OpRow {
  readonly name: string;
  readonly kind: OpKind;
  /** Parameter names; `x?` is optional, `...xs` takes the rest. */
  readonly params: readonly string[];
  readonly attrs?: Readonly<Record<string, AttrSpec>>;
  /** One or two sentences with the equation, shapes and dtypes; becomes the API documentation. */
  readonly doc: string;
  /** Result types; throws a SinterError (with both shapes or dtypes, a cause and a hint) when the arguments do not fit. An array means several results. */
  infer(args: readonly TensorType[], attrs: Attrs): TensorType | readonly TensorType[];
  readonly elementwise?: ElementwiseMeaning;
  readonly view?: ViewMeaning;
  readonly reduction?: ReductionMeaning;
  /** CPU meaning of rows that are neither elementwise nor views nor composite. */
  evaluate?(args: readonly NDArray[], attrs: Attrs, types: readonly TensorType[]): NDArray[];
  /** The same value by simpler rows. Composites have it; `attention` and the like have a kernel family besides. */
  decompose?(b: GraphBuilder, args: readonly Node[], attrs: Attrs): Node | readonly Node[];
  /**
   * How cotangents go back through the row; null where the derivative is zero or has no meaning (integers, comparisons).
   * A composite without one is differentiated through its decomposition.
   */
  readonly derivative?: Derivative | null;
  readonly flags?: OpFlags;
  readonly accuracy?: Accuracy;
}
