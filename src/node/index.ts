import { readFileSync } from "node:fs";
import { setSourceReader } from "../base/diagnostic.ts";
import "./device.ts";

// Code frames of errors show the user's own lines.
setSourceReader((file) => {
  try {
    return /^[a-z]+:\/\//i.test(file) ? undefined : readFileSync(file, "utf8");
  } catch {
    return undefined;
  }
});

export * from "../index.ts";
