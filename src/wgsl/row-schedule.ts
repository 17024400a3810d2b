import type { Region } from "../fuse/region.ts";
import type { Capabilities } from "../manifest/manifest.ts";
import { least, settled } from "./agree.ts";
import { elements } from "./emitter.ts";

/** How a row region is spread over invocations. */
export interface RowSchedule {
  readonly name: string;
  readonly rows: number;
  readonly cols: number;
  /** The reduced axes are the innermost ones: neighbours along a row are neighbours in memory. */
  readonly contiguous: boolean;
  /** Lanes along the row, or across rows; at most one of the two is above 1. */
  readonly colWidth: number;
  readonly rowWidth: number;
  /** Invocations that share a row, a power of two. */
  readonly threads: number;
  /** Rows (vectors of rows with `rowWidth`) a workgroup. */
  readonly rowsPerGroup: number;
}

const floorPow2 = (n: number): number => 2 ** Math.floor(Math.log2(Math.max(1, n)));

/** Invocations a row: as many as have work, fewer where the row then divides evenly and stays in registers. */
function sharing(steps: number, max: number): number {
  const most = Math.min(max, floorPow2(steps));
  for (let t = most; t >= 32; t /= 2) if (steps % t === 0 && steps / t <= 8) return t;
  return most;
}

export function chooseRowSchedule(region: Region, capabilities: Capabilities): RowSchedule {
  const { space, axes } = region;
  const size = (list: readonly number[]): number => list.reduce((n, d) => n * d, 1);
  const cols = size(axes.map((i) => space[i] as number));
  const rows = size(space.filter((_, i) => !axes.includes(i)));
  const firstReduced = axes[0] ?? space.length;
  const contiguous = axes.length === space.length - firstReduced && cols > 1;
  const packed =
    !capabilities.features.f16 && region.outputs.some((n) => n.type.dtype === "f16" && elements(n) === rows * cols);
  const colWidth = least(region, !contiguous ? 1 : cols % 4 === 0 ? 4 : packed ? 2 : 1);
  const inner = space[space.length - 1] ?? 1;
  const innerKept = !axes.includes(space.length - 1);
  const rowWidth = least(region, contiguous || !innerKept ? 1 : inner % 4 === 0 ? 4 : packed ? 2 : 1);
  const steps = Math.max(1, cols / colWidth);
  const rowSteps = rows / rowWidth;
  // Of very long rows few fit the cache at a time: more invocations share one, and it is still there for the next pass.
  const most = !capabilities.software && steps >= 8192 ? 1024 : 256;
  const max = Math.min(most, capabilities.limits.maxComputeInvocationsPerWorkgroup);

  if (contiguous || cols === 1) {
    let threads = sharing(steps, max);
    // On a CPU adapter an invocation a row avoids barriers; only a few long rows need sharing.
    if (capabilities.software && (rows >= 16 || steps < 256)) threads = 1;
    else if (threads <= 4 && rows >= 1024) threads = 1;
    threads = settled(region, "threads", threads);
    const many = Math.max(1, Math.min(floorPow2(rows), Math.floor(Math.max(threads, 64) / threads)));
    const rowsPerGroup = threads === 1 ? 64 : settled(region, "rows", many);
    return {
      name: `${threads}x${rowsPerGroup}`,
      rows,
      cols,
      contiguous: true,
      colWidth,
      rowWidth: 1,
      threads,
      rowsPerGroup,
    };
  }
  const enough = capabilities.software ? 16 : 16384;
  const shares = capabilities.software ? 16 : 128;
  let threads = 1;
  while (threads < shares && rowSteps * threads < enough && steps / threads >= 16) threads *= 2;
  threads = settled(region, "threads", threads);
  const rowsPerGroup = threads === 1 ? 64 : Math.max(1, Math.min(floorPow2(Math.min(max, 256) / threads), 16));
  return {
    name: `column_${threads}x${rowsPerGroup}`,
    rows,
    cols,
    contiguous: false,
    colWidth,
    rowWidth,
    threads,
    rowsPerGroup,
  };
}
