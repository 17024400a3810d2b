import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { build } from "esbuild";
import type { Browser } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { root } from "../../scripts/bundle.mjs";
import { openDevice } from "../../src/node/runtime.ts";
import { ulpOf } from "../support/ulp.ts";
import { launchChromium } from "./chromium.ts";
import { type Shipped, shipped } from "./programs.ts";
import { type Ran, runShipped } from "./run.ts";

const html =
  '<!doctype html><meta charset="utf-8"><title>Sinter</title><link rel="icon" href="data:,"><script type="module" src="/page.js"></script>';
/** No inline script, no evaluation of text: what the strictest pages allow. */
const policy = "default-src 'self'; img-src data:";

let browser: Browser;
let server: Server;
let origin: string;
beforeAll(async () => {
  const { outputFiles } = await build({
    entryPoints: [join(root, "test/browser/page.ts")],
    bundle: true,
    write: false,
    format: "esm",
    platform: "browser",
    target: "chrome120",
  });
  const script = outputFiles[0]!.text;
  server = createServer((request, response) => {
    const isScript = request.url === "/page.js";
    response.setHeader("content-type", isScript ? "text/javascript" : "text/html");
    response.setHeader("content-security-policy", policy);
    response.end(isScript ? script : html);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  browser = await launchChromium();
}, 120_000);
afterAll(async () => {
  await browser?.close();
  server?.close();
});

/** The largest difference in units in the last place of the largest element, which sums of that size round to. */
function difference(a: readonly number[], b: readonly number[]): number {
  expect(a).toHaveLength(b.length);
  const unit = ulpOf("f32", Math.max(...b.map(Math.abs)));
  return Math.max(...a.map((x, i) => Math.abs(x - b[i]!))) / unit;
}

test("the runtime and three compiled programs give in a browser what they give in Node", async () => {
  const programs = shipped();
  const page = await browser.newPage();
  const noise: string[] = [];
  page.on("console", (m) => ["error", "warning"].includes(m.type()) && noise.push(m.text()));
  page.on("pageerror", (e) => noise.push(String(e)));
  await page.goto(origin);
  await page.waitForFunction(() => "runAll" in globalThis);
  const there = await page.evaluate(
    (p) => (globalThis as unknown as { runAll(p: readonly Shipped[]): Promise<Ran[]> }).runAll(p),
    programs,
  );
  await page.close();

  const gpu = await openDevice();
  for (const [i, program] of programs.entries()) {
    const here = await runShipped(gpu, program);
    const ran = there[i]!;
    expect(ran.lastEvent).toBe("done");
    expect(ran.createdInSteadyState).toBe(0);
    expect(Object.keys(ran.results)).toEqual(Object.keys(here.results));
    expect(Object.keys(ran.results).length).toBeGreaterThan(0);
    for (const [name, values] of Object.entries(ran.results)) {
      expect(
        values.some((v) => v !== 0),
        `${program.name}: ${name}`,
      ).toBe(true);
      expect(difference(values, here.results[name]!), `${program.name}: ${name}`).toBeLessThanOrEqual(program.ulp);
    }
  }
  gpu.dispose();
  expect(noise).toEqual([]);
});

test("a page that is left in the middle of its work leaves nothing behind, and one without WebGPU says so", async () => {
  const page = await browser.newPage();
  await page.goto(origin);
  await page.waitForFunction(() => "runAll" in globalThis);
  const programs = shipped();
  void page
    .evaluate((p) => (globalThis as unknown as { runAll(p: readonly Shipped[]): Promise<Ran[]> }).runAll(p), programs)
    .catch(() => undefined);
  await page.reload();
  await page.waitForFunction(() => "runAll" in globalThis);
  const message = await page.evaluate(async () => {
    Object.defineProperty(navigator, "gpu", { value: undefined });
    const { runAll } = globalThis as unknown as { runAll(p: readonly Shipped[]): Promise<Ran[]> };
    return runAll([]).then(
      () => "",
      (e: unknown) => String(e),
    );
  });
  expect(message).toMatch(/this browser has no WebGPU/);
  await page.close();
});
