import type { BufferSpec, Manifest, PortSpec } from "../manifest/manifest.ts";
import { memorySvg } from "./memory-svg.ts";

/** One thing that takes memory, and the dispatches of a run from the first to the last that need it. */
export interface MemoryRow {
  /** Path of an input, weight, state or output; ops and shapes of an intermediate. */
  readonly name: string;
  readonly role: BufferSpec["role"];
  readonly buffer: number;
  /** Bytes after the buffer's beginning. */
  readonly offset: number;
  readonly bytes: number;
  /** Numbers of dispatches, setup first; what lasts from load on is needed by all. */
  readonly first: number;
  readonly last: number;
}

/** What a plan takes of memory, and when. */
export interface MemoryReport {
  /** Bytes of all buffers. Results that a run hands out are copies outside of them. */
  readonly plannedBytes: number;
  /** Bytes that any plan of these steps needs: what lasts, and the most that is needed besides at one step. */
  readonly lowerBoundBytes: number;
  readonly bytesByRole: Readonly<Record<BufferSpec["role"], number>>;
  /** Dispatches, those at load included. */
  readonly steps: number;
  readonly rows: readonly MemoryRow[];
  /** Who lives when, drawn: steps to the right, bytes upwards. */
  svg(): string;
  /** A table of the largest. */
  toString(): string;
}

export function memoryReport(m: Manifest): MemoryReport {
  const steps = m.setup.length + m.dispatches.length;
  const bytesByRole = { input: 0, weight: 0, const: 0, state: 0, scratch: 0, output: 0 };
  for (const b of m.buffers) bytesByRole[b.role] += b.size;
  const spans = new Set(m.spans.map((s) => s.window.buffer));
  const ports = [...m.inputs, ...m.weights, ...m.state, ...m.outputs];
  const rows: MemoryRow[] = [
    ...m.buffers.flatMap((b, i) => (spans.has(i) ? [] : lasting(b, i, ports, steps))),
    ...m.spans.map(({ label, window, first, last }) => ({
      name: label,
      role: "scratch" as const,
      buffer: window.buffer,
      offset: window.offset,
      bytes: window.size,
      first,
      last,
    })),
  ];
  const report = {
    plannedBytes: m.buffers.reduce((n, b) => n + b.size, 0),
    lowerBoundBytes: m.leastBytes,
    bytesByRole,
    steps,
    rows,
  };
  return { ...report, svg: () => memorySvg({ ...report, buffers: m.buffers }), toString: () => table(report) };
}

/** The ports of a buffer that lasts, or the buffer itself where it holds none. */
function lasting(b: BufferSpec, buffer: number, ports: readonly PortSpec[], steps: number): MemoryRow[] {
  const own = new Map<number, PortSpec>();
  for (const p of ports) if (p.window.buffer === buffer && !own.has(p.window.offset)) own.set(p.window.offset, p);
  const row = { role: b.role, buffer, first: 0, last: steps };
  if (own.size === 0) return [{ name: b.role === "scratch" ? "packed" : b.role, offset: 0, bytes: b.size, ...row }];
  return [...own.values()].map((p) => ({ name: p.name, offset: p.window.offset, bytes: p.window.size, ...row }));
}

const mib = (bytes: number): string => `${(bytes / 2 ** 20).toFixed(bytes < 2 ** 20 ? 3 : 1)} MiB`;

function table(r: Omit<MemoryReport, "svg">): string {
  const roles = Object.entries(r.bytesByRole).filter(([, bytes]) => bytes > 0);
  const largest = [...r.rows].sort((a, b) => b.bytes - a.bytes).slice(0, 12);
  const lines = [
    `planned ${mib(r.plannedBytes)}, at least ${mib(r.lowerBoundBytes)} (${(r.plannedBytes / Math.max(1, r.lowerBoundBytes)).toFixed(3)} times)`,
    ...roles.map(([role, bytes]) => `  ${role.padEnd(8)} ${mib(bytes)}`),
    "largest",
    ...largest.map((x) => `  ${mib(x.bytes).padStart(12)}  steps ${x.first}-${x.last}  ${x.role}  ${x.name}`),
  ];
  return lines.join("\n");
}
