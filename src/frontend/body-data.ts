/**
 * Plain arithmetic as data: what a build reads from the source of an elementwise function or a reduction, and passes back to it
 * as a last argument.
 *
 * A program is a list of values. The first ones are its inputs; each step adds one, an operation of the table in `body-ops.ts`
 * on earlier values. Steps have no dtypes: they mean what the JavaScript of the source means, and get dtypes when the
 * program meets tensors (see `body-values.ts`).
 */

/** A number as JSON can hold it. */
export type Literal = number | "NaN" | "Infinity" | "-Infinity" | "-0";

/** What a constant is besides a number: an integer by `| 0` or `>>> 0`, or a truth value. */
export type LiteralType = "i32" | "u32" | "bool";

/** `["const", 0.5]`, `["const", 5, "i32"]`, or an operation and the values it takes: `["mul", 0, 2]`. */
export type Step = readonly ["const", Literal, LiteralType?] | readonly [op: string, ...values: readonly number[]];

/** Numbers of values in the form in which a function takes or returns them. */
export type ValueTree = number | readonly ValueTree[] | { readonly [key: string]: ValueTree };

/** Arithmetic on numbers, step by step, and what it gives. */
export interface ScalarProgram {
  readonly steps: readonly Step[];
  readonly result: ValueTree;
}

/** A number that a function takes: its name in the source, an identifier of its own. */
export interface BodyInput {
  readonly name: string;
  /** Declared boolean. */
  readonly bool?: true;
}

/** The body of `elementwise`. Values 0, 1, … are the inputs. */
export interface ElementwiseBody extends ScalarProgram {
  readonly kind: "elementwise";
  readonly inputs: readonly BodyInput[];
  /** Where in its parameters the function finds each input. */
  readonly params: readonly ValueTree[];
}

/**
 * The body of `reduction`. A state is a list of n numbers, in the order in which `init` names them. The first values of `map` are
 * its inputs, of `combine` two states (2 n values), of `result` one.
 */
export interface ReductionBody {
  readonly kind: "reduction";
  readonly inputs: readonly BodyInput[];
  readonly params: readonly ValueTree[];
  /** The state of no elements. */
  readonly identity: readonly (readonly [Literal, LiteralType?])[];
  readonly map: ScalarProgram & { readonly result: readonly number[] };
  readonly combine: ScalarProgram & { readonly result: readonly number[] };
  readonly result: ScalarProgram;
}

/** What a build reads of an elementwise function or a reduction, as plain data. */
export type Body = ElementwiseBody | ReductionBody;

/** The number that a literal stands for. */
export const literalNumber = (l: Literal): number => (l === "-0" ? -0 : Number(l));

/** A number as a literal. */
export const literalOf = (x: number): Literal =>
  Object.is(x, -0) ? "-0" : Number.isFinite(x) ? x : (String(x) as Literal);

/** A tree with each value replaced. */
export function mapValues<T>(tree: ValueTree, fn: (value: number) => T): unknown {
  if (typeof tree === "number") return fn(tree);
  if (Array.isArray(tree)) return (tree as readonly ValueTree[]).map((e) => mapValues(e, fn));
  return Object.fromEntries(Object.entries(tree).map(([key, e]) => [key, mapValues(e, fn)]));
}
