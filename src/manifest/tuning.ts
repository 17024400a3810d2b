/** An adapter as WebGPU names it, whatever its driver. Browsers leave `device` empty. */
export interface AdapterIdentity {
  readonly vendor: string;
  readonly architecture: string;
  readonly device: string;
}

/** How one kernel is best written: the variant, and what it and the one taken without measurements take, in microseconds. */
export interface KernelChoice {
  readonly variant: string;
  readonly time: number;
  /** The variant that is taken without a table. */
  readonly usual: string;
  readonly usualTime: number;
}

/** What a fusion takes, in microseconds: all kernels that differ, with the nodes in one kernel and with them apart. */
export interface FusionChoice {
  readonly fused: number;
  readonly apart: number;
}

/**
 * What was measured on an adapter: the fastest variant of every kernel, by its signature, and which fusions pay, by theirs.
 * Plain data, stored as JSON. `features` are those of the device it was measured on.
 */
export interface TuningTable {
  readonly version: 1;
  readonly adapter: AdapterIdentity;
  readonly features: readonly string[];
  readonly kernels: Readonly<Record<string, KernelChoice>>;
  readonly fusions: Readonly<Record<string, FusionChoice>>;
}

/** What programs are compiled by: the table that is shipped for the adapter, none, or this one. */
export type Tuning = "auto" | "off" | TuningTable;
