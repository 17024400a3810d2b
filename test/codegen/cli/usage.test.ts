import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { commands } from "../../../codegen/cli/commands.ts";
import { colorOf, parse } from "../../../codegen/cli/program.ts";
import { configKeys } from "../../../codegen/config/config.ts";
import { root } from "../../../scripts/bundle.mjs";

const refused = (...args: string[]): unknown => {
  try {
    return parse(args);
  } catch (e) {
    return (e as { diagnostic: unknown }).diagnostic;
  }
};

describe("help", () => {
  test.each(["", ...commands.map((c) => c.name)])("sinter %s --help", async (name) => {
    const request = parse([...(name ? [name] : []), "--help"]);
    expect(request).toHaveProperty("text");
    await expect(`${(request as { text: string }).text}\n`).toMatchFileSnapshot(`help/${name || "sinter"}.txt`);
  });

  test("help NAME is NAME --help, and -V the version", () => {
    expect(parse(["help", "check"])).toEqual(parse(["check", "-h"]));
    expect(parse(["-V"])).toEqual({ text: expect.stringMatching(/^\d+\.\d+\.\d+/) });
  });

  test("every command's examples are command lines of it, at the end of its help", () => {
    for (const c of commands) {
      const { text } = parse([c.name, "--help"]) as { text: string };
      expect(text.slice(text.indexOf("Examples:")).split("\n")).toHaveLength(1 + c.examples.length);
      for (const [line] of c.examples) {
        const [name, ...args] = (line.split(/ (?:&&|\|\||>) /)[0] as string).replaceAll("'", "").split(" ");
        expect(name).toBe("sinter");
        expect(parse(args)).toMatchObject({ command: { name: c.name } });
      }
    }
  });

  test("docs/cli.md has every command and every key of the config", () => {
    const page = readFileSync(join(root, "docs/cli.md"), "utf8");
    expect(commands.filter((c) => !page.includes(`| \`sinter ${c.name}`)).map((c) => c.name)).toEqual([]);
    expect([...page.matchAll(/^\| `(\w+)` \|/gm)].map((m) => m[1]).sort()).toEqual([...configKeys].sort());
  });
});

describe("mistakes are named, with what is nearest", () => {
  test.each([
    [["biuld"], 'unknown command "biuld"', "did you mean build?"],
    [["build", "--jsn"], 'unknown option "--jsn"', "did you mean --json?"],
    [["explain", "x", "--dim", "T=1"], 'unknown option "--dim"', "did you mean --dims?"],
    [["frobnicate"], 'unknown command "frobnicate"', "see sinter --help"],
    [[], "no command is given", expect.stringContaining("build, check, watch, explain, tune, doctor, init")],
    [["explain"], 'missing required argument "what"', "see sinter explain --help"],
    [["doctor", "now"], expect.stringContaining("too many arguments"), "see sinter doctor --help"],
    [["check", "--color", "blue"], expect.stringContaining("auto, always, never"), "see sinter check --help"],
    [["build", "--config"], expect.stringContaining("argument missing"), "see sinter build --help"],
  ])("%j", (args, message, hint) => {
    expect(refused(...args)).toMatchObject({ code: "bad-usage", message, hint });
  });
});

test("arguments and options arrive as they were given", () => {
  expect(parse(["build", "a*", "b", "--json", "-q", "--force"])).toMatchObject({
    command: { name: "build" },
    args: ["a*", "b"],
    options: { json: true, quiet: true, force: true },
  });
  expect(parse(["explain", "f.ts#k", "--dims", "T=1"])).toMatchObject({ args: ["f.ts#k"], options: { dims: "T=1" } });
  expect(parse(["build", "--", "--odd"])).toMatchObject({ args: ["--odd"] });
});

test("--color is known before the rest is understood", () => {
  expect(colorOf(["build", "--color", "never"])).toBe("never");
  expect(colorOf(["--colour", "--color=always"])).toBe("always");
  expect(colorOf(["build", "--", "--color=always"])).toBe("auto");
  expect(colorOf(["--color"])).toBe("auto");
});
