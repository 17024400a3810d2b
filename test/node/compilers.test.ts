import { describe, expect, test } from "vitest";
import type { KernelSpec } from "../../src/manifest/manifest.ts";
import { type CompileHelp, Compilers } from "../../src/node/compilers.ts";
import { kernel } from "../runtime/programs.ts";

const texts = 12;
/** Of 1,500 to 12,500 characters. */
const kernels: readonly KernelSpec[] = Array.from({ length: texts }, (_, i) => {
  const k = kernel(`k${i}`, ["read", "read_write"], "b1[i] = b0[i];");
  return { ...k, wgsl: k.wgsl.padEnd(1500 + 1000 * i) };
});

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
function spin(ms: number): void {
  for (const end = performance.now() + ms; performance.now() < end; );
}

/** A driver with a cache, which devices share or do not, and a text that only the session's own device refuses. */
function driver(options: { readonly known?: boolean; readonly shared?: boolean; readonly most?: number } = {}) {
  const seen = new Set<string>();
  const log: string[] = [];
  let devices = 0;
  let most = 0;
  let [own, ownMost] = [0, 0];
  const label = (text: string): string => kernels.find((k) => k.wgsl === text)?.label ?? "";
  const cost = (text: string, cache: ReadonlySet<string>): number =>
    options.known || cache.has(text) ? 1 : 6 + 0.008 * text.length;
  const device = (): GPUDevice => {
    most = Math.max(most, ++devices);
    const known = options.shared === false ? new Set<string>() : seen;
    return {
      lost: new Promise(() => undefined),
      addEventListener: () => undefined,
      createBindGroupLayout: () => ({}),
      createPipelineLayout: () => ({}),
      createShaderModule: ({ code }: { code: string }) => ({ code }),
      createComputePipelineAsync: async ({ compute }: { compute: { module: { code: string } } }) => {
        const { code } = compute.module;
        log.push(`helper ${label(code)}`);
        await sleep(cost(code, known));
        if (label(code) === "k9") throw new Error("refused");
        known.add(code);
      },
      destroy: () => devices--,
    } as unknown as GPUDevice;
  };
  const help: CompileHelp = { most: options.most ?? 3, open: async () => device() };
  /** On the session's own device. */
  const compile = (k: KernelSpec) => async (here: boolean) => {
    log.push(`${here ? "here" : "own"} ${k.label}`);
    const ms = cost(k.wgsl, seen);
    seen.add(k.wgsl);
    if (here) spin(ms);
    else {
      ownMost = Math.max(ownMost, ++own);
      await sleep(ms);
      own--;
    }
    if (k.label === "k3") throw new Error("k3 does not compile");
    return k.label;
  };
  return { help, log, compile, figures: () => ({ devices, most, ownMost }) };
}

async function run(
  d: ReturnType<typeof driver>,
  help: CompileHelp | undefined = d.help,
  ended: () => boolean = () => false,
) {
  const compilers = new Compilers(help, ended);
  const results = await Promise.allSettled(kernels.map((k) => compilers.compile(k, d.compile(k))));
  await sleep(50);
  compilers.close();
  return { compilers, results: results.map((r) => (r.status === "fulfilled" ? r.value : String(r.reason.message))) };
}
const expected = kernels.map((k) => (k.label === "k3" ? "k3 does not compile" : k.label));
const helped = (d: ReturnType<typeof driver>): number => d.log.filter((l) => l.startsWith("helper")).length;

describe("texts that the driver has not seen", () => {
  test("are shared with helpers; each is found by the session's own device, or refused by it; no helper is left", async () => {
    const d = driver();
    const { results } = await run(d);
    expect(results).toEqual(expected);
    expect(helped(d)).toBeGreaterThan(3);
    expect([2, 3]).toContain(d.figures().most);
    expect(d.figures().devices).toBe(0);
    expect(d.log.slice(0, 3), "the longest, and the shortest until that is known").toEqual([
      "own k11",
      "here k0",
      "here k1",
    ]);
    const tried = d.log.filter((l) => l.startsWith("helper")).slice(0, 2);
    expect(tried, "what was compiled here: do they find it?").toEqual(["helper k0", "helper k1"]);
    // What a helper refused the device compiles itself.
    expect(d.log.findLast((l) => l.endsWith(" k9"))).toBe("own k9");
  });

  test("a cache that devices do not share: helpers are given up, and not asked again", async () => {
    const d = driver({ shared: false });
    const { compilers, results } = await run(d);
    expect(results).toEqual(expected);
    expect(helped(d), "one tries two texts").toBe(2);
    expect(d.figures().devices).toBe(0);
    const before = helped(d);
    await Promise.allSettled(kernels.map((k) => compilers.compile(k, d.compile(k))));
    expect(helped(d)).toBe(before);
  });

  test("of a device that is gone nothing more is compiled by helpers, and none is left", async () => {
    const d = driver();
    const ended = (): boolean => helped(d) > 4;
    const { results } = await run(d, d.help, ended);
    expect(results).toEqual(expected);
    expect(helped(d)).toBeLessThanOrEqual(7);
    expect(d.figures().devices).toBe(0);
  });

  test("helpers are there for the next program, and closed with the device", async () => {
    const d = driver();
    const compilers = new Compilers(d.help, () => false);
    const compileAll = () => Promise.allSettled(kernels.map((k) => compilers.compile(k, d.compile(k))));
    await compileAll();
    await sleep(50);
    const { devices, most } = d.figures();
    expect(devices).toBe(most);
    const before = helped(d);
    const known = await compileAll();
    expect(known.filter((r) => r.status === "fulfilled").length).toBe(texts - 1);
    expect(helped(d), "texts that the driver knows now").toBe(before);
    compilers.close();
    expect(d.figures().devices).toBe(0);
  });

  test("helpers that cannot be opened are done without", async () => {
    const d = driver();
    const { results } = await run(d, { most: 3, open: () => Promise.reject(new Error("none")) });
    expect(results).toEqual(expected);
    expect(helped(d)).toBe(0);
  });
});

test("texts that the driver knows are compiled without helpers, four at a time and one here", async () => {
  const d = driver({ known: true });
  const { results } = await run(d);
  expect(results).toEqual(expected);
  expect(d.figures()).toEqual({ devices: 0, most: 0, ownMost: 4 });
});
