import type { DType } from "../base/dtype.ts";

/** What a device offers, as far as kernels and plans depend on it. */
export interface Capabilities {
  /** `base`, `subgroups`, `f16`, … for people; never decides anything. */
  readonly name: string;
  readonly features: {
    readonly f16: boolean;
    readonly subgroups: boolean;
    /** Matrices of 16 × 16 halves, multiplied by a subgroup of 32 and summed in f32. Absent means no. */
    readonly subgroupMatrix?: boolean;
  };
  readonly subgroupMinSize: number;
  readonly subgroupMaxSize: number;
  /** A CPU adapter: workgroup memory and barriers cost more than they save. */
  readonly software: boolean;
  readonly limits: {
    readonly maxStorageBuffersPerShaderStage: number;
    readonly maxStorageBufferBindingSize: number;
    readonly maxBufferSize: number;
    readonly maxComputeWorkgroupStorageSize: number;
    readonly maxComputeInvocationsPerWorkgroup: number;
    readonly maxComputeWorkgroupSizeX: number;
    readonly maxComputeWorkgroupSizeY: number;
    readonly maxComputeWorkgroupSizeZ: number;
    readonly maxComputeWorkgroupsPerDimension: number;
    readonly minStorageBufferOffsetAlignment: number;
  };
}

/** What a kernel asks of a device beside its bindings. */
export interface Requirements {
  readonly f16: boolean;
  readonly subgroups: boolean;
  /** Absent means no. */
  readonly subgroupMatrix?: boolean;
  readonly workgroupBytes: number;
}

export type Access = "read" | "read_write";

/** One compiled kernel text with its interface. `key` is the SHA-256 of WGSL, layout and toolchain version. */
export interface KernelSpec {
  readonly key: string;
  /** For people: ops and family, generated (never user text in WGSL). */
  readonly label: string;
  /** Where in the user's source the kernel's first op was called, `file:line`. */
  readonly place?: string;
  readonly wgsl: string;
  readonly entryPoint: string;
  /** Storage buffers of @group(0), binding number = position. */
  readonly bindings: readonly Access[];
  readonly workgroupSize: readonly [number, number, number];
  readonly requires: Requirements;
  /** The text is the user's own: it may ask how long its buffers are, and its errors are the user's to correct. */
  readonly own?: boolean;
}

/**
 * Storage that lives as long as a session. `role`: `input` is written by the caller each run, `weight` once at load,
 * `const` holds `init` from the plan, `state` is carried between runs, `scratch` is reused between dispatches,
 * `output` is read back or handed out.
 */
export interface BufferSpec {
  readonly role: "input" | "weight" | "const" | "state" | "scratch" | "output";
  /** Bytes, a multiple of 4. */
  readonly size: number;
  /** Initial words of a `const` buffer. */
  readonly init?: Uint32Array;
  /** Zeroed at load. */
  readonly clear?: boolean;
}

/** A range of a buffer: `offset` is a multiple of 256. */
export interface Window {
  readonly buffer: number;
  readonly offset: number;
  readonly size: number;
}

export interface DispatchSpec {
  readonly kernel: number;
  readonly bindings: readonly Window[];
  readonly workgroups: readonly [number, number, number];
}

/**
 * Memory that a tensor, or several in turn, need from step `first` to step `last`, both included. Steps count the
 * dispatches of `setup` and then those of a run; `last` is their number for what is needed after the run.
 */
export interface SpanSpec {
  /** For people: ops and shapes. */
  readonly label: string;
  readonly window: Window;
  readonly first: number;
  readonly last: number;
}

/** A tensor that crosses the border of a program. `name` is its path in the tree of inputs or outputs, joined by dots. */
export interface PortSpec {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly window: Window;
}

/** A program as the runtime runs it. Plain data: it can be built ahead, stored as JSON (see manifest/json.ts) and shipped. */
export interface Manifest {
  readonly version: 1;
  readonly capabilities: Capabilities;
  readonly kernels: readonly KernelSpec[];
  readonly buffers: readonly BufferSpec[];
  /** Who has which part of the shared buffers when. */
  readonly spans: readonly SpanSpec[];
  /** Bytes that any plan of these steps needs: what lasts, and the most that is needed besides at one step. */
  readonly leastBytes: number;
  /** Bytes left free behind every tensor, to find out who writes there; 0 but for debugging. */
  readonly guard: number;
  /** Given every run. */
  readonly inputs: readonly PortSpec[];
  /** Given once at load. */
  readonly weights: readonly PortSpec[];
  /** Given at load, replaced after each run by the output of the same name. `next` is the window that holds the new value after a run. */
  readonly state: readonly (PortSpec & { readonly next: Window })[];
  readonly outputs: readonly PortSpec[];
  /** Runs once after the weights arrived: what depends on constants and weights alone. */
  readonly setup: readonly DispatchSpec[];
  /** Runs every time, in order, in one compute pass. */
  readonly dispatches: readonly DispatchSpec[];
}
