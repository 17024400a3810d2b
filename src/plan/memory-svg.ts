import type { BufferSpec } from "../manifest/manifest.ts";
import type { MemoryReport, MemoryRow } from "./memory.ts";

const width = 1000;
const height = 620;
const frame = { left: 80, top: 56, right: 24, bottom: 60 };

/** Colours that stay apart for most colour-blind readers (Okabe and Ito). */
const colours: Readonly<Record<BufferSpec["role"], string>> = {
  state: "#0072b2",
  weight: "#56b4e9",
  const: "#999999",
  input: "#e69f00",
  output: "#cc79a7",
  scratch: "#009e73",
};

const escaped = (s: string): string => s.replace(/[<>&"']/g, (c) => `&#${c.charCodeAt(0)};`);
const mib = (bytes: number): string => (bytes / 2 ** 20).toFixed(bytes < 10 * 2 ** 20 ? 2 : 0);

/** A round step that gives about `count` ticks. */
function tickStep(span: number, count: number): number {
  const raw = Math.max(1e-9, span / count);
  const unit = 10 ** Math.floor(Math.log10(raw));
  return ([1, 2, 5, 10].find((k) => k * unit >= raw) ?? 10) * unit;
}

/** Memory over a run: buffers stacked upwards, what lasts first; a box from the first to the last dispatch that needs it. */
export function memorySvg(
  r: Pick<MemoryReport, "plannedBytes" | "lowerBoundBytes" | "steps" | "rows"> & {
    readonly buffers: readonly BufferSpec[];
  },
): string {
  const base = stack(r.rows, r.buffers);
  const total = Math.max(1, r.plannedBytes, r.lowerBoundBytes);
  const inner = { w: width - frame.left - frame.right, h: height - frame.top - frame.bottom };
  const x = (step: number): number => frame.left + (step / (r.steps + 1)) * inner.w;
  const y = (bytes: number): number => frame.top + inner.h - (bytes / total) * inner.h;
  const box = (row: MemoryRow): string => {
    const low = (base.get(row.buffer) as number) + row.offset;
    const [left, right] = [x(row.first), x(row.last + 1)];
    const [top, bottom] = [y(low + row.bytes), y(low)];
    const title = `${row.name}: ${mib(row.bytes)} MiB, dispatches ${row.first} to ${row.last}`;
    const shape = `x="${left.toFixed(1)}" y="${top.toFixed(1)}" width="${Math.max(0.5, right - left).toFixed(1)}" height="${Math.max(0.3, bottom - top).toFixed(1)}"`;
    const room = Math.floor((right - left - 8) / 6);
    const label =
      bottom - top >= 13 && room >= 12
        ? `<text x="${(left + 4).toFixed(1)}" y="${((top + bottom) / 2 + 4).toFixed(1)}" class="in">${escaped(`${clip(row.name, room - 10)} ${mib(row.bytes)}`)}</text>`
        : "";
    return `<g><title>${escaped(title)}</title><rect ${shape} fill="${colours[row.role]}"/>${label}</g>`;
  };
  const bytesStep = tickStep(total / 2 ** 20, 6) * 2 ** 20;
  const yTicks = Array.from({ length: Math.floor(total / bytesStep) + 1 }, (_, i) => i * bytesStep);
  const stepStep = Math.max(1, tickStep(r.steps, 10));
  const xTicks = Array.from({ length: Math.floor(r.steps / stepStep) + 1 }, (_, i) => i * stepStep);
  const roles = [...new Set(r.rows.map((row) => row.role))];
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" role="img" aria-label="Memory over one run">`,
    "<style>text{font:12px system-ui,sans-serif;fill:#222}.in{fill:#fff;font-size:11px}.title{font-size:16px;font-weight:600}rect{stroke:#fff;stroke-width:.5}line{stroke:#ccc}</style>",
    `<rect width="${width}" height="${height}" fill="#fff"/>`,
    `<text x="${frame.left}" y="24" class="title">${mib(r.plannedBytes)} MiB planned, at least ${mib(r.lowerBoundBytes)} MiB</text>`,
    ...roles.map(
      (role, i) =>
        `<rect x="${frame.left + i * 90}" y="34" width="12" height="12" fill="${colours[role]}"/><text x="${frame.left + i * 90 + 17}" y="44">${role}</text>`,
    ),
    ...yTicks.map(
      (b) =>
        `<line x1="${frame.left}" x2="${width - frame.right}" y1="${y(b).toFixed(1)}" y2="${y(b).toFixed(1)}"/><text x="${frame.left - 8}" y="${(y(b) + 4).toFixed(1)}" text-anchor="end">${mib(b)}</text>`,
    ),
    ...r.rows.map(box),
    `<line x1="${frame.left}" x2="${width - frame.right}" y1="${y(r.lowerBoundBytes).toFixed(1)}" y2="${y(r.lowerBoundBytes).toFixed(1)}" style="stroke:#d55e00;stroke-dasharray:6 4;stroke-width:1.5"/>`,
    ...xTicks.map(
      (s) => `<text x="${x(s).toFixed(1)}" y="${height - frame.bottom + 18}" text-anchor="middle">${s}</text>`,
    ),
    `<text x="${frame.left + inner.w / 2}" y="${height - 18}" text-anchor="middle">dispatch</text>`,
    `<text transform="translate(20 ${frame.top + inner.h / 2}) rotate(-90)" text-anchor="middle">MiB</text>`,
    "</svg>",
    "",
  ].join("\n");
}

/** Where each buffer begins when they are stacked: those that last below the shared ones. */
function stack(rows: readonly MemoryRow[], buffers: readonly BufferSpec[]): Map<number, number> {
  const order: readonly BufferSpec["role"][] = ["state", "weight", "const", "input", "output", "scratch"];
  const sorted = buffers.map((b, i) => ({ ...b, i })).sort((a, b) => order.indexOf(a.role) - order.indexOf(b.role));
  const base = new Map<number, number>();
  let at = 0;
  for (const { i, size } of sorted) {
    base.set(i, at);
    at += size;
  }
  for (const r of rows) if (!base.has(r.buffer)) throw new Error(`row ${r.name} is in no buffer`);
  return base;
}

const clip = (s: string, n: number): string => (s.length <= n ? s : `${s.slice(0, Math.max(1, n - 1))}…`);
