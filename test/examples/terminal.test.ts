import { expect, test } from "vitest";
import { progressBar } from "../../examples/shared/terminal.ts";

const record = (isTTY: boolean) => {
  const written: string[] = [];
  return { written, stream: { isTTY, columns: 40, write: (text: string) => written.push(text) } };
};

test("off a terminal there is a line a quarter, and a new task begins anew", () => {
  const { written, stream } = record(false);
  const bar = progressBar(stream);
  for (let i = 0; i <= 8; i++) bar.update(i, 8, "a");
  bar.update(1, 100, "b");
  bar.note("said");
  bar.end();
  expect(written).toEqual(["a (0/8)\n", "a (2/8)\n", "a (4/8)\n", "a (6/8)\n", "a (8/8)\n", "b (1/100)\n", "said\n"]);
});

test("on a terminal the bar is redrawn in place, and a note takes its line", () => {
  const { written, stream } = record(true);
  const bar = progressBar(stream, 10);
  bar.update(5, 10, "a text that is longer than the line has columns left");
  expect(written[0]?.startsWith("\r\u001b[2K[#####.....] 5/10 a text")).toBe(true);
  expect(written[0]?.replace("\r\u001b[2K", "")).toHaveLength(39);
  bar.note("said");
  bar.note("again");
  expect(written.slice(1)).toEqual(["\r\u001b[2Ksaid\n", "again\n"]);
  bar.end();
  expect(written).toHaveLength(3);
});
