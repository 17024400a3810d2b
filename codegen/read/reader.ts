import type { ts } from "ts-morph";
import type { Library } from "./library.ts";
import { ProgramWriter, type Scalar, sameScalar, stepLimit } from "./program.ts";
import type { Report } from "./report.ts";
import type { Frame } from "./scope.ts";
import type { Refusal } from "./unsupported.ts";
import { describeValue, type FunctionNode, poison, type Slot, slot, type Value } from "./value.ts";

/** Iterations of all loops of one body, and calls that are written in place. */
export const iterationLimit = 1024;
export const callLimit = 4096;

/** The reading of one function: what it writes, and where it is. */
export interface Reader {
  readonly library: Library;
  readonly report: Report;
  readonly writer: ProgramWriter;
  /** The call whose statements are being read. */
  frame: Frame;
  /** Functions being read, outer ones first. */
  readonly stack: FunctionNode[];
  iterations: number;
  calls: number;
}

export const newFrame = (): Frame => ({ cells: [], path: [], returns: [] });

export const newReader = (library: Library): Reader => ({
  library,
  report: library.report,
  writer: new ProgramWriter(),
  frame: newFrame(),
  stack: [],
  iterations: 0,
  calls: 0,
});

/** Reports syntax that a body cannot hold. */
export function refuse(r: Reader, node: ts.Node, [what, instead]: Refusal): Value {
  r.report.add("unsupported-syntax", node, `${what} cannot be part of a kernel's arithmetic`, { hint: instead });
  return poison;
}

/** A part of an input whose form is being found out. */
export function partOf(s: Slot, key: string): Slot {
  const known = s.parts.get(key);
  if (known) return known;
  const made = slot(s.name === "" ? (/^\d/.test(key) ? "" : key) : `${s.name}_${key}`);
  s.parts.set(key, made);
  return made;
}

/** A value as a number; undefined, with a report, where it is something else. */
export function scalarOf(r: Reader, v: Value, node: ts.Node): Scalar | undefined {
  if (v.kind === "scalar" || v.kind === "constant") return v;
  if (v.kind === "poison") return undefined;
  if (v.kind === "input" && v.slot.parts.size === 0) {
    v.slot.leaf = true;
    return { kind: "scalar", id: { input: v.slot } };
  }
  const what = v.kind === "input" ? "an object" : describeValue(v);
  r.report.add("unsupported-syntax", node, `a number is needed here, not ${what}`, { hint: hintFor(v) });
  return undefined;
}

const hintFor = (v: Value): string => {
  if (v.kind === "tuple") return "name one element: a[0]";
  if (v.kind === "unset") return "give it a value where it is declared, or on every way here";
  if (v.kind === "function" || v.kind === "builtin" || v.kind === "made" || v.kind === "maker") return "call it: f(x)";
  if (v.kind === "foreign") return "compute with numbers and functions of your own";
  return "name one property: s.mean";
};

/** An operation on values; poison where one is no number. */
export function apply(r: Reader, op: string, args: readonly Value[], nodes: readonly ts.Node[], at: ts.Node): Value {
  const scalars = args.map((a, i) => scalarOf(r, a, nodes[i] ?? at));
  if (scalars.some((s) => s === undefined)) return poison;
  return emit(r, op, scalars as Scalar[], at);
}

function emit(r: Reader, op: string, args: readonly Scalar[], at: ts.Node): Value {
  if (!r.writer.full) return r.writer.emit(op, args);
  r.report.add("body-too-large", r.report.root ?? at, `a function has more than ${stepLimit} operations`, {
    hint: "split it into several, or loop less often",
  });
  return poison;
}

/** One of two values by a condition, part by part. */
export function choose(r: Reader, condition: Value, a: Value, b: Value, at: ts.Node): Value {
  if (a === b) return a;
  if (condition.kind === "poison" || a.kind === "poison" || b.kind === "poison") return poison;
  if (condition.kind === "constant") return condition.value ? a : b;
  if (a.kind === "unset" || b.kind === "unset") return a.kind === "unset" ? a : b;
  if (a.kind === "tuple" && b.kind === "tuple" && a.items.length === b.items.length) {
    const { items } = b;
    return { kind: "tuple", items: a.items.map((x, i) => choose(r, condition, x, items[i] as Value, at)) };
  }
  if (a.kind === "object" && b.kind === "object" && sameKeys(a.fields, b.fields)) {
    const { fields } = b;
    const chosen = [...a.fields].map(([k, x]) => [k, choose(r, condition, x, fields.get(k) as Value, at)] as const);
    return { kind: "object", fields: new Map(chosen) };
  }
  const numeric = (v: Value): boolean => v.kind === "scalar" || v.kind === "constant" || v.kind === "input";
  if (!numeric(a) || !numeric(b)) {
    r.report.add("unsupported-syntax", at, `one of ${describeValue(a)} and ${describeValue(b)} is chosen here`, {
      hint: "give both the same form: numbers, or objects and arrays with the same parts",
    });
    return poison;
  }
  const [x, y] = [scalarOf(r, a, at), scalarOf(r, b, at)];
  if (!x || !y) return poison;
  return sameScalar(x, y) ? a : apply(r, "select", [condition, x, y], [at, at, at], at);
}

const sameKeys = (a: ReadonlyMap<string, Value>, b: ReadonlyMap<string, Value>): boolean =>
  a.size === b.size && [...a.keys()].every((k) => b.has(k));
