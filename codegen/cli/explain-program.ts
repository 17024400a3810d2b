import { dimsText } from "../../src/frontend/dims.ts";
import type { Program } from "../../src/program.ts";
import { profiles } from "../../src/runtime/profiles.ts";
import type { Explanation, Wishes } from "./explanation.ts";
import { reportData, trafficOf, trafficText } from "./traffic.ts";

/** What a program becomes for a device, and what memory a run takes. */
export function explainProgram(name: string, program: Program, wishes: Wishes): Explanation {
  const capabilities = wishes.capabilities ?? profiles.base;
  const options = { dims: wishes.dims, capabilities };
  const report = program.explain(options);
  const memory = program.memory(options);
  const dims = { ...Object.fromEntries(program.dims), ...wishes.dims };
  const traffic = trafficOf(program.bind(dims), report);
  const { kernels } = wishes.wgsl ? program.manifest({ dims, capabilities }) : { kernels: [] };
  return {
    name,
    dims: [...program.dims.keys()],
    data: {
      ...{ name, kind: "program", profile: capabilities.name, dims, traffic, ...reportData(report) },
      memory: { plannedBytes: memory.plannedBytes, lowerBoundBytes: memory.lowerBoundBytes, rows: memory.rows },
      ...(wishes.wgsl ? { wgsl: kernels.map(({ label, wgsl }) => ({ label, wgsl })) } : {}),
    },
    text: [
      `${name}: program, profile ${capabilities.name}${program.dims.size ? `, ${dimsText(dims)}` : ""}`,
      trafficText(traffic),
      "",
      report.text.replace(/^assuming .*\n/, "").trimEnd(),
      "",
      String(memory).trimEnd(),
      ...kernels.flatMap((k) => ["", `// ${k.label}`, k.wgsl.trimEnd()]),
    ].join("\n"),
    svg: () => memory.svg(),
  };
}
