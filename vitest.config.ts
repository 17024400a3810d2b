import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";

/** Suites that compute on an adapter: run again on every adapter there is. */
const gpuSuites = [
  "test/gpu/**/*.test.ts",
  "test/runtime/**/*.test.ts",
  "test/conformance/**/*.test.ts",
  "test/properties/**/*.test.ts",
];

const source = (path: string): string => fileURLToPath(new URL(path, import.meta.url));

const shared = {
  pool: "forks" as const,
  testTimeout: 60_000,
  hookTimeout: 60_000,
  alias: [
    { find: /^sinter$/, replacement: source("src/node/index.ts") },
    { find: /^sinter\/(testing)$/, replacement: source("src/$1.ts") },
    { find: /^sinter\/(runtime|nn)$/, replacement: source("src/$1/index.ts") },
  ],
};

export default defineConfig({
  test: {
    maxWorkers: 2,
    projects: [
      { test: { ...shared, name: "gpu", include: gpuSuites } },
      { test: { ...shared, name: "core", include: ["test/**/*.test.ts"], exclude: gpuSuites } },
    ],
  },
});
