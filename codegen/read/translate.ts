import { ts } from "ts-morph";
import {
  type BodyInput,
  type ElementwiseBody,
  literalOf,
  type ReductionBody,
  type ScalarProgram,
  type ValueTree,
} from "../../src/frontend/body-data.ts";
import { callFunction } from "./call.ts";
import { evaluate } from "./expression.ts";
import type { Library } from "./library.ts";
import type { Scalar } from "./program.ts";
import { newReader, type Reader, scalarOf } from "./reader.ts";
import type { Scope } from "./scope.ts";
import {
  type Constant,
  describeValue,
  type FunctionNode,
  type FunctionValue,
  type Slot,
  slot,
  type Value,
} from "./value.ts";

/** The body of `elementwise(…)`; undefined where something was reported. */
export function readElementwise(library: Library, node: ts.CallExpression, scope: Scope): ElementwiseBody | undefined {
  const fn = functionOf(newReader(library), node.arguments[0] as ts.Expression, scope);
  if (!fn) return undefined;
  const r = newReader(library);
  const slots = slotsOf(fn.node);
  const made = callFunction(r, fn, slots.map(inputOf), fn.node);
  const leaves = leavesOf(slots);
  const result = program(r, leaves, made, fn.node);
  return result && { kind: "elementwise", inputs: named(leaves), params: trees(slots, leaves), ...result };
}

const parts = ["init", "map", "combine", "result"] as const;

/** The body of `reduction(…)`. */
export function readReduction(library: Library, node: ts.CallExpression, scope: Scope): ReductionBody | undefined {
  const { report } = library;
  const errors = report.times;
  const spec = evaluate(newReader(library), node.arguments[0] as ts.Expression, scope);
  if (spec.kind === "poison") return undefined;
  if (spec.kind !== "object") {
    report.add("unsupported-syntax", node.arguments[0] as ts.Node, "reduction takes an object of functions", {
      hint: "write reduction({ init: …, map: …, combine: …, result: … })",
    });
    return undefined;
  }
  for (const key of spec.fields.keys()) {
    if ((parts as readonly string[]).includes(key)) continue;
    report.add("unknown-name", node.arguments[0] as ts.Node, `a reduction has no ${key}`, {
      hint: `it has ${parts.join(", ")}`,
    });
  }
  const [init, map, combine, result] = parts.map((key) => {
    const value = spec.fields.get(key);
    if (value?.kind === "made" && value.by === "elementwise" && value.of.kind === "function") return value.of;
    if (value?.kind === "function") return value;
    if (value?.kind === "poison" || (key === "result" && !value)) return undefined;
    report.add(
      "unsupported-syntax",
      node.arguments[0] as ts.Node,
      `${key} is ${value ? describeValue(value) : "missing"}`,
      { hint: value?.kind === "builtin" ? writtenOut(value.name) : `write ${key} as a function` },
    );
    return undefined;
  });
  if (!init || !map || !combine || report.times > errors) return undefined;

  const identity = stateOf(library, init);
  if (!identity) return undefined;
  const mapped = mapOf(library, map, identity);
  const joined = combineOf(library, combine, identity);
  const last = resultOf(library, result, identity);
  if (!mapped || !joined || !last || report.times > errors) return undefined;
  return {
    kind: "reduction",
    ...mapped,
    identity: identity.leaves.map(({ value, type }) =>
      type === "number" ? [literalOf(value)] : [literalOf(value), type],
    ),
    combine: joined,
    result: last,
  };
}

/** The state of no elements: its form, and its numbers in order. */
interface State {
  readonly form: Value;
  readonly leaves: readonly Constant[];
}

function stateOf(library: Library, init: FunctionValue): State | undefined {
  const r = newReader(library);
  const form = callFunction(r, init, [], init.node);
  const scalars = flat(r, form, init.node);
  if (!scalars) return undefined;
  const leaves = scalars.filter((s): s is Constant => s.kind === "constant");
  return { form, leaves };
}

function mapOf(library: Library, map: FunctionValue, state: State) {
  const r = newReader(library);
  const slots = slotsOf(map.node);
  if (slots.length === 0) {
    r.report.add("unsupported-syntax", map.node, "map takes no element", { hint: "write map: (x: number) => …" });
    return undefined;
  }
  const made = callFunction(r, map, slots.map(inputOf), map.node);
  const inputs = leavesOf(slots);
  const result = stateProgram(r, inputs, made, state, "map", map.node);
  return result && { inputs: named(inputs), params: trees(slots, inputs), map: result };
}

function combineOf(library: Library, combine: FunctionValue, state: State) {
  const r = newReader(library);
  const [a, b] = ["a", "b"].map((name) => stateInputs(state.form, name)) as [StateInputs, StateInputs];
  const made = callFunction(r, combine, [a.value, b.value], combine.node);
  return stateProgram(r, [...a.slots, ...b.slots], made, state, "combine", combine.node);
}

function resultOf(library: Library, result: FunctionValue | undefined, state: State): ScalarProgram | undefined {
  const r = newReader(library);
  const s = stateInputs(state.form, "s");
  if (!result) return program(r, s.slots, s.value, undefined as never);
  return program(r, s.slots, callFunction(r, result, [s.value], result.node), result.node);
}

interface StateInputs {
  readonly value: Value;
  readonly slots: readonly Slot[];
}

/** A state as a parameter: the form of `init` with inputs for its numbers. */
function stateInputs(form: Value, name: string): StateInputs {
  const slots: Slot[] = [];
  const copy = (v: Value): Value => {
    if (v.kind === "tuple") return { kind: "tuple", items: v.items.map(copy) };
    if (v.kind === "object") return { kind: "object", fields: new Map([...v.fields].map(([k, e]) => [k, copy(e)])) };
    const made = slot(`${name}${slots.length}`);
    slots.push(made);
    return { kind: "scalar", id: { input: made } };
  };
  return { value: copy(form), slots };
}

