import { type LiteralType, literalOf, type Step } from "../../src/frontend/body-data.ts";
import { forms } from "../../src/frontend/body-ops.ts";
import { type Constant, constant, type Slot, type Value, type ValueId } from "./value.ts";

/** A number or truth value, known or not. */
export type Scalar = Extract<Value, { kind: "scalar" }> | Constant;

/** The most steps of one program. */
export const stepLimit = 4096;

interface WrittenStep {
  readonly op: string;
  readonly args: readonly ValueId[];
  readonly constant?: Constant;
}

/** A program as it is written. Equal steps are one step, and what constants give is a constant, computed as JavaScript does. */
export class ProgramWriter {
  readonly #steps: WrittenStep[] = [];
  readonly #known = new Map<string, ValueId>();
  readonly #slots = new Map<Slot, number>();

  get full(): boolean {
    return this.#steps.length > stepLimit;
  }

  emit(op: string, args: readonly Scalar[]): Scalar {
    const chosen = choice(op, args);
    if (chosen) return chosen;
    const form = forms[op];
    if (!form) throw new Error(`there is no operation ${op}`);
    if (args.every((a) => a.kind === "constant")) {
      const value = form.js(...args.map((a) => a.value));
      return constant(value, foldedType(form.gives, args, value));
    }
    const ids = args.map((a) => this.#id(a));
    return { kind: "scalar", id: this.#add(`${op} ${ids.map((i) => this.#key(i)).join(" ")}`, { op, args: ids }) };
  }

  #id(x: Scalar): ValueId {
    if (x.kind === "scalar") return x.id;
    return this.#add(`const ${literalOf(x.value)} ${x.type}`, { op: "const", args: [], constant: x });
  }

  #key(id: ValueId): string {
    if ("step" in id) return String(id.step);
    const known = this.#slots.get(id.input) ?? this.#slots.size;
    this.#slots.set(id.input, known);
    return `i${known}`;
  }

  #add(key: string, step: WrittenStep): ValueId {
    const known = this.#known.get(key);
    if (known) return known;
    const id = { step: this.#steps.length };
    this.#steps.push(step);
    this.#known.set(key, id);
    return id;
  }

  /** The steps that `wanted` need, with inputs numbered first, and the numbers of the wanted values. */
  complete(inputs: readonly Slot[], wanted: readonly Scalar[]): { readonly steps: Step[]; readonly values: number[] } {
    const ids = wanted.map((w) => this.#id(w));
    const needed = new Set<number>();
    const mark = (id: ValueId): void => void ("step" in id && needed.add(id.step));
    ids.forEach(mark);
    for (let i = this.#steps.length - 1; i >= 0; i--) if (needed.has(i)) this.#steps[i]?.args.forEach(mark);
    const order = [...needed].sort((a, b) => a - b);
    const at = new Map(order.map((step, i) => [step, inputs.length + i]));
    const number = (id: ValueId): number => ("step" in id ? (at.get(id.step) as number) : inputs.indexOf(id.input));
    return {
      steps: order.map((i) => {
        const { op, args, constant: c } = this.#steps[i] as WrittenStep;
        return c ? constantStep(c) : ([op, ...args.map(number)] as Step);
      }),
      values: ids.map(number),
    };
  }
}

function constantStep({ value, type }: Constant): Step {
  return type === "number" ? ["const", literalOf(value)] : ["const", literalOf(value), type];
}

/** What a selection or a logical operator gives when its condition is known, or does not matter. */
function choice(op: string, args: readonly Scalar[]): Scalar | undefined {
  const [c, x, y] = args as [Scalar, Scalar, Scalar];
  if (op === "select" && sameScalar(x, y)) return x;
  if (c?.kind !== "constant") return undefined;
  if (op === "select") return c.value ? x : y;
  if (op === "and") return c.value ? x : c;
  if (op === "or") return c.value ? c : x;
  return undefined;
}

export function sameScalar(a: Scalar, b: Scalar): boolean {
  if (a.kind === "constant" || b.kind === "constant") {
    return (
      a.kind === b.kind &&
      a.kind === "constant" &&
      b.kind === "constant" &&
      Object.is(a.value, b.value) &&
      a.type === b.type
    );
  }
  if ("step" in a.id) return "step" in b.id && a.id.step === b.id.step;
  return "input" in b.id && a.id.input === b.id.input;
}

const ranges = { i32: [-(2 ** 31), 2 ** 31 - 1], u32: [0, 2 ** 32 - 1] } as const;
const holds = (t: "i32" | "u32", x: number): boolean =>
  Number.isInteger(x) && !Object.is(x, -0) && x >= ranges[t][0] && x <= ranges[t][1];

/** As for values that are not constants: integers of one dtype give one where it can hold the result. */
function foldedType(
  gives: LiteralType | "number" | "same",
  args: readonly Scalar[],
  result: number,
): LiteralType | "number" {
  if (gives !== "same") return gives;
  const known = args.filter((a): a is Constant => a.kind === "constant");
  const types = new Set(known.flatMap((a) => (a.type === "number" ? [] : [a.type])));
  const [type] = types;
  if (type === undefined || types.size > 1) return "number";
  if (type === "bool")
    return known.every((a) => a.type === "bool") && (result === 0 || result === 1) ? "bool" : "number";
  const whole = known.every((a) => a.type !== "number" || holds(type, a.value));
  return whole && holds(type, result) ? type : "number";
}
