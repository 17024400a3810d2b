import type { Place } from "../../src/base/diagnostic.ts";
import { setWgslReflector } from "../../src/frontend/wgsl-signature.ts";
import { reflectWgsl } from "./reflect.ts";

/** A text that was given to `wgslKernel`. */
export interface ReadText {
  readonly source: string;
  readonly name: string;
  readonly place: Place | undefined;
}

/** Runs `body` with the reader of interfaces installed; `texts` gets every text that a kernel is made of meanwhile. */
export async function readingWgsl<T>(texts: ReadText[], body: () => Promise<T>): Promise<T> {
  const before = setWgslReflector((source, options = {}) => {
    const signature = reflectWgsl(source, options);
    const { name = signature.entry, place } = options;
    if (!texts.some((t) => t.source === source)) texts.push({ source, name, place });
    return signature;
  });
  try {
    return await body();
  } finally {
    setWgslReflector(before);
  }
}
