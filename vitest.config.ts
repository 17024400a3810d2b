import { join } from "node:path";
import { globSync } from "tinyglobby";
import { defineConfig } from "vitest/config";
import { BaseSequencer, type TestSpecification } from "vitest/node";
import { entries, root } from "./scripts/exports.mjs";

/** Suites that compute on an adapter: run again on every adapter there is. */
const gpuSuites = [
  "test/gpu/**/*.test.ts",
  "test/runtime/**/*.test.ts",
  "test/conformance/**/*.test.ts",
  "test/properties/**/*.test.ts",
  "test/models/**/*.test.ts",
  "test/invariants/**/*.test.ts",
  "test/frontend/session.test.ts",
];
/** Suites in those folders that need none. */
const cpuSuites = ["test/conformance/**/*-interpret.test.ts", "test/properties/index-expr.test.ts"];
const gpuFiles = globSync(gpuSuites, { ignore: cpuSuites });

/** The package's own import paths as the sources they are built from. */
const alias = entries.map(({ path, node }) => ({
  find: new RegExp(`^${path.replace("*", "([^/]+)")}$`),
  replacement: join(root, node.replace("*", "$1")),
}));

/** What takes longest, by far not the largest files: begun last, one of them alone would keep one core busy. */
const longest = [
  ...["package/package", "properties/graphs", "gpu/library", "docs/docs", "gpu/variants-matrix", "conformance/webnn"],
  ...["wgsl/null", "plan/plan", "gpu/variants-attention", "gpu/variants-row", "conformance/torch", "browser/browser"],
  ...["models/gpt2-mixed", "gpu/slots", "runtime/faults", "codegen/cli/command", "models/encoder", "codegen/cli/tune"],
  ...["gpu/variants-contraction", "gpu/tuning", "gpu/variants-f16x3", "gpu/over-limit", "gpu/long-products"],
  ...["package/generated", "wgsl/races", "browser/warmup-page", "nn/mixed-precision"],
].map((name) => join(root, `test/${name}.test.ts`));

class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const rank = (f: TestSpecification): number => {
      const at = longest.indexOf(f.moduleId);
      return at < 0 ? longest.length : at;
    };
    return (await super.sort(files)).sort((a, b) => rank(a) - rank(b));
  }
}

const shared = {
  pool: "forks" as const,
  testTimeout: 60_000,
  hookTimeout: 60_000,
  alias,
  // Loading the same modules again for each file would take a fifth of the time.
  isolate: false,
  setupFiles: ["test/support/paced-dawn.ts"],
  restoreMocks: true,
  unstubEnvs: true,
};

const project = (name: string, files: { include: string[]; exclude?: string[] }) => ({
  test: { ...shared, name, ...files },
});
const everything = ["test/**/*.test.ts"];
/** Apart where one of them is asked for: together they share processes, which load and compile the sources once. */
const apart = process.argv.some((a) => a.startsWith("--project"));

export default defineConfig({
  test: {
    maxWorkers: 2,
    sequence: { sequencer: LongestFirst },
    projects: apart
      ? [project("gpu", { include: gpuFiles }), project("core", { include: everything, exclude: gpuFiles })]
      : [project("all", { include: everything })],
  },
});
