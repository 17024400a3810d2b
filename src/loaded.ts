import type { Manifest } from "./manifest/manifest.ts";
import type { Gpu } from "./runtime/gpu.ts";
import { loadManifest, type Session } from "./runtime/session.ts";
import type { Fallback } from "./runtime/warmup.ts";

/** Tests the device while a program is loaded; gives what to load instead where it fails. */
export type LoadTest = () => Promise<Fallback | undefined>;

interface Entry {
  readonly session: Promise<Session>;
  users: number;
}

/** Idle programs beyond this number are unloaded, the least recently used first. */
const kept = 64;

/** Programs that batches of one device loaded: they stay loaded, so that the next batch finds them. */
class LoadedPrograms {
  readonly #gpu: Gpu;
  readonly #entries = new Map<Manifest, Entry>();

  constructor(gpu: Gpu) {
    this.#gpu = gpu;
  }

  /** The program, loaded now if it is not; it stays until it was released as often. */
  hold(manifest: Manifest, test?: LoadTest): Promise<Session> {
    const entry = this.#entries.get(manifest) ?? { session: loadManifest(this.#gpu, manifest, {}, { test }), users: 0 };
    entry.users++;
    this.#entries.delete(manifest);
    this.#entries.set(manifest, entry);
    entry.session.catch(() => this.#entries.get(manifest) === entry && this.#entries.delete(manifest));
    return entry.session;
  }

  release(manifest: Manifest): void {
    const entry = this.#entries.get(manifest);
    if (entry) entry.users--;
    for (const [m, e] of this.#entries) {
      if (this.#entries.size <= kept) return;
      if (e.users > 0) continue;
      this.#entries.delete(m);
      e.session.then((s) => s.dispose());
    }
  }
}

const caches = new WeakMap<Gpu, LoadedPrograms>();

/** The programs that batches of a device loaded. */
export function cacheOf(gpu: Gpu): LoadedPrograms {
  const known = caches.get(gpu) ?? new LoadedPrograms(gpu);
  caches.set(gpu, known);
  return known;
}
