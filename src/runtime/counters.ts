/** What a device was asked to do since it was opened or since `reset`. Byte counts are totals too, `bytesHeld` excepted. */
export interface CounterValues {
  /** `queue.submit` calls, readbacks and warm-up included. */
  submits: number;
  /** Dispatches of runs. */
  dispatches: number;
  /** Dispatches of `setup` programs at load. */
  setupDispatches: number;
  /** Submits that only copied results back. */
  readbacks: number;
  buffers: number;
  bindGroups: number;
  pipelines: number;
  /** Pipelines created outside any warm-up. */
  latePipelines: number;
  bytesWritten: number;
  bytesRead: number;
  /** Bytes of buffers that exist now. */
  bytesHeld: number;
}

const zero: CounterValues = {
  submits: 0,
  dispatches: 0,
  setupDispatches: 0,
  readbacks: 0,
  buffers: 0,
  bindGroups: 0,
  pipelines: 0,
  latePipelines: 0,
  bytesWritten: 0,
  bytesRead: 0,
  bytesHeld: 0,
};

/** Counts of what a device was asked for since it was opened or they were reset. */
export interface Counters extends CounterValues {
  /** A copy of the values. */
  snapshot(): CounterValues;
  /** Sets everything but `bytesHeld` to 0. */
  reset(): void;
}

export function makeCounters(): Counters {
  return {
    ...zero,
    snapshot() {
      const { snapshot, reset, ...values } = this;
      return values;
    },
    reset() {
      Object.assign(this, zero, { bytesHeld: this.bytesHeld });
    },
  };
}