function stateProgram(
  r: Reader,
  inputs: readonly Slot[],
  made: Value,
  state: State,
  what: string,
  node: FunctionNode,
): (ScalarProgram & { readonly result: readonly number[] }) | undefined {
  if (made.kind === "poison") return undefined;
  const ordered = inForm(made, state.form);
  if (!ordered) {
    r.report.add("bad-state", node, `${what} gives ${formText(made)}, but init gives ${formText(state.form)}`, {
      hint: "give the same properties, or as many elements, in init, map and combine",
    });
    return undefined;
  }
  const scalars = flat(r, ordered, node);
  if (!scalars) return undefined;
  const { steps, values } = r.writer.complete(inputs, scalars);
  return { steps, result: values };
}

/** A state with its properties in the order of another; undefined where they differ in form. */
function inForm(v: Value, form: Value): Value | undefined {
  if (form.kind === "tuple") {
    if (v.kind !== "tuple" || v.items.length !== form.items.length) return undefined;
    const items = v.items.map((e, i) => inForm(e, form.items[i] as Value));
    return items.includes(undefined) ? undefined : { kind: "tuple", items: items as Value[] };
  }
  if (form.kind === "object") {
    if (v.kind !== "object" || v.fields.size !== form.fields.size) return undefined;
    const fields = [...form.fields].map(
      ([k, f]) => [k, v.fields.has(k) ? inForm(v.fields.get(k) as Value, f) : undefined] as const,
    );
    return fields.some(([, e]) => !e) ? undefined : { kind: "object", fields: new Map(fields as [string, Value][]) };
  }
  return v.kind === "tuple" || v.kind === "object" ? undefined : v;
}

function formText(v: Value): string {
  if (v.kind === "tuple") return `[${v.items.map(formText).join(", ")}]`;
  if (v.kind === "object") {
    const inner = [...v.fields].map(([k, e]) =>
      e.kind === "tuple" || e.kind === "object" ? `${k}: ${formText(e)}` : k,
    );
    return `{ ${inner.join(", ")} }`;
  }
  return describeValue(v);
}

function functionOf(r: Reader, node: ts.Expression, scope: Scope): FunctionValue | undefined {
  const value = evaluate(r, node, scope);
  const fn = value.kind === "made" && value.by === "elementwise" ? value.of : value;
  if (fn.kind === "function") return fn;
  if (fn.kind !== "poison") {
    r.report.add(
      "unsupported-syntax",
      node,
      `elementwise takes a function of the source, not ${describeValue(value)}`,
      {
        hint: fn.kind === "builtin" ? writtenOut(fn.name) : "write elementwise((x: number) => x * x)",
      },
    );
  }
  return undefined;
}

const writtenOut = (name: string): string => `write (x: number) => ${name}(x)`;

const slotsOf = (node: FunctionNode): Slot[] =>
  node.parameters.map((p) =>
    slot(ts.isIdentifier(p.name) ? p.name.text : "", p.type?.kind === ts.SyntaxKind.BooleanKeyword),
  );

const inputOf = (s: Slot): Value => ({ kind: "input", slot: s });

/** Slots that are numbers, in the order of the parameters. */
const leavesOf = (slots: Iterable<Slot>): Slot[] =>
  [...slots].flatMap((s) => (s.parts.size > 0 ? leavesOf(s.parts.values()) : [s]));

function trees(slots: readonly Slot[], leaves: readonly Slot[]): ValueTree[] {
  const tree = (s: Slot): ValueTree =>
    s.parts.size === 0 ? leaves.indexOf(s) : Object.fromEntries([...s.parts].map(([key, part]) => [key, tree(part)]));
  return slots.map(tree);
}

/** Names of inputs: those of the source, made different where two are equal. */
function named(leaves: readonly Slot[]): BodyInput[] {
  const taken = new Set<string>();
  return leaves.map((s, i) => {
    const own = s.name === "" ? `x${i}` : s.name;
    let name = own;
    for (let n = 2; taken.has(name); n++) name = `${own}_${n}`;
    taken.add(name);
    return s.bool ? { name, bool: true } : { name };
  });
}

function program(r: Reader, inputs: readonly Slot[], made: Value, node: FunctionNode): ScalarProgram | undefined {
  const scalars = flat(r, made, node);
  if (!scalars) return undefined;
  const { steps, values } = r.writer.complete(inputs, scalars);
  let next = 0;
  const tree = (v: Value): ValueTree => {
    if (v.kind === "tuple") return v.items.map(tree);
    if (v.kind === "object") return Object.fromEntries([...v.fields].map(([k, e]) => [k, tree(e)]));
    return values[next++] as number;
  };
  return { steps, result: tree(made) };
}

/** The numbers of a result in order; undefined, with a report, where it holds anything else. */
function flat(r: Reader, made: Value, node: ts.Node): Scalar[] | undefined {
  const errors = r.report.times;
  const out: Scalar[] = [];
  let broken = false;
  const visit = (v: Value): void => {
    if (v.kind === "tuple") v.items.forEach(visit);
    else if (v.kind === "object") v.fields.forEach(visit);
    else {
      const s = scalarOf(r, v, node);
      if (s) out.push(s);
      else broken = true;
    }
  };
  visit(made);
  if (!broken && out.length === 0) {
    r.report.add("unsupported-syntax", node, "the function gives no number", {
      hint: "return a number, or an object or array of numbers",
    });
  }
  return broken || r.report.times > errors || out.length === 0 ? undefined : out;
}
