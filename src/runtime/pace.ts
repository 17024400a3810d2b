/** Makes a call whose promise tells of work on the device. */
export type Pacer = <T>(call: () => T) => T;
/** @internal Every call whose promise waits for the device goes through it. */
export let pace: Pacer = (call) => call();

/** @internal Installs how hosts that poll for promises do it. */
export function setPacer(pacer: Pacer): void {
  pace = pacer;
}
