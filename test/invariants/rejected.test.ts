import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { SinterError } from "../../src/base/diagnostic.ts";
import {
  argMax,
  attention,
  batchNorm,
  bitcast,
  bool,
  cast,
  clamp,
  compile,
  concat,
  constant,
  crossEntropy,
  dim,
  einsum,
  embedding,
  expand,
  f16,
  f32,
  gather,
  gatherND,
  groupNorm,
  i32,
  iota,
  layerNorm,
  matmul,
  oneHot,
  pad,
  reduce,
  reshape,
  rope,
  scatterAdd,
  scatterElements,
  softmax,
  split,
  stack,
  sum,
  type Tensor,
  tile,
  transpose,
  u32,
  uniform,
  where,
} from "../../src/index.ts";
import { sharedGpu } from "../support/gpu.ts";

const here = fileURLToPath(import.meta.url);
const lines = readFileSync(here, "utf8").split("\n");
const any = (v: unknown) => v as never;

let leaked: Tensor | undefined;
compile({ x: f32(2) }, ({ x }) => (leaked = x));

/** Programs that cannot be, each under a name that stands once in this file. */
const bad: Readonly<Record<string, () => unknown>> = {
  "shapes that do not broadcast": () => compile({ x: f32(2, 3), y: f32(4) }, ({ x, y }) => x.add(y)),
  "two dtypes": () => compile({ x: f32(2), y: i32(2) }, ({ x, y }) => x.mul(y)),
  "f16 and f32": () => compile({ x: f32(2), y: f16(2) }, ({ x, y }) => x.sub(y)),
  "a fraction for an integer": () => compile({ x: i32(2) }, ({ x }) => x.add(1.5)),
  "infinity for an integer": () => compile({ x: u32(2) }, ({ x }) => x.max(Infinity)),
  "a negative number for u32": () => compile({ x: u32(2) }, ({ x }) => x.add(-1)),
  "exp of integers": () => compile({ x: i32(2) }, ({ x }) => x.exp()),
  "and of floats": () => compile({ x: f32(2) }, ({ x }) => x.and(x)),
  "not of floats": () => compile({ x: f32(2) }, ({ x }) => x.not()),
  "a shift of floats": () => compile({ x: f32(2) }, ({ x }) => x.shiftLeft(1)),
  "a condition of numbers": () => compile({ x: f32(2) }, ({ x }) => where(x, x, x)),
  "clamp of bools": () => compile({ x: bool(2) }, ({ x }) => clamp(x, 0, 1)),
  "bitcast to 16 bits": () => compile({ x: f32(2) }, ({ x }) => bitcast(x, any("f16"))),
  "a dtype that is not there": () => compile({ x: f32(2) }, ({ x }) => cast(x, any("f64"))),
  "matmul that does not contract": () => compile({ a: f32(2, 3), b: f32(4, 5) }, ({ a, b }) => matmul(a, b)),
  "matmul of other batches": () => compile({ a: f32(2, 3, 4), b: f32(3, 4, 5) }, ({ a, b }) => matmul(a, b)),
  "matmul of two dtypes": () => compile({ a: f32(3, 4), b: f16(4, 5) }, ({ a, b }) => matmul(a, b)),
  "matmul with a scalar": () => compile({ a: f32(), b: f32(4, 5) }, ({ a, b }) => matmul(a, b)),
  "einsum with a letter of two sizes": () =>
    compile({ a: f32(3, 4), b: f32(5, 4) }, ({ a, b }) => einsum("ij,ij->i", a, b)),
  "einsum with a new letter": () => compile({ a: f32(3, 4) }, ({ a }) => einsum("ij->k", a)),
  "reshape to another size": () => compile({ x: f32(2, 3) }, ({ x }) => reshape(x, [4, 2])),
  "reshape with two open sizes": () => compile({ x: f32(2, 3) }, ({ x }) => reshape(x, [-1, -1])),
  "transpose with an axis twice": () => compile({ x: f32(2, 3) }, ({ x }) => transpose(x, [0, 0])),
  "expand of an axis that is not 1": () => compile({ x: f32(2, 3) }, ({ x }) => expand(x, [4, 3])),
  "slice with step 0": () => compile({ x: f32(4) }, ({ x }) => x.slice([[0, 4, 0]])),
  "concat of other sizes": () => compile({ x: f32(2, 3), y: f32(2, 4) }, ({ x, y }) => concat([x, y])),
  "concat of nothing": () => compile({ x: f32(2, 3) }, () => concat([])),
  "stack of other shapes": () => compile({ x: f32(2, 3), y: f32(3) }, ({ x, y }) => stack([x, y])),
  "split into unequal parts": () => compile({ x: f32(5) }, ({ x }) => split(x, { parts: 2 })),
  "split with sizes of another sum": () => compile({ x: f32(5) }, ({ x }) => split(x, { sizes: [1, 2] })),
  "tile with too few repeats": () => compile({ x: f32(5, 2) }, ({ x }) => tile(x, [2])),
  "a reflection wider than the axis": () => compile({ x: f32(3) }, ({ x }) => pad(x, { low: 3, mode: "reflection" })),
  "an axis that is not there": () => compile({ x: f32(2, 3) }, ({ x }) => sum(x, { axes: 2 })),
  "an axis twice": () => compile({ x: f32(2, 3) }, ({ x }) => sum(x, { axes: [0, -2] })),
  "argMax of bools": () => compile({ x: bool(2, 3) }, ({ x }) => argMax(x)),
  "softmax of integers": () => compile({ x: i32(2, 3) }, ({ x }) => softmax(x)),
  "a scale of another size": () => compile({ x: f32(2, 3), s: f32(4) }, ({ x, s }) => layerNorm(x, { scale: s })),
  "a mean of another size": () => compile({ x: f32(2, 3), m: f32(2) }, ({ x, m }) => batchNorm(x, m, m)),
  "groups that do not divide": () => compile({ x: f32(2, 6, 4) }, ({ x }) => groupNorm(x, { groups: 4 })),
  "targets that are floats": () => compile({ x: f32(2, 3), t: f32(2) }, ({ x, t }) => crossEntropy(x, t)),
  "heads that do not share": () => compile({ q: f32(3, 4, 8), k: f32(2, 4, 8) }, ({ q, k }) => attention(q, k, k)),
  "queries of another depth": () => compile({ q: f32(2, 4, 8), k: f32(2, 4, 6) }, ({ q, k }) => attention(q, k, k)),
  "rope of an odd depth": () => compile({ x: f32(4, 7), p: i32(4) }, ({ x, p }) => rope(x, p)),
  "indices that are floats": () => compile({ x: f32(4), i: f32(2) }, ({ x, i }) => gather(x, i)),
  "ids that are floats": () => compile({ x: f32(4, 2), i: f32(2) }, ({ x, i }) => embedding(x, i)),
  "index tuples longer than the rank": () => compile({ x: f32(4), i: i32(2, 2) }, ({ x, i }) => gatherND(x, i)),
  "updates of another shape": () =>
    compile({ x: f32(4, 2), i: i32(3, 2), u: f32(2, 2) }, ({ x, i, u }) => scatterElements(x, i, u)),
  "updates of another dtype": () => compile({ x: f32(4), i: i32(3), u: i32(3) }, ({ x, i, u }) => scatterAdd(x, i, u)),
  "oneHot without a depth": () => compile({ i: i32(3) }, ({ i }) => oneHot(i, any({}))),
  "a seed of one word": () => compile({ s: u32(1) }, ({ s }) => uniform(s, [3])),
  "a combine of two values for one state": () =>
    compile({ x: f32(3) }, ({ x }) => reduce([x], { identity: [0], combine: any(([a]: [Tensor]) => [a, a]) })),
  "a combine that sees a tensor from outside": () =>
    compile({ x: f32(3), y: f32() }, ({ x, y }) =>
      reduce([x], { identity: [0], combine: ([a], [b]) => [a.add(b).mul(y)] }),
    ),
  "a constant with too few elements": () => compile({ x: f32(3) }, ({ x }) => x.add(constant([1, 2], [3]))),
  "iota of bools": () => compile({ x: bool(3) }, ({ x }) => iota([3], { dtype: "bool" }).and(x)),
  "nine axes": () => compile({ x: f32(1, 1, 1, 1, 1, 1, 1, 1) }, ({ x }) => x.unsqueeze({ axes: 0 })),
  "a size below zero": () => compile({ x: f32(3) }, ({ x }) => expand(x, [-3])),
  "an option that is misspelt": () => compile({ x: f32(3) }, ({ x }) => sum(x, any({ axis: 0 }))),
  "a tensor of another program": () => compile({ x: f32(2) }, ({ x }) => x.add(leaked as Tensor)),
  "text for a tensor": () => compile({ x: f32(2) }, ({ x }) => x.add(any("1"))),
  "a result that is no tensor": () => compile({ x: f32(2) }, () => any({ y: 3 })),
  "state of another shape": () => compile({ s: f32(2, 3) }, ({ s }) => ({ s: s.reshape([6]) }), { donate: ["s"] }),
  "a weight that is no input": () => compile({ x: f32(2) }, ({ x }) => x, any({ weights: ["y"] })),
};

