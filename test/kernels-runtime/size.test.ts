import { gzipSync } from "node:zlib";
import { build } from "esbuild";
import { expect, test } from "vitest";
import { root, sinterFromSource } from "../../scripts/bundle.mjs";

test("a page that runs kernels gets little code, and none of the program runtime or the compiler", async () => {
  const { outputFiles, metafile } = await build({
    stdin: { contents: 'export { createRuntime } from "sinter/runtime";', resolveDir: root },
    bundle: true,
    write: false,
    metafile: true,
    minify: true,
    format: "esm",
    platform: "browser",
    target: "es2022",
    absWorkingDir: root,
    plugins: [sinterFromSource("browser")],
  });
  const [output] = Object.values(metafile.outputs);
  const files = Object.entries(output!.inputs).flatMap(([f, { bytesInOutput }]) => (bytesInOutput > 0 ? [f] : []));
  const shared = ["after", "at-once", "describe", "errors", "options", "usage", "usage-store", "warmup-events"];
  const foreign = files.filter(
    (f) =>
      !f.startsWith("src/runtime/kernels/") &&
      !/^src\/base\/(diagnostic|suggest)\.ts$/.test(f) &&
      !shared.includes(/^src\/runtime\/([\w-]+)\.ts$/.exec(f)?.[1] ?? ""),
  );
  expect(foreign).toEqual([]);
  // With the self-test of subgroups, which a bundle in several files leaves out.
  expect(gzipSync(outputFiles[0]!.contents, { level: 9 }).length).toBeLessThan(10_000);
});
