/**
 * Where a page keeps which kernels it used, between visits: `get` and `set` of idb-keyval as they are, or two functions
 * around `localStorage`. May answer at once or by a promise; values are strings.
 */
export interface UsageStore {
  get(key: string): unknown;
  set(key: string, value: string): unknown;
}

const name = "sinter/used-kernels";
const version = 1;
/** Keys kept, those used last first. */
const most = 1024;
/** A store that does not answer must not hold a warm-up up. */
const patienceMs = 1000;

/** Writers of one store take turns: each reads what is there and adds to it. */
const turns = new WeakMap<UsageStore, Promise<void>>();

function patiently(answer: unknown): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, patienceMs);
    Promise.resolve(answer)
      .then(resolve, reject)
      .finally(() => clearTimeout(timer));
  });
}

async function read(store: UsageStore): Promise<readonly string[]> {
  try {
    const text = await patiently(store.get(name));
    if (typeof text !== "string") return [];
    const value = JSON.parse(text) as { version?: unknown; keys?: unknown } | null;
    if (value?.version !== version || !Array.isArray(value.keys)) return [];
    return value.keys.slice(0, most).filter((k): k is string => typeof k === "string" && /^[0-9a-f]{64}$/.test(k));
  } catch {
    return [];
  }
}

/**
 * @internal Keys of the kernels that were used, those used last first. Empty where the store has nothing, something else,
 * or no answer: it only says what to do first.
 */
export async function readUsage(store: UsageStore | undefined): Promise<readonly string[]> {
  if (!store) return [];
  await turns.get(store);
  return read(store);
}

/** @internal Adds kernels to those that were used. A store that fails loses them, and nothing else. */
export function addUsage(store: UsageStore | undefined, keys: Iterable<string>): Promise<void> {
  if (!store) return Promise.resolve();
  const used = [...new Set(keys)];
  const turn = (turns.get(store) ?? Promise.resolve()).then(async () => {
    try {
      const before = await read(store);
      if (used.every((k, i) => before[i] === k)) return;
      const kept = [...new Set([...used, ...before])].slice(0, most);
      await patiently(store.set(name, JSON.stringify({ version, keys: kept })));
    } catch {
      // Storage that is full, or that a private window refuses.
    }
  });
  turns.set(store, turn);
  return turn;
}

/** @internal The same items, those that were used first, in the order of `used`. */
export function usedFirst<T extends { readonly key: string }>(items: Iterable<T>, used: readonly string[]): T[] {
  const rank = new Map(used.map((k, i) => [k, i]));
  return [...items].sort((a, b) => (rank.get(a.key) ?? used.length) - (rank.get(b.key) ?? used.length));
}
