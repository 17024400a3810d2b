import { always } from "./agree.ts";
import type { Product } from "./contraction.ts";
import type { Frame } from "./kernel.ts";

/** How the columns of a matrix that is contiguous along K are spread over invocations. */
export interface DepthSchedule {
  readonly threads: number;
  /** Invocations that share a column's K, a power of two. */
  readonly lanes: number;
  /** Columns an invocation walks along together: 1, 2 or 4. */
  readonly rows: number;
}

/** How the columns of a matrix whose rows are contiguous are spread over invocations. */
export interface ColumnSchedule {
  readonly threads: number;
  /** Vectors of columns a workgroup, a power of two; the invocations of one share K. */
  readonly vectors: number;
  /** Columns a vector. */
  readonly width: number;
}

/** Invocations that keep a large GPU's memory busy with a load or two each. */
const busy = 2 ** 17;
/** Workgroups below which a large GPU has idle multiprocessors. */
const enoughGroups = 128;

const threadsFor = ({ capabilities, region }: Frame): number =>
  region.uniform ? 128 : Math.min(256, capabilities.limits.maxComputeInvocationsPerWorkgroup) >= 256 ? 256 : 128;

/** `unit`: elements along K that an invocation loads at a time. */
export function depthSchedule(frame: Frame, products: readonly Product[], unit: number): DepthSchedule {
  const { region, capabilities } = frame;
  const [p] = products as [Product];
  const threads = threadsFor(frame);
  if (region.uniform) return { threads, lanes: threads, rows: 4 };
  const steps = p.k / unit;
  if (unit > 4) return packedSchedule(frame, p, steps);
  const loads = p.n * steps * p.batches * products.length;
  const wanted = loads >= 12 * busy ? 4 : loads >= 6 * busy ? 2 : 1;
  const most = Math.max(1, Math.floor(wanted / products.length));
  const halfWords = !capabilities.features.f16 && region.outputs.some((n) => n.type.dtype === "f16");
  const rows = halfWords ? 4 : p.n >= most * 4 ? most : 1;
  const waste = (lanes: number): number => (Math.ceil(steps / lanes) * lanes) / steps;
  const fits = [128, 64, 32, 16].filter((lanes) => lanes <= threads);
  const least = rows === 4 ? 5 : 2.5;
  const lanes = fits.find((l) => steps / l >= least && waste(l) <= 1.2) ?? fits.find((l) => steps / l >= 1) ?? 16;
  return { threads, lanes, rows };
}

/** Unpacking takes more time than loading: large workgroups, which share what is computed for the rows. */
function packedSchedule({ region, capabilities }: Frame, p: Product, steps: number): DepthSchedule {
  const { maxComputeInvocationsPerWorkgroup: most } = capabilities.limits;
  const halfWords = !capabilities.features.f16 && region.outputs.some((n) => n.type.dtype === "f16");
  const lanes = [16, 8, 4, 2].find((l) => steps >= l) ?? 1;
  const groups = (threads: number): number => (p.n * p.batches * lanes) / threads;
  const threads = most >= 512 && groups(512) >= 64 ? 512 : most >= 256 && groups(256) >= 64 ? 256 : 128;
  return { threads, lanes, rows: halfWords ? 4 : 1 };
}

export function columnSchedule(frame: Frame, products: readonly Product[]): ColumnSchedule {
  const { region } = frame;
  const [p] = products as [Product];
  const threads = threadsFor(frame);
  const width = always(region, p.n % 4 === 0) ? 4 : p.n % 2 === 0 ? 2 : 1;
  const columns = p.n / width;
  if (region.uniform) return { threads, vectors: 8, width };
  const vectors = [16, 8, 4].find((v) => (columns * p.batches) / v >= enoughGroups) ?? 2;
  // Few workgroups: more invocations, each with less of K.
  const few = columns * p.batches < enoughGroups * 2 && p.k >= 512;
  const most = frame.capabilities.limits.maxComputeInvocationsPerWorkgroup;
  return { threads: few && most >= 512 ? 512 : threads, vectors, width };
}
