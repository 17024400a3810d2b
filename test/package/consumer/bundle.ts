import * as build from "sinter/build";
import * as esbuildPlugin from "sinter/esbuild";
import * as vitePlugin from "sinter/vite";

const config = build.defineConfig({ include: "*.kernel.ts" });
console.log([config, esbuildPlugin, vitePlugin].every((m) => Object.keys(m).length > 0) ? "ran" : "empty");
