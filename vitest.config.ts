import { fileURLToPath } from "node:url";
import { globSync } from "tinyglobby";
import { defineConfig } from "vitest/config";

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

const source = (path: string): string => fileURLToPath(new URL(path, import.meta.url));

const shared = {
  pool: "forks" as const,
  testTimeout: 60_000,
  hookTimeout: 60_000,
  alias: [
    { find: /^sinter$/, replacement: source("src/node/index.ts") },
    { find: /^sinter\/runtime$/, replacement: source("src/node/runtime.ts") },
    { find: /^sinter\/testing$/, replacement: source("src/testing.ts") },
    { find: /^sinter\/nn$/, replacement: source("src/nn/index.ts") },
  ],
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
