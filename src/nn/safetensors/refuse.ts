import { fail } from "../../base/diagnostic.ts";

/** Refuses a file that breaks the format. */
export const refuse = (message: string, cause?: string): never =>
  fail("bad-safetensors", `this is no safetensors file: ${message}`, {
    ...(cause === undefined ? {} : { cause }),
    hint: "get the file again: it was cut short, damaged, or is of another format",
  });
