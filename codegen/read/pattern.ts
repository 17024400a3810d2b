import { ts } from "ts-morph";
import { member } from "./member.ts";
import { type Reader, refuse } from "./reader.ts";
import type { Binding, Scope } from "./scope.ts";
import { poison, type Value } from "./value.ts";

/** Binds the names of a declaration or parameter to a value and its parts. */
export function bindPattern(
  r: Reader,
  name: ts.BindingName,
  value: Value,
  into: Scope,
  scope: Scope,
  bind: (value: Value) => Binding = (v) => ({ kind: "value", value: v }),
): void {
  if (ts.isIdentifier(name)) {
    // An element of an array has no name of its own.
    if (value.kind === "input" && value.slot.name === "") value.slot.name = name.text;
    into.declare(name.text, bind(value));
    return;
  }
  name.elements.forEach((e, i) => {
    if (ts.isOmittedExpression(e)) return;
    const part = (): Value => {
      if (e.dotDotDotToken) return refuse(r, e, ["...", "name every part: const { n, mean } = s"]);
      if (e.initializer)
        return refuse(r, e.initializer, ["a default", "give the value itself: there is nothing that may be absent"]);
      const key = keyOf(r, e, i);
      return key === undefined ? poison : member(r, value, key, e);
    };
    bindPattern(r, e.name, part(), into, scope, bind);
  });
}

function keyOf(r: Reader, e: ts.BindingElement, i: number): string | undefined {
  if (ts.isArrayBindingPattern(e.parent)) return String(i);
  const key = e.propertyName ?? e.name;
  if (ts.isIdentifier(key) || ts.isStringLiteral(key) || ts.isNumericLiteral(key)) return key.text;
  refuse(r, key, ["a computed name", "write the name itself: const { mean } = s"]);
  return undefined;
}