/** The lines of a case: from its name to the next one's. */
function linesOf(name: string): readonly [number, number] {
  const at = (n: string): number => lines.findIndex((l) => l.includes(`"${n}":`)) + 1;
  const names = Object.keys(bad);
  const next = names[names.indexOf(name) + 1];
  return [at(name), next ? at(next) - 1 : at(name) + 3];
}

function errorOf(body: () => unknown): SinterError {
  try {
    body();
  } catch (e) {
    if (e instanceof SinterError) return e;
    throw e;
  }
  throw new Error("nothing was thrown");
}

describe("3. a shader compiler error is our bug: what is rejected is rejected by our own checks, with the user's file and line", () => {
  test.each(Object.entries(bad))("%s", (name, body) => {
    const { diagnostic, code, message } = errorOf(body);
    const [first, last] = linesOf(name);
    expect(first).toBeGreaterThan(0);
    expect(diagnostic.place?.file).toBe(here);
    expect(diagnostic.place?.line).toBeGreaterThanOrEqual(first);
    expect(diagnostic.place?.line).toBeLessThanOrEqual(last);
    expect(code).toMatch(/^[a-z]+(-[a-z]+)+$/);
    // A concrete next step, and nothing of the compiler's insides.
    expect(diagnostic.hint ?? diagnostic.cause, message).toBeTruthy();
    expect(message).not.toMatch(/undefined|\[object|NaN|Tint|wgsl/i);
  });
});

describe("3. a shader compiler error is our bug: what only sizes or a device can tell is refused before it is asked", () => {
  const gpu = sharedGpu();
  const T = dim("T");

  const refused = async (load: () => Promise<unknown>): Promise<SinterError> => {
    const { pipelines, buffers } = gpu().counters;
    const error = await load().then(
      () => new Error("nothing was refused"),
      (e: unknown) => e,
    );
    expect(error).toBeInstanceOf(SinterError);
    expect(gpu().counters).toMatchObject({ pipelines, buffers });
    return error as SinterError;
  };

  test("sizes that clash once they are bound", async () => {
    const program = compile({ x: f32(T, 4), y: f32(6, 4) }, ({ x, y }) => {
      const z = x.mul(2);
      return z.add(y); // clash
    });
    const error = await refused(() => program.load(gpu(), { dims: { T: 5 } }));
    expect(error.code).toBe("shape-mismatch");
    expect(error.diagnostic.place).toMatchObject({
      file: here,
      line: lines.findIndex((l) => l.endsWith("// clash")) + 1,
    });
    await expect(program.load(gpu(), { dims: { T: 6 } })).resolves.toBeDefined();
  });

  test("a named dim without a size, and one that is not there", async () => {
    const program = compile({ x: f32(T, 4) }, ({ x }) => x.mul(2));
    expect(await refused(() => program.load(gpu(), any({})))).toMatchObject({ code: "unbound-dim" });
    expect(await refused(() => program.load(gpu(), { dims: { T: 3, S: 4 } }))).toMatchObject({ code: "unknown-dim" });
    expect(await refused(() => program.load(gpu(), { dims: { T: -3 } }))).toMatchObject({ code: "bad-dim" });
  });

  test("a tensor that no binding of the device holds", async () => {
    const program = compile({ x: f32(1 << 16) }, ({ x }) => {
      return x.reshape([1 << 16, 1]).mul(x); // large
    });
    const error = await refused(() => program.load(gpu()));
    expect(error.code).toBe("tensor-too-large");
    expect(error.diagnostic.place).toMatchObject({
      file: here,
      line: lines.findIndex((l) => l.endsWith("// large")) + 1,
    });
  });

  test("an op with more operands than a kernel binds", async () => {
    const n = gpu().capabilities.limits.maxStorageBuffersPerShaderStage;
    const specs = Object.fromEntries(Array.from({ length: n }, (_, i) => [`x${i}`, f32(8)]));
    const combine = (a: readonly Tensor[], b: readonly Tensor[]) => a.map((s, i) => s.add(b[i] as Tensor));
    const program = compile(specs, (xs) => {
      const states = Object.values(xs);
      const identity = states.map(() => 0);
      return reduce(states, { identity, combine }); // wide
    });
    const error = await refused(() => program.load(gpu()));
    expect(error.diagnostic.place).toMatchObject({
      file: here,
      line: lines.findIndex((l) => l.endsWith("// wide")) + 1,
    });
  });
});
