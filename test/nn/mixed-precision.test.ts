import { describe, expect, test } from "vitest";
import { configs } from "../../bench/gpt2-model.ts";
import { mixedTrainingStep, trainingStep } from "../../bench/gpt2-step.ts";
import { type ProfileName, profiles } from "../../src/runtime/profiles.ts";

/** A whole GPT-2 step with f16 products and activations, f32 parameters, a loss scale and AdamW, against the same in f32. */
describe.each(["tiny", "distil"] as const)("the training step of %s in f16", (config) => {
  const steps = { f16: mixedTrainingStep(configs[config]), f32: trainingStep(configs[config]) };
  const kernelsOf = (dtype: keyof typeof steps, profile: ProfileName) =>
    steps[dtype].explain({ capabilities: profiles[profile] }).kernels;
  const count = (dtype: keyof typeof steps, profile: ProfileName): number =>
    steps[dtype].explain({ capabilities: profiles[profile] }).totals.kernels;

  /**
   * Kernels more than in f32. Whether all gradients are finite is two stages over each part of the packed gradients (tiny's
   * are one row of AdamW's kernel): 1 part on h200, 4 where a binding holds 128 MiB. With 8 bindings some kernels have to
   * be cut that read one tensor more.
   */
  const more = { tiny: { h200: 0, lavapipe: 0, base: 2 }, distil: { h200: 2, lavapipe: 8, base: 10 } }[config];

  test.each(Object.keys(more) as (keyof typeof more)[])("has no kernel that only casts or copies: %s", (profile) => {
    const half = kernelsOf("f16", profile);
    const casts = half.filter((k) => k.ops.every((op) => op === "cast"));
    expect(casts.map((k) => `${k.name}: ${k.ops}`)).toEqual([]);
    expect(count("f16", profile)).toBeLessThanOrEqual(count("f32", profile) + more[profile]);
  });

  test("updates parameters and moments in one kernel, in f32", () => {
    const half = kernelsOf("f16", "h200").filter((k) => k.ops.includes("expm1"));
    const [update, ...others] = half;
    expect(others).toEqual([]);
    const bytes = steps.f32.graph.inputs.filter((n) => String(n.attrs.name).startsWith("params."));
    const elements = bytes.reduce((s, n) => s + (n.type.shape as number[]).reduce((p, d) => p * d, 1), 0);
    // Parameters and two moments, each leaf padded to 256 bytes.
    expect(update?.bytesWritten).toBeGreaterThanOrEqual(3 * 4 * elements);
    expect(update?.bytesWritten).toBeLessThan(3.2 * 4 * elements);
  });
});
