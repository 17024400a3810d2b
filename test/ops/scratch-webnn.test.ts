import { it } from "vitest";
import { trace } from "../../src/frontend/trace.ts";
import { interpret } from "../../src/ir/interpret.ts";
import { ndarray } from "../../src/ir/ndarray.ts";
import { elements, specsOf, traced } from "../conformance/webnn/build.ts";
import { loadSuite } from "../conformance/webnn/suite.ts";
import { difference, toleranceOf } from "../conformance/webnn/tolerance.ts";

it("scratch", () => {
  const suite = loadSuite("x");
  let n = 0;
  const bad: string[] = [];
  for (const cases of suite!.files.values())
    for (const c of cases) {
      n++; const t0 = performance.now();
      try {
        const g = trace(specsOf(c) as never, traced(c) as never, {}).graph;
        const out = interpret(g, Object.fromEntries(c.inputs.map((t) => [t.name, ndarray(t.dtype, t.shape, elements(t))])));
        for (const o of c.outputs) {
          const d = difference(o, out[o.name] as never, toleranceOf(c));
          if (d) bad.push(`${c.id}: ${d}`);
        }
      } catch (e) {
        bad.push(`${c.id}: ${(e as Error).message.slice(0, 200)}`);
      }
      const dt = performance.now() - t0; if (dt > 1500) { console.log(c.id, dt | 0); return; }
    }
  console.log(n, bad.length, "\n" + bad.slice(0, 60).join("\n"));
}, 600000);
