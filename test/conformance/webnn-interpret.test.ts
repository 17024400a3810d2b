import { describe, expect, test } from "vitest";
import { compile } from "../../src/index.ts";
import { interpret } from "../../src/ir/interpret.ts";
import { type NDArray, ndarray } from "../../src/ir/ndarray.ts";
import { roundTo } from "../support/ulp.ts";
import { elements, specsOf, traced } from "./webnn/build.ts";
import type { WebnnCase } from "./webnn/cases.ts";
import { judge, known, loadSuite, skippedText } from "./webnn/suite.ts";
import { difference, toleranceOf } from "./webnn/tolerance.ts";

const suite = loadSuite("WebNN conformance of the interpreter");

/** Cases of tens of millions of elements say nothing more about meaning than small ones. */
const tooLarge = (c: WebnnCase): boolean => c.outputs.some((t) => t.shape.reduce((n, d) => n * d, 1) > 4e6);

const rounded = (x: NDArray): NDArray => ({ ...x, data: x.data.map((v) => roundTo(x.dtype, v)) });

function failureOf(c: WebnnCase): string | undefined {
  try {
    const { graph } = compile(specsOf(c), traced(c));
    const inputs = Object.fromEntries(c.inputs.map((t) => [t.name, ndarray(t.dtype, t.shape, elements(t))]));
    const out = interpret(graph, inputs);
    for (const want of c.outputs) {
      const wrong = difference(want, rounded(out[want.name] as NDArray), toleranceOf(c));
      if (wrong) return wrong;
    }
    return undefined;
  } catch (e) {
    return e instanceof Error ? (e.message.split("\n")[0] as string) : String(e);
  }
}

describe.skipIf(!suite)("WebNN conformance of the interpreter", () => {
  const files = [...(suite?.files ?? [])];

  test("every case in scope is counted", () => {
    if (!suite) return;
    const cases = files.reduce((n, [, list]) => n + list.length, 0);
    console.log(`${cases} cases to run; ${skippedText(suite)}`);
    expect(cases + suite.unfit.length).toBe(1795);
    expect(suite.unfit.map((c) => c.id)).toEqual(known.unfit);
    const ids = new Set(files.flatMap(([, list]) => list.map((c) => c.id)));
    const listed = Object.keys(known.failures).filter((id) => /\.(js|json): /.test(id));
    expect(listed.filter((id) => !ids.has(id))).toEqual([]);
  });

  test.each(files)("%s", (_, cases) => {
    const run = cases.filter((c) => !tooLarge(c));
    judge("interpreter", new Map(run.map((c) => [c.id, failureOf(c)])));
  });
});
