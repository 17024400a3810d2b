import { describe, expect, test } from "vitest";
import { parseWarmup } from "../../bench/warmup-options.ts";
import { salts, unseenTexts } from "../../bench/warmup-texts.ts";
import { kernelKey } from "../../src/manifest/key.ts";
import { compile, f32 } from "../../src/node/index.ts";
import { loadManifest, openDevice } from "../../src/node/runtime.ts";

const parse = (line: string) => parseWarmup(line.split(" ").filter(Boolean));

describe("options of warmup", () => {
  test("defaults, and each option", () => {
    expect(parse("")).toMatchObject({ config: "tiny", dtype: "f32", rounds: 3, concurrency: undefined, check: false });
    expect(parse("--config distil --rounds 1 --concurrency 16 --dtype f16 --json --check")).toMatchObject({
      config: "distil",
      rounds: 1,
      concurrency: 16,
      dtype: "f16",
      json: true,
      check: true,
    });
  });

  test.each([
    ["--config huge", '--config is "huge", but must be one of tiny, small, distil'],
    ["--rounds 0", '--rounds is "0", but must be a whole number from 1 to 1000'],
    ["--concurrency many", '--concurrency is "many", but must be a whole number from 1 to 1000'],
    ["--wat", "Unknown option '--wat'"],
    ["tiny", "Unexpected argument 'tiny'"],
  ])("%s is refused", (line, why) => {
    expect(parse(line)).toBe(why);
  });
});

test("texts that no driver has seen: other keys each time, the same results", async () => {
  const gpu = await openDevice();
  const { manifest } = compile({ x: f32(8, 96) }, ({ x }) => x.softmax({ axis: -1 })).compiled({}, gpu.capabilities);
  const next = salts();
  const [a, b] = [unseenTexts(manifest, next()), unseenTexts(manifest, next())];
  const keys = [manifest, a, b].flatMap((m) => m.kernels.map((k) => k.key));
  expect(new Set(keys).size).toBe(keys.length);
  for (const k of a.kernels) expect(kernelKey(k)).toBe(k.key);
  const x = Float32Array.from({ length: 8 * 96 }, (_, i) => Math.sin(i));
  const [before, after] = await Promise.all(
    [manifest, a].map(async (m) => {
      using session = await loadManifest(gpu, m);
      const [y] = Object.values(await session.run({ x }));
      return Array.from((await y?.data()) ?? []);
    }),
  );
  expect(after).toEqual(before);
  gpu.dispose();
});
