import { test } from "@fast-check/vitest";
import { expect } from "vitest";
import { compile, f32, type Tensor } from "../../../src/index.ts";
import { interpret } from "../../../src/ir/interpret.ts";
import { ndarray } from "../../../src/ir/ndarray.ts";
import { runs } from "../../properties/runs.ts";
import { load } from "./load.ts";
import { randomBody } from "./random-body.ts";

const xs = [-3.5, -1, -0.25, 0, 0.125, 1, 2.5, 40];
const ys = [2, -0.75, 0, 3, 0.5, -6, 1, 0.25];

type Both = ((x: number, y: number, o: number) => number) & ((x: Tensor, y: Tensor, o: Tensor) => Tensor);

test.prop([randomBody], runs<[string]>(200))("whatever a function computes, its graph computes", async (text) => {
  const fn = (await load(text)).fn as Both;
  const { graph } = compile({ x: f32(8), y: f32(8), o: f32() }, ({ x, y, o }) => fn(x, y, o));
  const out = interpret(graph, {
    x: ndarray("f32", [8], xs),
    y: ndarray("f32", [8], ys),
    o: ndarray("f32", [], [0]),
  }).out;
  xs.forEach((x, i) => {
    const want = Number(fn(x, ys[i] as number, 0));
    const got = out?.data[i] as number;
    const same = Object.is(got, want) || got === want || Math.abs(got - want) <= 1e-6 * Math.abs(want);
    expect(same, `${text}\nat ${x}, ${ys[i]}: ${got}, not ${want}`).toBe(true);
  });
});
