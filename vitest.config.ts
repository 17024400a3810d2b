import { join } from "node:path";
import { globSync } from "tinyglobby";
import { defineConfig } from "vitest/config";
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

const shared = {
  pool: "forks" as const,
  testTimeout: 60_000,
  hookTimeout: 60_000,
  alias,
  // Loading the same modules again for each file would take a fifth of the time.
  isolate: false,
  restoreMocks: true,
  unstubEnvs: true,
};

export default defineConfig({
  test: {
    maxWorkers: 2,
    projects: [
      { test: { ...shared, name: "gpu", include: gpuFiles } },
      {
        test: {
          ...shared,
          name: "core",
          include: ["test/**/*.test.ts"],
          exclude: gpuFiles,
        },
      },
    ],
  },
});
