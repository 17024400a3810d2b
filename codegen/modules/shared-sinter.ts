import type { Plugin } from "esbuild";

/** What modules that are read at build time may import of Sinter. */
const entries: Readonly<Record<string, () => Promise<object>>> = {
  sinter: () => import("../../src/node/index.ts"),
  "sinter/node": () => import("../../src/node/index.ts"),
  "sinter/runtime": () => import("../../src/node/runtime.ts"),
  "sinter/nn": () => import("../../src/nn/index.ts"),
  "sinter/testing": () => import("../../src/testing.ts"),
};

const shared = Symbol.for("sinter.build.modules");
const globals = globalThis as unknown as Record<symbol, Record<string, object> | undefined>;

/**
 * Lets bundled modules import the very modules of Sinter that are running, instead of a copy: what they export can then be
 * compiled here, and a build works without the package being found from the module's folder.
 */
export const sharedSinter: Plugin = {
  name: "sinter-shared",
  setup(b) {
    const filter = new RegExp(`^(?:${Object.keys(entries).join("|")})$`);
    b.onResolve({ filter }, ({ path }) => ({ path, namespace: "sinter-shared" }));
    b.onLoad({ filter: /.*/, namespace: "sinter-shared" }, async ({ path }) => {
      const module = await (entries[path] as () => Promise<object>)();
      globals[shared] = { ...globals[shared], [path]: module };
      const names = Object.keys(module);
      return {
        contents: `export const { ${names.join(", ")} } = globalThis[Symbol.for("sinter.build.modules")][${JSON.stringify(path)}];`,
      };
    });
  },
};
