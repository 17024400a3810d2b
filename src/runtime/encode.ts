import type { Gpu } from "./gpu.ts";
import type { Call } from "./run.ts";
import type { StateMove } from "./session.ts";
import { encodeSteps, type Step } from "./storage.ts";
import type { Place } from "./tensor.ts";
import { bytesOf } from "./values.ts";

/** Encodes dispatches of a run; returns how many there were. */
export type EncodePasses = (
  encoder: GPUCommandEncoder,
  steps: readonly Step[],
  groupOf: (step: Step) => GPUBindGroup,
) => number;

/** All dispatches in one compute pass. */
export const onePass: EncodePasses = (encoder, steps, groupOf) => {
  const pass = encoder.beginComputePass();
  const count = encodeSteps(pass, steps, groupOf);
  pass.end();
  return count;
};

/** Bind groups of steps that read a caller's buffer, for each call. */
export type Groups = readonly ReadonlyMap<Step, GPUBindGroup>[];

export interface EncodeOptions {
  /** Several runs share the submit: host data goes through slots of its own for each run. */
  readonly slots?: boolean | undefined;
  /** How the dispatches of a submit go into compute passes; all into one by default. */
  readonly passes?: EncodePasses | undefined;
  /** Divides the dispatches of a run, in order, among submits; all into one by default. */
  readonly split?: ((steps: readonly Step[]) => Iterable<readonly Step[]>) | undefined;
  /** For each call, where memory is checked; such runs are not divided. */
  readonly checks?: readonly (EncodePasses | undefined)[];
}

/**
 * Encodes and submits runs, in order, one command buffer in all unless `split` says otherwise. Stops after every submit but
 * the last and tells what was in it.
 */
export function* encode(
  gpu: Gpu,
  calls: readonly Call[],
  groups: Groups,
  options: EncodeOptions,
): Generator<readonly Step[], void> {
  let encoder = gpu.device.createCommandEncoder();
  for (const [n, call] of calls.entries()) {
    encodeInputs(gpu, encoder, call, options.slots ?? false);
    const { steps } = call.session.loaded.storage;
    const passes = options.passes ?? options.checks?.[n] ?? onePass;
    let before: readonly Step[] | undefined;
    for (const part of (!options.checks && options.split?.(steps)) || [steps]) {
      if (before) {
        gpu.submit([encoder.finish()]);
        yield before;
        encoder = gpu.device.createCommandEncoder();
      }
      gpu.counters.dispatches += passes(encoder, part, (s) => groups[n]!.get(s) ?? s.group);
      before = part;
    }
    encodeOutputs(encoder, call);
  }
  gpu.submit([encoder.finish()]);
}

/**
 * `writeBuffer` takes effect before the whole submit, so runs that share one write their inputs to slots of their own,
 * which are copied when it is their turn.
 */
function encodeInputs(gpu: Gpu, encoder: GPUCommandEncoder, call: Call, slots: boolean): void {
  const { places } = call.session.loaded.storage;
  let slot = 0;
  for (const input of call.bound.inputs) {
    const { window } = input.port;
    const to = places[window.buffer]!;
    const offset = to.offset + window.offset;
    if (input.kind === "gpu") {
      const from = input.source.place;
      if (!input.bind) encoder.copyBufferToBuffer(from.buffer, from.offset, to.buffer, offset, bytesOf(input.port));
    } else if (input.bytes.length > 0) {
      const via = slots ? call.slots[slot++]!.buffer : undefined;
      gpu.write(via ?? to.buffer, via ? 0 : offset, input.bytes);
      if (via) encoder.copyBufferToBuffer(via, 0, to.buffer, offset, input.bytes.length);
    } else if (slots) {
      slot++;
    }
  }
}

/** Results first: they may be computed where a state's new value lies. */
function encodeOutputs(encoder: GPUCommandEncoder, call: Call): void {
  const { storage, stateMoves, results } = call.session.loaded;
  results.forEach((port, i) => {
    if (port.shape.includes(0)) return;
    const from = storage.places[port.window.buffer]!;
    const bytes = bytesOf(port);
    encoder.copyBufferToBuffer(from.buffer, from.offset + port.window.offset, call.results[i]!.buffer, 0, bytes);
    const staging = call.staging[i];
    if (staging) encoder.copyBufferToBuffer(call.results[i]!.buffer, 0, staging.buffer, 0, bytes);
  });
  const sources = new Map<StateMove, Place>();
  let next = 0;
  for (const move of stateMoves) {
    const { buffer, offset } = storage.places[move.port.next.buffer]!;
    let source: Place = { buffer, offset: offset + move.port.next.offset };
    if (move.temporary) {
      const temporary = { buffer: call.temporaries[next++]!.buffer, offset: 0 };
      encoder.copyBufferToBuffer(source.buffer, source.offset, temporary.buffer, 0, move.port.window.size);
      source = temporary;
    }
    sources.set(move, source);
  }
  for (const [{ port }, source] of sources) {
    const { buffer, offset } = storage.places[port.window.buffer]!;
    encoder.copyBufferToBuffer(source.buffer, source.offset, buffer, offset + port.window.offset, port.window.size);
  }
}
