import { describe, expect, test } from "vitest";
import { gpt2Small, qwen4B } from "../../bench/decode-models.ts";
import { type DecodeOptions, parseDecode } from "../../bench/decode-options.ts";
import { largest } from "../../bench/decode-run.ts";

const parse = (line: string) => parseDecode(line.split(" ").filter(Boolean));

describe("options of decode", () => {
  test("defaults, and each option", () => {
    expect(parse("")).toMatchObject({
      ...{ programs: ["gpt2", "ffn"], dtypes: ["f32", "f16"], gpt2: gpt2Small, ffn: qwen4B },
      ...{ tokens: 64, position: 512, checked: 16 },
    });
    const given = parse(
      "--only ffn --dtype f16 --layers 2 --width 64 --heads 2 --length 32 --group 32 --scales f32 --tokens 40 --json",
    ) as DecodeOptions;
    expect(given).toMatchObject({ programs: ["ffn"], dtypes: ["f16"], json: true, tokens: 32, position: 0 });
    expect(given.gpt2).toEqual({ ...gpt2Small, layers: 2, width: 64, heads: 2, length: 32 });
    expect(given.ffn).toEqual({ ...qwen4B, layers: 2, group: 32, scales: "f32" });
  });

  test.each([
    ["--only llama", '--only is "llama", but must be one of gpt2, ffn'],
    ["--group 64", '--group is "64", but must be one of 32, 128'],
    ["--tokens 0", '--tokens is "0", but must be a whole number from 1 on'],
  ])("%s is refused", (line, why) => {
    expect(parse(line)).toBe(why);
  });
});

test("a difference is of the largest element expected, and NaN is one", () => {
  expect(largest([1, -3.5], [1, -4])).toBe(0.125);
  expect(largest([1, Number.NaN], [1, -4])).toBeNaN();
});
