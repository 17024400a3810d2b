import { spawn } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, expect, test } from "vitest";
import { bundleForNode, root } from "../../scripts/bundle.mjs";

/** What a process does at its end, with the exit code that it must have. */
const endings: Readonly<Record<string, readonly [string, number]>> = {
  plain: ["", 0],
  disposed: ["session.dispose(); gpu.dispose();", 0],
  "global reference": ["globalThis.kept = { gpu, session, y };", 0],
  "pending readback": ["void y.data(); void session.run({ x, s: 2 });", 0],
  "pending warm-up": ["void warmup(gpu, chain(64, 3));", 0],
  exception: ["throw new Error('on purpose');", 1],
  "process.exit": ["void y.data(); process.exit(7);", 7],
  "lost device": ["gpu.device.destroy();", 0],
};

const body = (ending: string): string => `
import { loadManifest, openDevice, warmup } from ${JSON.stringify(join(root, "src/node/runtime.ts"))};
import { affine, chain } from ${JSON.stringify(join(root, "test/runtime/programs.ts"))};
const gpu = await openDevice();
const x = new Float32Array(8).fill(1);
const session = await loadManifest(gpu, affine(8), { weights: { w: x } });
const { y } = await session.run({ x, s: 1 });
if ((await y!.data())[0] !== 2) throw new Error("wrong result");
process.stdout.write("computed ");
void warmup, chain;
${ending}
`;

const folder = join(root, ".cache", "exit");
const bundles = new Map<string, string>();
beforeAll(async () => {
  mkdirSync(folder, { recursive: true });
  for (const [name, [ending]] of Object.entries(endings)) {
    const file = join(folder, `${name.replace(/\W/g, "-")}.ts`);
    writeFileSync(file, body(ending));
    bundles.set(name, await bundleForNode(file));
  }
});

function run(script: string, args: readonly string[]): Promise<{ code: number | null; out: string; ms: number }> {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, [...args, script], { stdio: ["ignore", "pipe", "ignore"] });
    let out = "";
    let computed = 0;
    child.stdout.on("data", (d) => {
      out += d;
      computed ||= performance.now();
    });
    const guard = setTimeout(() => child.kill("SIGKILL"), 30_000);
    child.on("close", (code) => {
      clearTimeout(guard);
      resolve({ code, out, ms: performance.now() - computed });
    });
  });
}

for (const [name, [, code]] of Object.entries(endings)) {
  test(`the process ends by itself: ${name}`, async () => {
    const result = await run(bundles.get(name)!, []);
    expect(result).toMatchObject({ code, out: "computed " });
    expect(result.ms).toBeLessThan(5000);
  });
}

test("the process ends by itself: in a worker thread", async () => {
  const main = join(folder, "worker.mjs");
  const script = JSON.stringify(bundles.get("plain"));
  writeFileSync(
    main,
    `import { SHARE_ENV, Worker } from "node:worker_threads";\nnew Worker(${script}, { env: SHARE_ENV });\n`,
  );
  expect(await run(main, [])).toMatchObject({ code: 0, out: "computed " });
});
