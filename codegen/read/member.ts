import type { ts } from "ts-morph";
import { suggest } from "../../src/base/suggest.ts";
import { numberNamespace } from "./builtins.ts";
import { partOf, type Reader } from "./reader.ts";
import { constant, describeValue, poison, type Value } from "./value.ts";

/** A property or an element of a value. */
export function member(r: Reader, of: Value, key: string, node: ts.Node): Value {
  const missing = (known: readonly string[]): Value => {
    const near = suggest(key, known);
    r.report.add("unknown-name", node, `${describeValue(of)} has no ${key} that a kernel's arithmetic can use`, {
      hint: near
        ? `did you mean ${near}?`
        : known.length && known.length < 20
          ? `it has ${known.join(", ")}`
          : "use another name",
    });
    return poison;
  };
  switch (of.kind) {
    case "poison":
      return poison;
    case "object":
      return of.fields.get(key) ?? missing([...of.fields.keys()]);
    case "tuple":
      if (key === "length") return constant(of.items.length);
      return of.items[Number(key)] ?? missing(of.items.map((_, i) => String(i)));
    case "namespace":
      return of.member(key) ?? missing(of.names());
    case "builtin":
      if (of.name === "Number") return numberNamespace.member(key) ?? missing(numberNamespace.names());
      break;
    case "input":
      if (of.slot.leaf || methods.has(key)) break;
      return { kind: "input", slot: partOf(of.slot, key) };
    default:
  }
  r.report.add("unsupported-syntax", node, `${describeValue(of)} has no property ${key} in a kernel's arithmetic`, {
    hint: methods.has(key)
      ? "write it with operators and Math, or a for loop over a constant array"
      : "use numbers, and objects and arrays of them",
  });
  return poison;
}

/** Methods of numbers and arrays, which are not parts of an input. */
const methods = new Set([
  ...["toFixed", "toPrecision", "toString", "valueOf", "toExponential", "toLocaleString"],
  ...["map", "reduce", "forEach", "filter", "at", "concat", "slice", "some", "every", "length", "push"],
]);
