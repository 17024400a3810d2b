import { afterEach, describe, expect, test, vi } from "vitest";
import { type ColorMode, createTerminal, type TerminalOptions, wantsColor } from "../../../codegen/cli/terminal.ts";

const tty = { isTTY: true, columns: 120, write: () => true };
const pipe = { write: () => true };

test.each<[ColorMode, boolean, Record<string, string>, boolean]>([
  ["auto", true, {}, true],
  ["auto", false, {}, false],
  ["auto", true, { NO_COLOR: "1" }, false],
  ["auto", true, { NO_COLOR: "" }, true],
  ["auto", true, { TERM: "dumb" }, false],
  ["auto", false, { FORCE_COLOR: "1" }, true],
  ["auto", false, { FORCE_COLOR: "" }, true],
  ["auto", true, { FORCE_COLOR: "0" }, false],
  ["auto", true, { FORCE_COLOR: "1", NO_COLOR: "1" }, false],
  ["always", false, { NO_COLOR: "1" }, true],
  ["never", true, { FORCE_COLOR: "1" }, false],
])("--color %s, terminal %s, %o: %s", (mode, isTTY, env, colored) => {
  expect(wantsColor(mode, isTTY ? tty : pipe, env)).toBe(colored);
});

describe("progress", () => {
  afterEach(() => void vi.useRealTimers());

  /** What goes to stderr when work is reported once a second for five seconds. */
  const reported = (options: TerminalOptions, isTTY: boolean): string => {
    vi.useFakeTimers({ toFake: ["performance"] });
    let text = "";
    const stderr = { isTTY, columns: 20, write: (t: string) => (text += t) };
    const terminal = createTerminal({ env: {}, stdout: pipe, stderr, ...options });
    for (let n = 0; n < 5; n++) {
      terminal.progress(`step ${n} of a long way to go`);
      vi.advanceTimersByTime(1000);
    }
    terminal.say("done");
    return text;
  };

  test("rewrites one line of a terminal after a second, cut to its width, and leaves nothing of it", () => {
    const text = reported({}, true);
    expect(text).not.toContain("step 0");
    expect(text).toContain("\r\x1b[2Kstep 1 of a long wa");
    expect(text.split("\n")).toHaveLength(2);
    expect(text.endsWith("\r\x1b[2Kdone\n")).toBe(true);
  });

  test("is a plain line every other second elsewhere, in CI and on dumb terminals", () => {
    const plain = "step 1 of a long way to go\nstep 3 of a long way to go\ndone\n";
    expect(reported({}, false)).toBe(plain);
    expect(reported({ env: { CI: "true" } }, true)).toBe(plain);
    expect(reported({ env: { TERM: "dumb" } }, true)).toBe(plain);
  });

  test("is silent when quiet, or when stdout is for machines", () => {
    expect(reported({ quiet: true }, true)).toBe("");
    expect(reported({ json: true }, true)).toBe("");
  });
});
