import { fail } from "../../base/diagnostic.ts";
import { type Dim, dimText, isSym, type Shape, shapeText } from "../dim.ts";
import { range } from "./axes.ts";
import { mayEqual } from "./infer.ts";

/** An einsum: a label for each axis of each operand and of the result. Axes of `...` have the labels `#0`, `#1`, … from the last one. */
export interface Einsum {
  readonly operands: readonly (readonly string[])[];
  readonly output: readonly string[];
  /** The size of each label; 1 only when all its axes have size 1. */
  readonly sizes: ReadonlyMap<string, Dim>;
}

const form = /^([A-Za-z]*)(\.\.\.)?([A-Za-z]*)$/;

/**
 * Reads `ab,bc->ac`; without `->` the result has the axes of `...` and then the labels that appear once, in the order of
 * their codes.
 * @throws SinterError `bad-equation`, `shape-mismatch`
 */
export function parseEinsum(equation: string, shapes: readonly Shape[]): Einsum {
  const text = equation.replaceAll(/\s/g, "");
  const refuse = (cause: string, hint: string): never =>
    fail("bad-equation", `einsum: ${JSON.stringify(equation)} does not describe ${shapes.map(shapeText).join(", ")}`, {
      cause,
      hint,
    });
  const [left = "", right, extra] = text.split("->");
  if (extra !== undefined) refuse("there is more than one ->", "write operands -> result once");
  const terms = left.split(",");
  if (terms.length !== shapes.length)
    refuse(
      `it names ${terms.length} operands, but there are ${shapes.length}`,
      "write one term for each tensor, separated by commas",
    );

  const split = (term: string): RegExpExecArray =>
    form.exec(term) ??
    refuse(`${JSON.stringify(term)} is not letters with at most one ...`, "name each axis by one letter");
  let ellipsis = 0;
  const operands = terms.map((term, i) => {
    const [, before = "", dots, after = ""] = split(term);
    const rank = (shapes[i] as Shape).length;
    const free = rank - before.length - after.length;
    if (free < 0 || (free > 0 && !dots))
      refuse(
        `${JSON.stringify(term)} names ${before.length + after.length} axes of a tensor of rank ${rank}`,
        "name every axis, or write ... for the rest",
      );
    ellipsis = Math.max(ellipsis, free);
    return [...before, ...dotLabels(free), ...after];
  });

  const labels = operands.flat();
  const output = right === undefined ? implicitOutput(labels, ellipsis) : explicitOutput(right);
  function explicitOutput(term: string): string[] {
    const [, before = "", dots, after = ""] = split(term);
    return [...before, ...(dots ? dotLabels(ellipsis) : []), ...after];
  }
  const stray = output.find((l, i) => !labels.includes(l) || output.indexOf(l) !== i);
  if (stray !== undefined)
    refuse(
      `label ${stray} of the result is in no operand or appears twice`,
      "name each axis of the result once, by a label of an operand",
    );
  return { operands, output, sizes: labelSizes(equation, operands, shapes) };
}

const dotLabels = (n: number): string[] => range(n).map((i) => `#${n - 1 - i}`);

function implicitOutput(labels: readonly string[], ellipsis: number): string[] {
  const once = labels.filter((l) => !l.startsWith("#") && labels.indexOf(l) === labels.lastIndexOf(l));
  return [...dotLabels(ellipsis), ...once.sort()];
}

function labelSizes(
  equation: string,
  operands: readonly (readonly string[])[],
  shapes: readonly Shape[],
): Map<string, Dim> {
  const sizes = new Map<string, Dim>();
  const refuse = (label: string, a: Dim, b: Dim): never =>
    fail(
      "shape-mismatch",
      `einsum ${JSON.stringify(equation)}: shapes ${shapes.map(shapeText).join(", ")} do not fit`,
      {
        cause: `label ${label} has sizes ${dimText(a)} and ${dimText(b)}`,
        hint: "axes of one label have one size; in different operands 1 repeats",
      },
    );
  operands.forEach((labels, i) => {
    const shape = shapes[i] as Shape;
    labels.forEach((l, axis) => {
      const d = shape[axis] as Dim;
      const first = shape[labels.indexOf(l)] as Dim;
      const known = sizes.get(l) ?? 1;
      if (!mayEqual(first, d)) refuse(l, first, d);
      if (d === 1) sizes.set(l, known);
      else if (known === 1 || isSym(known)) sizes.set(l, d);
      else if (!mayEqual(known, d)) refuse(l, known, d);
    });
  });
  return sizes;
}
