import { expect, test } from "vitest";
import { profiles } from "../../src/runtime/profiles.ts";
import { compiledFor, rowCases } from "./kernels.ts";
test("x", () => {
  const t = performance.now();
  const keys = new Set<string>();
  let n = 0, m = 0;
  for (const c of rowCases) { try {
  for (const { manifest } of compiledFor(profiles.base, [c])) { n++; for (const k of manifest.kernels) { m++; keys.add(k.key);} } } catch (e) { console.log(c.name, (e as Error).stack?.slice(0, 500)); } }
  console.log(n, m, keys.size, performance.now() - t);
});
