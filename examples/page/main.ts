import { clear, get, set } from "idb-keyval";
import { type Gpu, openDevice, type UsageStore, type WarmupEvent, warmup } from "sinter";
import { shippedTable } from "sinter/tuning";
import { block, lengths } from "./block.ts";

/** idb-keyval as it is: what this page loaded is remembered from one visit to the next. */
const store: UsageStore = { get, set };

const byId = <E extends HTMLElement>(id: string): E => document.getElementById(id) as E;
const show = (id: string, text: string): void => {
  byId(id).textContent = text;
};

/** Numbers between -0.1 and 0.1. */
const noise = (count: number): Float32Array =>
  Float32Array.from({ length: count }, (_, i) => Math.sin(i * 12.9898) * 0.1);

const weights = Object.fromEntries(
  block.graph.inputs
    .filter((n) => n.attrs.name !== "x")
    .map((n) => [n.attrs.name, noise((n.type.shape as number[]).reduce((a, b) => a * b, 1))]),
) as Record<"qkv" | "out" | "up" | "down", Float32Array>;

async function main(): Promise<void> {
  const gpu = await openDevice();
  show("adapter", `${gpu.info?.description || gpu.info?.vendor || "a GPU"}, profile ${gpu.capabilities.name}`);
  // Programs are loaded by this table too, where there is one for the adapter.
  const tuning = await shippedTable(gpu);
  const manifest = block.manifest({ dims: lengths.map((T) => ({ T })), capabilities: gpu.capabilities, tuning });
  const { kernels, used, elapsedMs } = await warmup(gpu, manifest, { store, onProgress });
  const known = used > 0 ? `, ${used} of your last visit first` : "";
  show("summary", `${kernels} kernels for ${lengths.length} lengths in ${elapsedMs.toFixed(0)} ms${known}`);
  byId("sizes").append(...lengths.map((T) => sizeButton(gpu, T)));
  byId("forget").onclick = () => void clear();
  document.body.dataset.state = "ready";
}

function onProgress({ completed, total, text }: WarmupEvent): void {
  const bar = byId<HTMLProgressElement>("bar");
  bar.max = total;
  bar.value = completed;
  show("label", text);
}

function sizeButton(gpu: Gpu, T: number): HTMLButtonElement {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = `run ${T}`;
  button.onclick = () => void run(gpu, T).catch(failed);
  return button;
}

/** Loads the block for a length and runs it twice. */
async function run(gpu: Gpu, T: number): Promise<void> {
  const before = gpu.counters.pipelines;
  using session = await block.load(gpu, { dims: { T }, weights, store });
  const x = noise(T * 64);
  const times = [await timed(session, x), await timed(session, x)];
  const row = document.createElement("tr");
  const cells = [String(T), ...times.map((t) => `${t.toFixed(1)} ms`), `${gpu.counters.pipelines - before} kernels`];
  for (const text of cells) row.insertCell().textContent = text;
  byId("runs").append(row);
}

type Session = Awaited<ReturnType<typeof block.load>>;

async function timed(session: Session, x: Float32Array): Promise<number> {
  const started = performance.now();
  const y = await session.run({ x }, { read: true });
  await y.data();
  y.dispose();
  return performance.now() - started;
}

function failed(error: unknown): void {
  document.body.dataset.state = "failed";
  show("label", String((error as Error).message ?? error));
}

main().catch(failed);
