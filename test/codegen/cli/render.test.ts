import { expect, test } from "vitest";
import { diagnosticJson, diagnosticOf, renderAll, renderDiagnostic } from "../../../codegen/cli/render.ts";
import { createTerminal } from "../../../codegen/cli/terminal.ts";
import { SinterError } from "../../../src/base/diagnostic.ts";

const plain = createTerminal({ color: "never" }).colors;
const source = ["const a = 1;", "const b = 2;", "export const c = a.add(b);", "", "// end"].join("\n");
const read = (): string => source;
const place = { file: "/home/me/app/model.ts", line: 3, column: 18 };
const full = {
  code: "shape-mismatch",
  message: "add: shapes [2, 3] and [4] do not broadcast",
  place,
  cause: "axis -1 is 3 and 4",
  hint: "reshape one of them",
};

test("a diagnostic has headline, place, frame, note and help", () => {
  expect(renderDiagnostic(full, { colors: plain, cwd: "/home/me/app", read })).toMatchInlineSnapshot(`
    "error[shape-mismatch]: add: shapes [2, 3] and [4] do not broadcast
      --> model.ts:3:18
        1 | const a = 1;
        2 | const b = 2;
      > 3 | export const c = a.add(b);
          |                  ^
        4 |
        5 | // end
      note: axis -1 is 3 and 4
      help: reshape one of them"
  `);
});

test("several lines of a note are indented; a length underlines; warnings say so", () => {
  const text = renderDiagnostic(
    { ...full, severity: "warning", length: 8, cause: "one\ntwo" },
    { colors: plain, cwd: "/elsewhere", read },
  );
  expect(text).toMatchInlineSnapshot(`
    "warning[shape-mismatch]: add: shapes [2, 3] and [4] do not broadcast
      --> /home/me/app/model.ts:3:18
        1 | const a = 1;
        2 | const b = 2;
      > 3 | export const c = a.add(b);
          |                  ^^^^^^^^
        4 |
        5 | // end
      note: one
            two
      help: reshape one of them"
  `);
});

test("sources that cannot be read, and places outside of them, have no frame", () => {
  const bare = { ...full, place: { ...place, line: 99 } };
  expect(renderDiagnostic(bare, { colors: plain, read })).not.toContain(" | ");
  expect(renderDiagnostic(full, { colors: plain, read: () => undefined })).not.toContain(" | ");
});

test("nothing in a message or source reaches the terminal as a control sequence", () => {
  const text = renderDiagnostic(
    { ...full, message: "\x1b[2J\x07bad", hint: "a\u009bb" },
    { colors: plain, read: () => `x\n\x1b]0;title\x07\nz` },
  );
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what this looks for
  expect(text).not.toMatch(/[\x00-\x09\x0b-\x1f\x7f-\x9f]/);
  expect(text).toContain("\\x1b[2J\\x07bad");
});

test("several are counted", () => {
  const text = renderAll([full, { ...full, severity: "warning" }, full], { colors: plain, read });
  expect(text.split("\n").at(-1)).toBe("2 errors, 1 warning");
});

test("as JSON a diagnostic is flat", () => {
  expect(diagnosticJson(full)).toEqual({
    ...{ severity: "error", code: full.code, message: full.message, file: place.file, line: 3, column: 18 },
    ...{ note: full.cause, help: full.hint },
  });
  expect(diagnosticJson({ code: "aborted", message: "m" })).toEqual({
    severity: "error",
    code: "aborted",
    message: "m",
  });
});

test("what is thrown becomes a diagnostic; what is no error of ours is a bug of ours, with its stack", () => {
  expect(diagnosticOf(new SinterError(full))).toBe(full);
  const bug = diagnosticOf(new TypeError("x is undefined"));
  expect(bug).toMatchObject({ code: "internal-error", message: "x is undefined" });
  expect(bug.cause).toContain("render.test.ts");
  expect(diagnosticOf("text")).toMatchObject({ code: "internal-error", message: "text" });
});
