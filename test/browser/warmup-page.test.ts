import type { Server } from "node:http";
import type { AddressInfo } from "node:net";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { servePage } from "../../scripts/page.mjs";
import { launchChromium } from "./chromium.ts";

let browser: Browser;
let server: Server;
let page: Page;
const noise: string[] = [];
beforeAll(async () => {
  server = await servePage(0);
  browser = await launchChromium();
  page = await browser.newPage();
  page.on("console", (m) => ["error", "warning"].includes(m.type()) && noise.push(m.text()));
  page.on("pageerror", (e) => noise.push(String(e)));
}, 120_000);
afterAll(async () => {
  await browser?.close();
  server?.close();
});

const open = async (): Promise<string> => {
  await page.goto(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
  await page.waitForFunction(() => document.body.dataset.state !== undefined);
  return (await page.textContent("#summary")) ?? "";
};

test("the example page warms up with a bar, runs without compiling, and knows at the next visit what was used", async () => {
  expect(await open()).toMatch(/^\d+ kernels for 3 lengths in \d+ ms$/);
  expect(await page.getAttribute("body", "data-state")).toBe("ready");
  const [value, max, label] = await page.evaluate(() => {
    const bar = document.getElementById("bar") as HTMLProgressElement;
    return [bar.value, bar.max, document.getElementById("label")?.textContent];
  });
  expect(value).toBe(max);
  expect(label).toMatch(/kernels ready$/);

  await page.click("text=run 64");
  await page.waitForSelector("#runs tr");
  expect(await page.locator("#runs td").allTextContents()).toEqual([
    "64",
    expect.stringMatching(/ms$/),
    expect.stringMatching(/ms$/),
    "0 kernels",
  ]);
  expect(await open()).toMatch(/, \d+ of your last visit first$/);
  expect(noise).toEqual([]);
});
