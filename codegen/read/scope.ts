import type { ts } from "ts-morph";
import type { Value } from "./value.ts";

/** A `let`: its value changes as statements are read one after another. */
export interface Cell {
  value: Value;
}

/** One call of a function as its statements are read. */
export interface Frame {
  /** Every `let` in reach, inner ones last. */
  readonly cells: Cell[];
  /** What holds where the reading is: conditions of the `if`s around it. */
  readonly path: Value[];
  /** What is returned, each under its conditions; the first whose conditions hold counts. */
  readonly returns: { readonly path: readonly Value[]; readonly value: Value }[];
}

export type Binding =
  | { readonly kind: "value"; readonly value: Value; readonly parameter?: true }
  | { readonly kind: "cell"; readonly cell: Cell; readonly frame: Frame }
  /** Declared, but not reached yet. */
  | { readonly kind: "later" }
  /** Outside of the function: read when it is used. */
  | { readonly kind: "lazy"; readonly read: () => Value }
  /** Outside of the function, and not a constant. */
  | { readonly kind: "outside"; readonly what: "variable" | "parameter" | "class" | "enum"; readonly node: ts.Node };

/** Names and what they are bound to, inner scopes first. */
export class Scope {
  readonly parent: Scope | undefined;
  readonly #names = new Map<string, Binding>();

  constructor(parent?: Scope) {
    this.parent = parent;
  }

  declare(name: string, binding: Binding): void {
    this.#names.set(name, binding);
  }

  find(name: string): Binding | undefined {
    return this.#names.get(name) ?? this.parent?.find(name);
  }

  own(name: string): Binding | undefined {
    return this.#names.get(name);
  }
}
