import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, test, vi } from "vitest";
import { SinterError } from "../../src/base/diagnostic.ts";
import { filePath, parseFrame } from "../../src/frontend/place.ts";
import { compile, f32, matmul, reduce, type Tensor } from "../../src/index.ts";
import { linear } from "../../src/nn/index.ts";

const here = fileURLToPath(import.meta.url);

/** The error of `body`, which must be one of ours. */
function errorOf(body: () => unknown): SinterError {
  try {
    body();
  } catch (e) {
    if (e instanceof SinterError) return e;
    throw e;
  }
  throw new Error("nothing was thrown");
}

/** The line of this file that ends with the comment `// <mark>`. */
const lineOf = (mark: string): number =>
  readFileSync(here, "utf8")
    .split("\n")
    .findIndex((l) => l.endsWith(`// ${mark}`)) + 1;

describe("stack frames", () => {
  const at = { file: "/a/b.ts", line: 10, column: 5 };
  test.each([
    ["V8, function", "    at f (/a/b.ts:10:5)"],
    ["V8, no function", "    at /a/b.ts:10:5"],
    ["V8, async", "    at async f (/a/b.ts:10:5)"],
    ["V8, async without function", "    at async /a/b.ts:10:5"],
    ["V8, method with alias", "    at Object.f [as g] (file:///a/b.ts:10:5)"],
    ["V8, constructor", "    at new Model (file:///a/b.ts:10:5)"],
    ["V8, module query", "    at f (file:///a/b.ts?t=17:10:5)"],
    ["Firefox", "f@file:///a/b.ts:10:5"],
    ["Firefox, anonymous", "@file:///a/b.ts:10:5"],
    ["Firefox, nested", "f/<@file:///a/b.ts:10:5"],
    ["Safari, module", "module code@file:///a/b.ts:10:5"],
  ])("%s", (_, line) => {
    expect(parseFrame(line)).toEqual(at);
  });

  test("paths with spaces, parentheses and scopes", () => {
    expect(parseFrame("    at f (/a (b)/c d.ts:1:2)")).toEqual({ file: "/a (b)/c d.ts", line: 1, column: 2 });
    expect(parseFrame("f@https://h/@scope/x.js:1:2")).toEqual({ file: "https://h/@scope/x.js", line: 1, column: 2 });
    expect(parseFrame("    at f (C:\\a\\b.ts:1:2)")).toEqual({ file: "C:\\a\\b.ts", line: 1, column: 2 });
    expect(filePath("file:///C:/a%20b/c.ts")).toBe("C:/a b/c.ts");
  });

  test.each([
    "Error: message",
    "    at Array.map (<anonymous>)",
    "    at node:internal/main:1:2",
    "    at run (node:internal/modules/run_main:1:2)",
    "    at eval (eval at f (file:///a.js:1:1), <anonymous>:3:5)",
    "f@[native code]",
    "",
  ])("%j names no source file", (line) => {
    expect(parseFrame(line)).toBeUndefined();
  });
});

describe("an error is raised where the user called the op", () => {
  test("free function and method, with the place of the call", () => {
    const free = errorOf(() =>
      compile({ x: f32(2, 3), y: f32(4, 5) }, ({ x, y }) => {
        return matmul(x, y); // free
      }),
    );
    expect(free.diagnostic.place).toMatchObject({ file: here, line: lineOf("free") });
    const method = errorOf(() =>
      compile({ x: f32(2, 3), y: f32(4, 5) }, ({ x, y }) => {
        const z = x;
        return z.matmul(y); // method
      }),
    );
    expect(method.diagnostic.place).toMatchObject({ file: here, line: lineOf("method"), column: 18 });
  });

  test("through a helper of the user's: the helper", () => {
    const helper = (x: Tensor): Tensor => {
      return x.reshape([5]); // helper
    };
    const error = errorOf(() => compile({ x: f32(2, 3) }, ({ x }) => helper(x)));
    expect(error.diagnostic.place?.line).toBe(lineOf("helper"));
  });

  test("through a layer of the library: the call of the layer", () => {
    const error = errorOf(() =>
      compile({ x: f32(2, 3), w: f32(4, 5) }, ({ x, w }) => {
        return linear(x, { weight: w }); // layer
      }),
    );
    expect(error.diagnostic.place?.line).toBe(lineOf("layer"));
  });

  test("inside a combine function: the op there, and its node too", () => {
    const error = errorOf(() =>
      compile({ x: f32(2, 3) }, ({ x }) =>
        reduce([x], {
          identity: [0],
          combine: ([a]) => [
            a.reshape([2]), // combine
          ],
        }),
      ),
    );
    expect(error.diagnostic.place?.line).toBe(lineOf("combine"));
  });

  test("nodes carry the place of their call", () => {
    const { graph } = compile({ x: f32(2, 3) }, ({ x }) => {
      return x.transpose(); // node
    });
    expect(graph.outputs[0]?.node.place).toMatchObject({ file: here, line: lineOf("node") });
  });

  test("the code frame shows the line", () => {
    const error = errorOf(() =>
      compile({ x: f32(2, 3), y: f32(4, 5) }, ({ x, y }) => {
        return x.matmul(y); // framed
      }),
    );
    expect(error.message).toContain("[2, 3]");
    expect(error.message).toContain("[4, 5]");
    expect(error.message).toMatch(/> \d+ \| {9}return x\.matmul\(y\); \/\/ framed\n.*\n?/);
    expect(error.message).toMatch(/\n {6,}\| {18}\^\n/);
    expect(error.message).toContain("next: ");
  });

  test("also where stacks are only texts of errors, as in Firefox", async () => {
    const capture = Error.captureStackTrace;
    try {
      Reflect.deleteProperty(Error, "captureStackTrace");
      vi.resetModules();
      const { callerPlace } = await import("../../src/frontend/place.ts");
      const called = () => callerPlace(called); // text
      expect(called()).toEqual({ file: here, line: lineOf("text"), column: 28 });
    } finally {
      Error.captureStackTrace = capture;
    }
  });

  test("the stack trace limit is left as it was", () => {
    expect(Error.stackTraceLimit).toBeGreaterThan(0);
    const limit = Error.stackTraceLimit;
    errorOf(() => compile({ x: f32(2) }, ({ x }) => x.reshape([3])));
    expect(Error.stackTraceLimit).toBe(limit);
  });
});
