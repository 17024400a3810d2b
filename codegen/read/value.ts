import type { ts } from "ts-morph";
import type { LiteralType } from "../../src/frontend/body-data.ts";
import type { Scope } from "./scope.ts";

/** What an expression means while its function is read. */
export type Value =
  /** A number or truth value of the program. */
  | { readonly kind: "scalar"; readonly id: ValueId }
  | Constant
  | { readonly kind: "tuple"; readonly items: readonly Value[] }
  | { readonly kind: "object"; readonly fields: ReadonlyMap<string, Value> }
  | Input
  | FunctionValue
  /** A function of JavaScript's: its operation. */
  | { readonly kind: "builtin"; readonly op: string; readonly name: string }
  | Namespace
  /** `elementwise` or `reduction` of sinter. */
  | { readonly kind: "maker"; readonly name: MakerName }
  /** What one of these gave. */
  | { readonly kind: "made"; readonly by: MakerName; readonly of: Value }
  /** A name of a package whose source is not read. */
  | { readonly kind: "foreign"; readonly name: string; readonly module: string }
  /** A variable that has no value yet, on some way here. */
  | { readonly kind: "unset"; readonly name: string }
  /** What a diagnostic was reported for. */
  | { readonly kind: "poison" };

export type MakerName = "elementwise" | "reduction";

/** Values of a program as it is written: inputs and steps are numbered apart until it is complete. */
export type ValueId = { readonly input: Slot } | { readonly step: number };

export interface Constant {
  readonly kind: "constant";
  readonly value: number;
  readonly type: LiteralType | "number";
}

/** A parameter whose form is not known before it is used: a number, or an object or array with parts. */
export interface Input {
  readonly kind: "input";
  readonly slot: Slot;
}

export interface Slot {
  /** From the source; empty where it has none. */
  name: string;
  readonly bool: boolean;
  /** Used as a number. */
  leaf: boolean;
  readonly parts: Map<string, Slot>;
}

export type FunctionNode = ts.ArrowFunction | ts.FunctionExpression | ts.FunctionDeclaration | ts.MethodDeclaration;

export interface FunctionValue {
  readonly kind: "function";
  readonly node: FunctionNode;
  readonly scope: Scope;
}

export interface Namespace {
  readonly kind: "namespace";
  readonly name: string;
  /** A member; undefined where there is none. */
  readonly member: (name: string) => Value | undefined;
  readonly names: () => readonly string[];
}

export const poison: Value = { kind: "poison" };

export const constant = (value: number, type: Constant["type"] = "number"): Constant => ({
  kind: "constant",
  value,
  type,
});

export const slot = (name: string, bool = false): Slot => ({ name, bool, leaf: false, parts: new Map() });

const names: Readonly<Partial<Record<Value["kind"], string>>> = {
  tuple: "an array",
  object: "an object",
  function: "a function",
};

/** What a value is, for messages. */
export function describeValue(v: Value): string {
  if (v.kind === "builtin") return `${v.name}, a function of JavaScript's`;
  if (v.kind === "maker") return `the function ${v.name} of sinter`;
  if (v.kind === "made") return v.by === "reduction" ? "a reduction" : "a function";
  if (v.kind === "namespace") return v.name;
  if (v.kind === "foreign") return `${v.name} of ${v.module}`;
  if (v.kind === "unset") return `${v.name}, which has no value here`;
  return names[v.kind] ?? "a number";
}
