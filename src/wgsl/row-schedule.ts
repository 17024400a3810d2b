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

export const floorPow2 = (n: number): number => 2 ** Math.floor(Math.log2(Math.max(1, n)));

/**
 * Invocations a row: as many as have work, fewer where the row then divides evenly and stays in registers. Of many rows, four steps
 * an invocation if they can: loads are then under way together, and fewer invocations wait for each other.
 */
function sharing(steps: number, rows: number, max: number, uniform: boolean): number {
  const most = Math.min(max, floorPow2(steps));
  const many = rows >= 1024;
  for (let t = uniform ? 32 : 8; t <= most && many; t *= 2) if (steps % t === 0 && steps / t <= 4) return t;
  // Of rows that divide by nothing some invocations have a step more, and short ones are gone through by few.
  if (many && !uniform && steps % 8 !== 0 && steps <= 4 * max)
    return Math.min(most, Math.max(8, 2 * floorPow2(steps / 8)));
  for (let t = most; t >= 32; t /= 2) if (steps % t === 0 && steps / t <= 8) return t;
  return most;
}

/** Invocations that share a column: as many as fill a GPU, and more while each has far to go. */
function sharingColumns(rowSteps: number, steps: number): number {
  let threads = 1;
  for (; threads < 256 && steps / threads >= 16; threads *= 2) {
    const all = rowSteps * threads;
    if (all >= 262144 || (all >= 65536 && steps / threads <= 32)) break;
  }
  return threads;
}

/** What a row region is, whatever the schedule. */
type Rows = Pick<RowSchedule, "rows" | "cols" | "contiguous" | "colWidth" | "rowWidth">;

export function rowsOf(region: Region, capabilities: Capabilities): Rows {
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
  return { rows, cols, contiguous: contiguous || cols === 1, colWidth, rowWidth };
}

const stepsOf = (r: Rows): number => Math.max(1, r.cols / r.colWidth);

/** Of very long rows few fit the cache at a time: more invocations share one, and it is still there for the next pass. */
function mostThreads(r: Rows, { software, limits }: Capabilities): number {
  const most = !software && stepsOf(r) >= 2048 ? 1024 : 256;
  return Math.min(most, limits.maxComputeInvocationsPerWorkgroup);
}

const alongRow = (r: Rows, threads: number, rowsPerGroup: number): RowSchedule => ({
  ...{ ...r, name: `${threads}x${rowsPerGroup}`, rowWidth: 1, threads, rowsPerGroup },
});
const acrossRows = (r: Rows, threads: number, rowsPerGroup: number): RowSchedule => ({
  ...{ ...r, name: `column_${threads}x${rowsPerGroup}`, threads, rowsPerGroup },
});

/** The schedule that is taken without measurements. */
export function chooseRowSchedule(region: Region, capabilities: Capabilities): RowSchedule {
  const r = rowsOf(region, capabilities);
  const steps = stepsOf(r);
  const max = mostThreads(r, capabilities);
  if (r.contiguous) {
    let threads = sharing(steps, r.rows, max, region.uniform !== undefined);
    // On a CPU adapter an invocation a row avoids barriers; only a few rows are shared, long ones by what is one vector of its own.
    // Where a vector is four invocations, gathering from four rows costs more than sharing up to 64 of them does.
    if (capabilities.software) {
      const lanes = floorPow2(capabilities.subgroupMinSize);
      const vector = steps < 256 ? 4 : Math.max(4, lanes);
      threads = r.rows > (lanes === 4 ? 64 : 16) || steps < 16 ? 1 : Math.min(threads, vector);
    } else if (threads <= 4 && r.rows >= 1024) threads = 1;
    threads = settled(region, "threads", threads);
    const many = Math.max(1, Math.min(floorPow2(r.rows), Math.floor(Math.max(threads, 64) / threads)));
    return alongRow(r, threads, threads === 1 ? 64 : settled(region, "rows", many));
  }
  const rowSteps = r.rows / r.rowWidth;
  const [enough, shares, least] = capabilities.software ? [64, 16, 32] : [16384, 128, 16];
  let threads = 1;
  while (threads < shares && rowSteps * threads < enough && steps / threads >= least) threads *= 2;
  if (!capabilities.software && !region.uniform) threads = sharingColumns(rowSteps, steps);
  threads = settled(region, "threads", threads);
  return acrossRows(r, threads, acrossGroup(threads, max, abreast(r, region, capabilities)));
}

const acrossGroup = (threads: number, max: number, most: number): number =>
  threads === 1 ? 64 : Math.max(1, Math.min(floorPow2(Math.min(max, 256) / threads), most));

/** Columns, or vectors of them, beside each other in a workgroup: on a GPU neighbours read as much as a memory access moves. */
const abreast = (r: Rows, region: Region, { software }: Capabilities): number =>
  !software && !region.uniform && r.rowWidth === 1 && r.rows >= 4096 ? 64 : 16;

/** Every schedule worth a measurement, the one that is taken without any first. */
export function rowSchedules(region: Region, capabilities: Capabilities): readonly RowSchedule[] {
  const chosen = chooseRowSchedule(region, capabilities);
  if (region.uniform) return [chosen];
  const r = rowsOf(region, capabilities);
  const steps = stepsOf(r);
  const limit = Math.min(1024, capabilities.limits.maxComputeInvocationsPerWorkgroup);
  const shares = (capabilities.software ? [1, 4, 16] : [1, 8, 16, 32, 64, 128, 256, 512, 1024]).filter(
    (t) => t <= limit && t <= steps,
  );
  const other = r.contiguous
    ? shares.flatMap((t) =>
        (t === 1 ? [64, 256] : [1, floorPow2(64 / t), floorPow2(256 / t)])
          .filter((g) => g * t <= limit && g <= Math.max(64, floorPow2(r.rows)))
          .map((g) => alongRow(r, t, g)),
      )
    : shares
        .filter((t) => t <= 256)
        .flatMap((t) => [acrossRows(r, t, acrossGroup(t, limit, abreast(r, region, capabilities)))]);
  return [...new Map([chosen, ...other].map((s) => [s.name, s])).values()];
}
