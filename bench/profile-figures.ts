import type { ProfileReport } from "sinter";

/** GPU time by kernel. Times are microseconds. */
export interface ProfileFigures {
  /** Steps that the medians are of. */
  readonly steps: number;
  /** A step in one compute pass: median and least. */
  readonly pass_us: number;
  readonly pass_min_us: number;
  /** The sum of the rows, each dispatch in a pass of its own. */
  readonly total_us: number;
  readonly copy_tb_per_s: number;
  readonly phases: readonly ProfileLine[];
  readonly rows: readonly (ProfileLine & {
    readonly kernel: string;
    readonly variant: string;
    readonly place?: string;
    readonly dispatches: readonly number[];
  })[];
}

/** A kernel, or a phase, over all of its dispatches. */
interface ProfileLine {
  readonly phase: string;
  readonly count: number;
  readonly total_us: number;
  readonly average_us: number;
  readonly share: number;
  readonly bytes_read: number;
  readonly bytes_written: number;
  readonly flops: number;
  readonly tb_per_s: number;
  readonly tflop_per_s: number;
  /** Copying as many bytes. */
  readonly floor_us: number;
}

export function profileFigures(r: ProfileReport): ProfileFigures {
  const line = (s: ProfileReport["phases"][number]): ProfileLine => ({
    phase: s.phase,
    count: s.count,
    total_us: s.totalUs,
    average_us: s.averageUs,
    share: s.share,
    bytes_read: s.bytesRead,
    bytes_written: s.bytesWritten,
    flops: s.flops,
    tb_per_s: s.bytesPerSecond / 1e12,
    tflop_per_s: s.flopsPerSecond / 1e12,
    floor_us: s.floorUs,
  });
  return {
    steps: r.runs,
    pass_us: r.passUs,
    pass_min_us: r.passMinUs,
    total_us: r.totalUs,
    copy_tb_per_s: r.copyBytesPerSecond / 1e12,
    phases: r.phases.map(line),
    rows: r.rows.map((row) => ({
      ...line(row),
      kernel: row.kernel,
      variant: row.variant,
      ...(row.place && { place: row.place }),
      dispatches: row.dispatches,
    })),
  };
}
