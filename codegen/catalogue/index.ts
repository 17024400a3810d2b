import { suggest } from "../../src/base/suggest.ts";
import { devices } from "./devices.ts";
import type { ErrorSection, ErrorText } from "./entry.ts";
import { files } from "./files.ts";
import { faults, graphs, helpers } from "./graphs.ts";
import { calls, kernels } from "./kernels.ts";
import { programs } from "./programs.ts";
import { running } from "./running.ts";
import { shapes } from "./shapes.ts";
import { tool } from "./tool.ts";

export type { ErrorExample, ErrorSection, ErrorText } from "./entry.ts";

/** Every error code of Sinter with its texts, in the order of the page: the one place that says what codes mean. */
export const sections: readonly ErrorSection[] = [
  shapes,
  programs,
  devices,
  running,
  kernels,
  calls,
  tool,
  files,
  helpers,
  graphs,
  faults,
];

export const errorTexts: readonly ErrorText[] = sections.flatMap((s) => s.errors);

/** The text of a code, or the nearest code that there is. */
export function findError(code: string): ErrorText | { readonly near: string | undefined } {
  return (
    errorTexts.find((e) => e.code === code) ?? {
      near: suggest(
        code,
        errorTexts.map((e) => e.code),
      ),
    }
  );
}
