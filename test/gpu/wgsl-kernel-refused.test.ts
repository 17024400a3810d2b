import { afterAll, describe, expect, test } from "vitest";
import { reflectWgsl } from "../../codegen/reflect/index.ts";
import { compileGraph } from "../../src/compiler.ts";
import { setWgslReflector } from "../../src/frontend/wgsl-signature.ts";
import { compile, constant, f32, SinterError, type Tensor, u32, type WgslKernel, wgslKernel } from "../../src/index.ts";
import { interpret } from "../../src/ir/interpret.ts";
import { profiles } from "../../src/runtime/profiles.ts";
import { sharedGpu } from "../support/gpu.ts";
import { fieldsKernel, histogram, scaleBy, scaleOutputs, tiledMatmul } from "../support/own-kernels.ts";
import { benignInputs } from "../support/values.ts";

const gpu = sharedGpu();
setWgslReflector(reflectWgsl);
// Other files of the worker have none.
afterAll(() => void setWgslReflector(undefined));
const product = wgslKernel(tiledMatmul);
const count = wgslKernel(histogram, { name: "histogram" });
const scale = wgslKernel(scaleBy);
const fields = wgslKernel(fieldsKernel, { name: "fields" });

describe("refused, naming the kernel and what to write instead", () => {
  const x = f32(8);
  const y = { outputs: scaleOutputs(8), workgroups: [1] };
  const run = (fn: (t: Tensor) => unknown) => () => compile({ x }, ({ x: t }) => fn(t) as Tensor);
  const silent = wgslKernel(
    "@group(0) @binding(0) var<storage> a: array<f32>; @compute @workgroup_size(1) fn f() { _ = a[0]; }",
  );
  const required = wgslKernel(
    "override N: u32; @group(0) @binding(0) var<storage, read_write> a: array<f32>; @compute @workgroup_size(N) fn f() { a[0] = 1; }",
  );
  const four = wgslKernel(
    "@group(0) @binding(0) var<storage, read_write> a: array<vec4f>; @group(0) @binding(1) var<storage> b: array<f32, 3>; @compute @workgroup_size(1) fn f() { a[0] = vec4f(b[0]); }",
  );
  const large = wgslKernel(
    "override N = 64; var<workgroup> w: array<f32, N * 100>; @group(0) @binding(0) var<storage, read_write> a: array<f32>; @compute @workgroup_size(N) fn f() { a[0] = w[0]; }",
  );
  const named = wgslKernel(
    "fn main() {} @group(0) @binding(0) var<storage, read_write> a: array<f32>; @compute @workgroup_size(1) fn f() { main(); a[0] = 1; }",
  );
  const untyped = wgslKernel as unknown as (...args: unknown[]) => WgslKernel;
  const loose = scale as unknown as (...args: unknown[]) => Record<string, Tensor>;
  const a = (options: object) => ({ outputs: { a: f32(8) }, workgroups: [1], ...options });
  test.each<[string, () => unknown, string, RegExp]>([
    ["no text", () => untyped(3), "bad-option", /takes the text of a shader, not the number 3/],
    ["an unknown option", () => untyped("", { nam: "x" }), "unknown-option", /no option "nam"/],
    ["a bad name", () => untyped("", { name: "a b*/" }), "bad-kernel-name", /cannot name a kernel/],
    ["a text with errors", () => untyped("fn f() {"), "wgsl-syntax", /WGSL 1:8/],
    ["no inputs", run(() => loose(undefined, y)), "bad-option", /inputs are undefined, not an object/],
    ["no call", run((t) => loose({ x: t, alpha: 1 })), "bad-option", /outputs are undefined, not an object/],
    [
      "a missing input",
      run(() => loose({ alpha: 1 }, y)),
      "missing-input",
      /the input x was not given[\s\S]*array<f32>/,
    ],
    [
      "an unknown buffer",
      run((t) => loose({ x: t, alfa: 1 }, y)),
      "unknown-input",
      /no buffer "alfa"[\s\S]*did you mean "alpha"/,
    ],
    [
      "a missing output",
      run((t) => loose({ x: t, alpha: 1 }, { ...y, outputs: { y: x } })),
      "missing-output",
      /the output times is not declared[\s\S]*times: u32/,
    ],
    [
      "an unknown output",
      run((t) => loose({ x: t, alpha: 1 }, { ...y, outputs: { ...y.outputs, z: x } })),
      "unknown-output",
      /writes no buffer "z"/,
    ],
    [
      "an output that is read",
      run((t) => loose({ x: t, alpha: 1 }, { ...y, outputs: { ...y.outputs, x } })),
      "unknown-output",
      /does not write x/,
    ],
    [
      "an output of another dtype",
      run((t) => loose({ x: t, alpha: 1 }, { ...y, outputs: { ...y.outputs, times: x } })),
      "dtype-mismatch",
      /the output times is f32\[8\]/,
    ],
    [
      "an output that is no spec",
      run((t) => loose({ x: t, alpha: 1 }, { ...y, outputs: { ...y.outputs, times: [8] } })),
      "bad-option",
      /the output times is an array/,
    ],
    [
      "an input of another dtype",
      run((t) => loose({ x: t.cast("i32"), alpha: 1 }, y)),
      "dtype-mismatch",
      /x is i32\[8\][\s\S]*cast\(x, "f32"\)/,
    ],
    [
      "numbers for a tensor",
      run(() => loose({ x: [1, 2], alpha: 1 }, y)),
      "not-a-tensor",
      /takes a tensor as x, not an array/,
    ],
    [
      "text for a number",
      run((t) => loose({ x: t, alpha: "1" }, y)),
      "not-a-tensor",
      /takes a tensor as alpha, not the string/,
    ],
    ["fields for a value", run((t) => loose({ x: t, alpha: { a: 1 } }, y)), "bad-option", /alpha is an object/],
    [
      "no workgroups",
      run((t) => loose({ x: t, alpha: 1 }, { outputs: y.outputs })),
      "bad-option",
      /workgroups are undefined/,
    ],
    [
      "four workgroups",
      run((t) => loose({ x: t, alpha: 1 }, { ...y, workgroups: [1, 1, 1, 1] })),
      "bad-option",
      /workgroups are 4 numbers/,
    ],
    ["half a workgroup", run((t) => loose({ x: t, alpha: 1 }, { ...y, workgroups: [0.5] })), "bad-shape", /0\.5/],
    [
      "an unknown override",
      run((t) => loose({ x: t, alpha: 1 }, { ...y, overrides: { N: 1 } })),
      "unknown-option",
      /no override "N"/,
    ],
    [
      "nothing written",
      run((t) => silent({ a: t }, { outputs: {}, workgroups: [1] })),
      "no-output",
      /f writes no buffer/,
    ],
    ["a missing override", run(() => required({}, a({}))), "missing-override", /the override N has no value/],
    [
      "an override of another type",
      run(() => required({}, a({ overrides: { N: true } }))),
      "bad-option",
      /override N is u32, not the boolean true/,
    ],
    ["an override that is no integer", run(() => required({}, a({ overrides: { N: 1.5 } }))), "bad-number", /1\.5/],
    [
      "an empty workgroup",
      run(() => required({}, a({ overrides: { N: 0 } }))),
      "wgsl-unsupported",
      /the workgroup size is N, which is 0/,
    ],
    ["a name that is taken", run(() => named({}, a({}))), "wgsl-entry-point", /1:4: a fn is named main/],
    [
      "elements beside vectors",
      run((t) => four({ b: t.slice([[0, 3]]) }, { outputs: { a: f32(6) }, workgroups: [1] })),
      "shape-mismatch",
      /a is f32\[6\], 6 elements[\s\S]*4 at a time/,
    ],
    [
      "another size",
      run((t) => four({ b: t }, { outputs: { a: f32(8) }, workgroups: [1] })),
      "shape-mismatch",
      /b is f32\[8\], 8 elements[\s\S]*declares 3/,
    ],
    [
      "an input unlike its output",
      run((t) =>
        count(
          { values: constant([1, 2], [2], "u32"), bins: t.cast("u32") },
          { outputs: { bins: u32(4) }, workgroups: [1] },
        ),
      ),
      "shape-mismatch",
      /input and output bins/,
    ],
    [
      "a field that is missing",
      run(() =>
        product(
          { a: constant([1]), b: constant([1]), sizes: { m: 1, n: 1, k: 1 } },
          { outputs: { c: f32(1) }, workgroups: [1] },
        ),
      ),
      "bad-option",
      /sizes\.scale is undefined/,
    ],
    [
      "an unknown field",
      run(() =>
        product(
          { a: constant([1]), b: constant([1]), sizes: { m: 1, n: 1, k: 1, skale: 1 } },
          { outputs: { c: f32(1) }, workgroups: [1] },
        ),
      ),
      "unknown-option",
      /no field "skale"[\s\S]*did you mean "scale"/,
    ],
    [
      "a fraction for an integer",
      run(() =>
        product(
          { a: constant([1]), b: constant([1]), sizes: { m: 1.5, n: 1, k: 1, scale: 1 } },
          { outputs: { c: f32(1) }, workgroups: [1] },
        ),
      ),
      "bad-number",
      /1\.5/,
    ],
    [
      "a field's dtype",
      run((t) =>
        product({ a: t, b: t, sizes: { m: 1, n: 1, k: 1, scale: t } }, { outputs: { c: f32(1) }, workgroups: [1] }),
      ),
      "dtype-mismatch",
      /sizes\.scale is f32\[8\]/,
    ],
    [
      "a number for a struct",
      run((t) => product({ a: t, b: t, sizes: 3 }, { outputs: { c: f32(1) }, workgroups: [1] })),
      "bad-option",
      /sizes is the number 3[\s\S]*struct of m: u32/,
    ],
    [
      "a short vector",
      run(() =>
        fields({ p: { n: 1, ratio: 1, v: [1, 2], list: [], last: 1 } }, { outputs: { out: f32(12) }, workgroups: [1] }),
      ),
      "bad-option",
      /p\.v is an array of 2[\s\S]*array of 3/,
    ],
    [
      "too much memory",
      () => compileGraph(compile({ x }, ({ x: t }) => [t, large({}, a({})).a]).graph, profiles.base),
      "kernel-limits",
      /f needs 25600 bytes of workgroup memory/,
    ],
    [
      "too many workgroups",
      () =>
        compileGraph(
          compile({ x }, ({ x: t }) => [t, large({}, a({ workgroups: [1, 70_000], overrides: { N: 4 } })).a]).graph,
          profiles.base,
        ),
      "kernel-limits",
      /70000 workgroups along y/,
    ],
    [
      "a wide workgroup",
      () =>
        compileGraph(compile({ x }, ({ x: t }) => [t, large({}, a({ overrides: { N: 300 } })).a]).graph, {
          ...profiles.base,
          limits: { ...profiles.base.limits, maxComputeWorkgroupStorageSize: 2 ** 20 },
        }),
      "kernel-limits",
      /300 invocations in a workgroup/,
    ],
  ])("%s", (_, fn, code, message) => {
    let error: unknown;
    try {
      fn();
    } catch (e) {
      error = e;
    }
    expect(error).toBeInstanceOf(SinterError);
    expect((error as SinterError).code).toBe(code);
    expect((error as Error).message).toMatch(message);
    expect((error as SinterError).diagnostic.place?.file).toMatch(/wgsl-kernel-refused\.test\.ts$/);
  });

  test("in the interpreter, without a meaning on the CPU", () => {
    const p = compile({ x }, ({ x: t }) => large({}, a({})).a.add(t));
    expect(() => interpret(p.graph, benignInputs(p.graph))).toThrow(/f is a kernel in WGSL[\s\S]*cpu/);
  });

  test("without the build", () => {
    setWgslReflector(undefined);
    try {
      const unread = wgslKernel(scaleBy, { name: "scale" });
      expect(unread.signature).toBeUndefined();
      const use = (kernel: WgslKernel) => run((t) => kernel({ x: t, alpha: 1 }, y).y);
      expect(use(unread)).toThrow(
        /scale: the interface of this WGSL was not read[\s\S]*sinter build[\s\S]*reflectWgsl/,
      );
      // The build gives the signature with the call.
      expect(use(wgslKernel(scaleBy, undefined, reflectWgsl(scaleBy)))).not.toThrow();
    } finally {
      setWgslReflector(reflectWgsl);
    }
  });

  test("a text that does not compile, with the line that is wrong", async () => {
    const wrong = tiledMatmul.replace("sum * sizes.scale", "sum * sizes.missing");
    const line = wrong.split("\n").findIndex((l) => l.includes("missing")) + 1;
    const broken = wgslKernel(wrong);
    const p = compile(
      { a: f32(4, 4) },
      ({ a: t }) =>
        broken({ a: t, b: t, sizes: { m: 4, n: 4, k: 4, scale: 1 } }, { outputs: { c: f32(4, 4) }, workgroups: [1, 1] })
          .c,
    );
    const error = (await p.load(gpu()).catch((e: unknown) => e)) as SinterError;
    expect(error.code).toBe("kernel-compile-failed");
    expect(error.message).toContain(`cause: ${line}:`);
    expect(error.message).toMatch(/wgsl:multiply.*wgsl-kernel-refused\.test\.ts:\d+/);
    expect(error.message).toMatch(/next: .*your own WGSL/);
  });
});
